"""The linear probe: what a linear classifier of image embeddings reaches with k labelled pictures a class.

The image tower is frozen, so finetuning must not change it: it checks that nothing touched the pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pcclip.types import FloatArray

INVERSE_REGULARISATION = 10.0  # C of scikit-learn, for unit rows; as the strategy `probe` has it


def draw_shots(labels: NDArray[np.int64], shots: int, seed: int) -> NDArray[np.int64]:
    """Return up to ``shots`` rows of each label, drawn with ``seed``, ascending."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:shots] for label in np.unique(labels)]
    return np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)


def probe_predictions(support: FloatArray, support_labels: NDArray[np.int64], test: FloatArray) -> NDArray[np.int64]:
    """Return the labels that a logistic regression on ``support`` predicts for ``test``.

    Args:
        support: (m, dim), with at least two different labels.
        test: (n, dim).
    """
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2000)
    model.fit(support, support_labels)
    return np.asarray(model.predict(test), np.int64)
