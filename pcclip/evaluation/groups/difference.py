"""Difference-based classification of pairs of test pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcclip.errors import DataError
from pcclip.evaluation.pairing import PairSet
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.difference import difference_auc, difference_cosines


def difference(view: View) -> Estimates:
    """Take accuracy, both orders, AUC, and the baseline that sees captions only, for each source of texts."""
    if not view.ready.pairs:
        raise DataError("no pair of test pictures has a text: captions, class differences or attributes with sentences")
    for pairs in view.ready.pairs:
        cosines = difference_cosines(view.embed_texts(pairs.texts), view.images[pairs.first], view.images[pairs.second])
        view.found.pair_cosines[pairs.part] = cosines
        yield view.over_pairs("difference_accuracy", pairs, (cosines > 0).astype(float))
        yield from _both_orders(view, pairs, cosines)
        aucs = [difference_auc(cosines[pairs.seeds == seed]) for seed in pairs.draws]
        yield Estimate("difference_auc", pairs.part, float(np.mean(aucs)), len(cosines), tuple(aucs))
        yield from _by_captions(view, pairs)


def _both_orders(view: View, pairs: PairSet, cosines: NDArray[np.float32]) -> Estimates:
    kept = np.array([text is not None for text in pairs.reversed])
    if not kept.any():
        view.problem("difference_swap_accuracy", "no text has a form that can be turned round", pairs.part)
        return
    texts = view.embed_texts([text for text in pairs.reversed if text is not None])
    turned = difference_cosines(texts, view.images[pairs.second[kept]], view.images[pairs.first[kept]])
    yield view.over_pairs("difference_swap_accuracy", pairs, ((cosines[kept] > 0) & (turned > 0)).astype(float), kept)


def _by_captions(view: View, pairs: PairSet) -> Estimates:
    captions = [example.caption for example in view.task.examples]
    kept = np.array([bool(captions[i] and captions[j]) for i, j in zip(pairs.first, pairs.second, strict=True)])
    if not kept.any():
        return
    first, second = ([captions[row] for row in side[kept]] for side in (pairs.first, pairs.second))
    texts = view.embed_texts([text for text, keep in zip(pairs.texts, kept, strict=True) if keep])
    cosines = difference_cosines(texts, view.embed_texts(first), view.embed_texts(second))
    yield view.over_pairs("caption_difference_accuracy", pairs, (cosines > 0).astype(float), kept)
