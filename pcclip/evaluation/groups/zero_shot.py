"""Zero-shot classification, CLIP's own."""

from __future__ import annotations

import numpy as np

from pcclip.errors import DataError
from pcclip.evaluation.document import Confusion
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.classification import class_accuracies, confusion, label_ranks
from pcclip.metrics.statistics import Counts, Floats

_BLOCK = 2048  # pictures at once: memory is block · classes
MAX_SHOWN = 100  # classes of a confusion matrix in the document


def zero_shot(view: View) -> Estimates:
    """Take top-1, top-5, mean per class and worst class of the classifier ``argmax <f, e_c>``."""
    rows = labelled_rows(view)
    labels, classes = view.labels[rows], len(view.ready.classes)
    prompts = view.class_prompts()
    ranks, predicted = np.empty_like(rows), np.empty_like(rows)
    for start in range(0, len(rows), _BLOCK):
        of = slice(start, start + _BLOCK)
        scores = view.images[rows[of]] @ prompts.T
        ranks[of], predicted[of] = label_ranks(scores, labels[of]), scores.argmax(axis=1)
    yield view.over_pictures("zero_shot_top1", "", (ranks < 1).astype(float), rows)
    if classes > 5:
        yield view.over_pictures("zero_shot_top5", "", (ranks < 5).astype(float), rows)
    correct = (ranks < 1).astype(float)
    by_class = class_accuracies(correct, labels, classes)
    empty = [label for label, value in zip(view.ready.classes, by_class, strict=True) if np.isnan(value)]
    if empty:
        view.problem(
            "zero_shot_mean_per_class",
            f"the class {empty[0]!r} has no test picture"
            + (f", nor have {len(empty) - 1} others" if len(empty) > 1 else "")
            + "; it stays a candidate, and means over classes leave it out",
        )

    def means(counts: Counts) -> Floats:
        return _nanmean(class_accuracies(correct, labels, classes, counts[:, rows].astype(float)))

    def worst(counts: Counts) -> Floats:
        found = class_accuracies(correct, labels, classes, counts[:, rows].astype(float))
        return np.asarray(np.where(np.isnan(found), np.inf, found).min(axis=1))

    mean = float(_nanmean(by_class[None])[0])
    yield Estimate("zero_shot_mean_per_class", "", mean, len(rows), (), means)
    yield Estimate("zero_shot_worst_class", "", float(np.nanmin(by_class)), len(rows), (), worst)
    note_confusion(view, "zero-shot", predicted, labels)


def labelled_rows(view: View) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the rows of test pictures with a label.

    Raises:
        DataError: there are none, or there is only one class.
    """
    rows = np.flatnonzero(view.labels >= 0)
    if not len(rows):
        raise DataError("no test picture has a label")
    if len(view.ready.classes) < 2:
        raise DataError(
            f"there is a single class: all {len(rows)} labelled test pictures are {view.ready.classes[0]!r}"
        )
    return rows


def note_confusion(view: View, strategy: str, predicted: Counts, labels: Counts) -> None:
    """Keep the confusion matrix for the report, where it is of a size to look at."""
    classes = view.ready.classes
    if len(classes) <= MAX_SHOWN:
        counts = confusion(labels, predicted, len(classes))
        view.found.confusions.append(
            Confusion(
                task=view.task.name,
                model=view.name,
                strategy=strategy,
                classes=tuple(map(view.ready.words, classes)),
                counts=tuple(tuple(map(int, row)) for row in counts),
            )
        )


def _nanmean(by_class: Floats) -> Floats:
    there = ~np.isnan(by_class)
    return np.asarray(np.where(there, by_class, 0).sum(axis=1) / there.sum(axis=1))
