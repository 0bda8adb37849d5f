"""Whether text differences and picture differences point the same way."""

from __future__ import annotations

import numpy as np

from pcclip.errors import DataError
from pcclip.evaluation.document import Geometry
from pcclip.evaluation.pairing import PairSet
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.difference import difference_cosines
from pcclip.metrics.geometry import analogy_hits, class_difference_cosines

_SHOWN = 2000  # pairs of the plot


def geometry(view: View) -> Estimates:
    """Take the cosines of texts with picture, caption and class differences, and the accuracy of analogies."""
    described = view.ready.comparatives
    if not view.ready.pairs and not described:
        raise DataError("no pair of test pictures and no pair of classes is described")
    for pairs in view.ready.pairs:
        texts = view.embed_texts(pairs.texts)
        by_image = difference_cosines(texts, view.images[pairs.first], view.images[pairs.second])
        yield view.over_pairs("geometry_image_cosine", pairs, by_image.astype(float))
        by_caption = np.zeros(0, np.float32)
        captions = [example.caption for example in view.task.examples]
        kept = np.array([bool(captions[i] and captions[j]) for i, j in zip(pairs.first, pairs.second, strict=True)])
        if kept.any():
            first, second = (view.embed_texts([captions[row] for row in side[kept]]) for side in _sides(pairs))
            by_caption = difference_cosines(texts[kept], first, second)
            yield view.over_pairs("geometry_caption_cosine", pairs, by_caption.astype(float), kept)
        if pairs.part == view.ready.pairs[0].part:
            view.found.geometry.append(
                Geometry(
                    task=view.task.name,
                    model=view.name,
                    image_cosines=_shown(by_image),
                    caption_cosines=_shown(by_caption) if kept.all() else (),
                )
            )
    if described:
        yield from _of_classes(view)


def _of_classes(view: View) -> Estimates:
    column = {label: place for place, label in enumerate(view.ready.classes)}
    described, prompts = view.ready.comparatives, view.class_prompts()
    first = np.array([column[one.first] for one in described], np.int64)
    second = np.array([column[one.second] for one in described], np.int64)
    texts = view.embed_texts([one.text for one in described])
    cosines = class_difference_cosines(texts, prompts, first, second)
    yield Estimate("geometry_class_cosine", "", float(cosines.mean()), len(cosines))
    hits, pictures = [], []
    for text, target, source in zip(texts, first, second, strict=True):  # t_ba: how b differs from a
        rows = np.flatnonzero(view.labels == source)
        hits.append(analogy_hits(view.images[rows], text, prompts, int(target)))
        pictures.append(rows)
    all_hits = np.concatenate(hits).astype(float)
    if len(all_hits):
        yield view.over_pictures("analogy_accuracy", "", all_hits, np.concatenate(pictures))


def _sides(pairs: PairSet) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    return pairs.first, pairs.second


def _shown(cosines: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[float, ...]:
    return tuple(round(float(cosine), 4) for cosine in cosines[:_SHOWN])
