"""The linear probe on image embeddings, which finetuning a text tower must not change."""

from __future__ import annotations

import numpy as np

from pcclip.errors import DataError
from pcclip.evaluation.groups.zero_shot import labelled_rows
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.probe import draw_shots, probe_predictions
from pcclip.metrics.statistics import mean_over


def probe(view: View) -> Estimates:
    """Take the accuracy with k shots a class, drawn anew for each seed.

    Shots come from the pictures beside the test. Where there are none, each seed draws them from the test pictures
    and is tested on the others.
    """
    rows = labelled_rows(view)
    protocol = view.task.protocol
    column = {label: place for place, label in enumerate(view.ready.classes)}
    beside = [(row, column[e.label]) for row, e in enumerate(view.task.support) if e.label in column]
    of_support = len({label for _, label in beside}) > 1
    values, pictures, accuracies = [], [], []
    for number in range(protocol.seeds):
        seed = view.settings.seed * 1000 + number
        if of_support:
            labels = np.array([label for _, label in beside])
            drawn = draw_shots(labels, protocol.shots, seed)
            shots, known = view.support[[beside[row][0] for row in drawn]], labels[drawn]
            test = rows
        else:
            drawn = rows[draw_shots(view.labels[rows], protocol.shots, seed)]
            shots, known = view.images[drawn], view.labels[drawn]
            test = np.setdiff1d(rows, drawn)
        if not len(test):
            raise DataError(
                f"{protocol.shots} shots a class take all {len(rows)} labelled pictures; none is left to test on",
                "Bring more labelled pictures, or ask for fewer: --shots 1.",
            )
        right = (probe_predictions(shots, known, view.images[test]) == view.labels[test]).astype(float)
        values.append(right)
        pictures.append(test)
        accuracies.append(float(right.mean()))
    weights = np.concatenate([np.full(len(right), 1 / len(right)) for right in values])
    yield Estimate(
        "probe_accuracy",
        f"{protocol.shots}-shot",
        float(np.mean(accuracies)),
        len(np.unique(np.concatenate(pictures))),
        tuple(accuracies),
        mean_over(np.concatenate(values), np.concatenate(pictures), weights=weights),
    )
