"""Captions by picture, and pictures by caption."""

from __future__ import annotations

import numpy as np

from pcclip.errors import DataError
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.retrieval import best_right_ranks, caption_groups
from pcclip.metrics.statistics import mean_over

KS = (1, 5, 10)


def retrieval(view: View) -> Estimates:
    """Take R@1, R@5 and R@10 both ways over the test pictures' first captions."""
    pictures = np.array([row for row, example in enumerate(view.task.examples) if example.caption], np.int64)
    captions = [view.task.examples[row].caption for row in pictures]
    distinct = list(dict.fromkeys(captions))
    if len(distinct) < 2:
        raise DataError(
            "no test picture has a caption" if not distinct else f"all captions are the same: {distinct[0]!r}"
        )
    images, texts, groups = view.images[pictures], view.embed_texts(distinct), caption_groups(captions)
    by_image = best_right_ranks(images, texts, groups, np.arange(len(distinct)))
    by_text = best_right_ranks(texts, images, np.arange(len(distinct)), groups)
    sizes = np.bincount(groups)
    for k in KS:
        if k < len(distinct):
            yield view.over_pictures(f"image_to_text_r{k}", "", (by_image < k).astype(float), pictures)
    for k in KS:
        if k < len(pictures):
            hits = (by_text < k).astype(float)
            # a caption counts as often as its pictures do on average
            statistic = mean_over(hits[groups], pictures, weights=1 / sizes[groups])
            yield Estimate(f"text_to_image_r{k}", "", float(hits.mean()), len(hits), (), statistic)
