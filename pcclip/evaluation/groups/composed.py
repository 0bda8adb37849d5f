"""Composed retrieval: "like this picture, but ...".

What is relevant to a query (I, t), never the query picture itself:

- ``captions``: t says how picture J differs from I; J is relevant, and pictures with J's caption.
- ``classes``: t says how class b differs from I's class; the pictures of b are relevant.
- an attribute: t says that the first has more of it (less of it); pictures with a larger (smaller) value are
  relevant, of those that have I's label where I has one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pcclip.errors import DataError
from pcclip.evaluation.pairing import PairSet, Rows, attribute_values
from pcclip.evaluation.view import Estimate, Estimates, View
from pcclip.metrics.composed import composed_ranks
from pcclip.metrics.retrieval import caption_groups
from pcclip.metrics.statistics import mean_over
from pcclip.suites import Attribute

Relevant: TypeAlias = Callable[[Rows], NDArray[np.bool_]]  # of some queries: (q, n)
KS = (1, 5, 10)
_BLOCK = 512  # queries at once: memory is block · pictures


def composed(view: View) -> Estimates:
    """Take R@1, R@5 and R@10 of ``f(I) + weight · g(t)`` among the test pictures, for each source of texts."""
    found = False
    attributes = {attribute.name: attribute for attribute in view.task.attributes}
    for pairs in view.ready.pairs:
        if pairs.part == "captions":
            estimates = list(_of_captions(view, pairs))
        elif pairs.part in attributes:
            estimates = list(_of_attribute(view, attributes[pairs.part]))
        else:
            estimates = []
        found |= bool(estimates)
        yield from estimates
    if view.ready.comparatives:
        found = True
        yield from _of_classes(view)
    if not found:
        raise DataError("no query of a picture and a text has a relevant picture")


def _of_captions(view: View, pairs: PairSet) -> Estimates:
    # t_ij says how i differs from j: j is the query's picture and i is what it should find
    groups = caption_groups([example.caption for example in view.task.examples])
    yield from _recalls(view, pairs.part, pairs.second, pairs.texts, lambda q: groups[pairs.first[q], None] == groups)


def _of_classes(view: View) -> Estimates:
    column = {label: place for place, label in enumerate(view.ready.classes)}
    queries: list[int] = []
    texts: list[str] = []
    targets: list[int] = []
    for one in view.ready.comparatives:  # how first differs from second: pictures of second should find first
        target = column[one.first]
        rows = np.flatnonzero(view.labels == column[one.second])
        if (view.labels == target).any():
            queries += rows.tolist()
            texts += [one.text] * len(rows)
            targets += [target] * len(rows)
    wanted = np.array(targets, np.int64)
    if queries:
        yield from _recalls(view, "classes", np.array(queries), tuple(texts), lambda q: wanted[q, None] == view.labels)


def _of_attribute(view: View, attribute: Attribute) -> Estimates:
    rows, known = attribute_values(view.task.examples, attribute.name)
    values = np.full(len(view.images), np.nan)
    values[rows] = known
    both = np.concatenate([rows, rows])
    sign = np.repeat([1, -1], len(rows))
    texts = (attribute.more,) * len(rows) + (attribute.less,) * len(rows)

    def relevant(of: Rows) -> NDArray[np.bool_]:
        own = view.labels[both[of], None]
        further = (values - values[both[of], None]) * sign[of, None] > 0  # NaN is not
        return np.asarray(further & ((own == view.labels) | (own < 0)))

    yield from _recalls(view, attribute.name, both, texts, relevant)


def _recalls(view: View, part: str, queries: Rows, texts: tuple[str, ...], relevant: Relevant) -> Estimates:
    ranks, kept = [], []
    for start in range(0, len(queries), _BLOCK):
        of = np.arange(start, min(start + _BLOCK, len(queries)))
        right = relevant(of)
        right[np.arange(len(of)), queries[of]] = False
        of, right = of[right.any(axis=1)], right[right.any(axis=1)]
        if len(of):
            text = view.embed_texts([texts[q] for q in of])
            ranks.append(composed_ranks(view.images, queries[of], text, right, view.settings.weight))
            kept.append(queries[of])
    if not ranks:
        return
    rank, pictures = np.concatenate(ranks), np.concatenate(kept)
    for k in KS:
        if k < len(view.images) - 1:
            hits = (rank < k).astype(float)
            yield Estimate(f"composed_r{k}", part, float(hits.mean()), len(hits), (), mean_over(hits, pictures))
