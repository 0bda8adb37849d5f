"""The linear probe."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pcclip.errors import UsageError
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.types import ClassKnowledge
from pcclip_strategies.options import ProbeOptions

_MAX_STEPS = 1000


class Probe(Strategy):
    """Logistic regression on the embeddings of labelled pictures (Radford et al. 2021, arXiv:2103.00020, section 3.2).

    ``w, b = argmin  c · sum_i -log softmax_{y_i}(w f_i + b) + |w|² / 2``, and the score is ``<f, w_c> + b_c``. It reads
    no text, so it says what the image embeddings hold: finetuning the text tower must not change it.
    """

    needs = frozenset({"support"})

    def __init__(self, options: ProbeOptions) -> None:
        self.options = options

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        if knowledge.support is None:
            raise UsageError(
                "strategy 'probe' learns from labelled pictures, and there are none", "Bring them: --support DATA"
            )
        index = {name: i for i, name in enumerate(knowledge.names)}
        labels = np.array([index[label] for label in knowledge.support.labels])
        rows = self._chosen(knowledge.names, labels)
        model = LogisticRegression(C=self.options.c, max_iter=_MAX_STEPS)
        with warnings.catch_warnings():
            # one picture a class is no regression problem, and whether it converged is told below
            warnings.simplefilter("ignore", UserWarning)
            model.fit(knowledge.support.embeddings[rows].astype(np.float64), labels[rows])
        weights, bias = model.coef_, model.intercept_
        if len(knowledge.names) == 2:  # scikit-learn then keeps the second class's half alone
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        steps = int(model.n_iter_.max())
        unfinished = f", not converged in {steps} steps: lower --strategy-c" if steps >= _MAX_STEPS else ""
        notes = [f"probe of {len(rows)} labelled pictures{unfinished}"]
        return LinearClassifier(knowledge.names, weights.astype(np.float32), bias.astype(np.float32), notes=notes)

    def _chosen(self, names: tuple[str, ...], labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows to learn from, ascending: ``shots`` of each class, or all.

        Raises:
            UsageError: a class has too few.
        """
        rng = np.random.default_rng(self.options.seed)
        found = []
        for place, name in enumerate(names):
            rows = np.flatnonzero(labels == place)
            wanted = self.options.shots or max(1, len(rows))
            if len(rows) < wanted:
                raise UsageError(
                    f"strategy 'probe' needs {wanted} labelled picture{'s' * (wanted > 1)} of each class, and "
                    f"{name!r} has {len(rows)}",
                    "Bring more (--support DATA), leave the class out, or lower --strategy-shots.",
                )
            found.append(rng.choice(rows, wanted, replace=False) if self.options.shots else rows)
        return np.sort(np.concatenate(found))
