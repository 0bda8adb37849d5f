"""The measures, each a small function of embeddings with its formula.

Rows are unit vectors: ``f(I)`` of pictures, ``g(t)`` of texts; ``N(v)`` is ``v / |v|``. One module a subject.
What needs SciPy or scikit-learn is imported from its module (``pcclip.metrics.ranking``), so that using a model
costs neither.
"""

from __future__ import annotations

from pcclip.metrics.classification import accuracy
from pcclip.metrics.difference import difference_accuracy, difference_cosines, difference_swap_accuracy
from pcclip.metrics.retrieval import recall_at, retrieval

__all__ = [
    "accuracy",
    "difference_accuracy",
    "difference_cosines",
    "difference_swap_accuracy",
    "recall_at",
    "retrieval",
]
