"""A model in use: compare two pictures, rank many, search, predict."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pcclip import boundary, metrics
from pcclip.data import Dataset, read
from pcclip.embeddings import EmbeddedFiles, EmbeddingStore, embed
from pcclip.errors import DataError, UsageError
from pcclip.interfaces import Classifier, Embedder
from pcclip.knowledge import warn_of_unread
from pcclip.labelled import embed_labelled
from pcclip.plugins import registry
from pcclip.progress import Progress
from pcclip.types import (
    ClassComparative,
    ClassKnowledge,
    Comparison,
    FloatArray,
    LabelledEmbeddings,
    Prediction,
    Ranked,
)

log = logging.getLogger(__name__)
Pictures: TypeAlias = Sequence[str | Path] | EmbeddedFiles


class Model:
    """A CLIP model, finetuned or not, that answers in the words of the task.

    Methods take picture paths, or what :meth:`embed` returned for them, so that pictures are
    embedded once for many questions. A path that cannot be read is an error; what ``embed`` set
    aside is left out.

    Args:
        embedder: the towers.
        name: what to call it in messages.
        store: the embedding cache; by default the shared one.
    """

    def __init__(self, embedder: Embedder, name: str = "model", store: EmbeddingStore | None = None) -> None:
        self.embedder = embedder
        self.name = name
        self._store = store

    @classmethod
    def from_backbone(cls, name: str, options: Mapping[str, Any] | None = None) -> Model:
        """Return an untuned backbone as a model: the baseline."""
        return cls(registry().embedder(name, options), name)

    def embed(self, images: Sequence[str | Path], progress: Progress | None = None) -> EmbeddedFiles:
        """Embed picture files through the cache; unreadable ones come back as quarantine rows."""
        return embed(self.embedder, [Path(image) for image in images], store=self._store, progress=progress)

    def compare(self, first: str | Path, second: str | Path, text: str) -> Comparison:
        """Say whether ``text``, which speaks of the first picture against the second, fits that order.

        Raises:
            DataError: a picture cannot be read, or both have the same content.
            UsageError: the text is empty.
        """
        _, embeddings = self._pictures([first, second])
        if np.array_equal(embeddings[0], embeddings[1]):
            raise DataError(f"{first} and {second} have the same content; there is no difference to describe")
        cosine = float(metrics.difference_cosines(self._text(text), embeddings[:1], embeddings[1:])[0])
        return Comparison(str(first), str(second), text, cosine, cosine > 0)

    def rank(self, text: str, images: Pictures) -> list[Ranked]:
        """Return the pictures in the order of a described attribute, the strongest first.

        Since ``<f_1 - f_2, g> = <f_1, g> - <f_2, g>``, comparing all pairs is one projection a picture.

        Raises:
            DataError: a picture cannot be read.
        """
        names, embeddings = self._pictures(images)
        return _ranked(names, embeddings @ self._text(text)[0])

    def search(self, query: str | Path, text: str, images: Pictures, weight: float = 1.0) -> list[Ranked]:
        """Return the pictures nearest to "``query``, but ``text``": the cosine with ``N(f(query) + weight · g(text))``.

        Raises:
            DataError: a picture cannot be read.
        """
        target = self._pictures([query])[1][0] + weight * self._text(text)[0]
        names, embeddings = self._pictures(images)
        return _ranked(names, embeddings @ (target / max(float(np.linalg.norm(target)), 1e-12)))

    def predict(
        self,
        images: Pictures,
        classes: Sequence[str],
        *,
        strategy: str = "zero-shot",
        strategy_options: Mapping[str, Any] | None = None,
        differences: Sequence[ClassComparative] = (),
        descriptions: Mapping[str, Sequence[str]] | None = None,
        support: LabelledEmbeddings | None = None,
    ) -> list[Prediction]:
        """Classify pictures: :meth:`fit` and :meth:`classify` in one.

        Args:
            classes: at least two different names.
            strategy: name of a strategy plugin, such as ``zero-shot`` or ``comparative``.
            differences: described differences between classes, see :mod:`pcclip.differences`.
            descriptions: texts about classes, by class, see :mod:`pcclip.descriptions`.
            support: labelled pictures, see :meth:`labelled`.

        Raises:
            UsageError: the classes or options are wrong, or the strategy lacks something.
            DataError: a picture cannot be read.
            PluginError: the strategy failed, or returned scores of the wrong shape or that are not finite.
        """
        texts = {name: tuple(about) for name, about in (descriptions or {}).items()}
        knowledge = ClassKnowledge(tuple(classes), tuple(differences), texts, support)
        classifier = self.fit(knowledge, strategy=strategy, strategy_options=strategy_options)
        for note in classifier.notes:
            log.info("%s", note)
        return self.classify(images, classifier)

    def fit(
        self,
        knowledge: ClassKnowledge,
        *,
        strategy: str = "zero-shot",
        strategy_options: Mapping[str, Any] | None = None,
    ) -> Classifier:
        """Return a classifier. It knows nothing of the pictures that it will be asked about.

        Texts that the strategy does not read are named in a warning.

        Args:
            knowledge: the classes and what is known of them; :func:`pcclip.knowledge.written` has a captioner add
                to it.

        Raises:
            UsageError: the options are wrong, or the strategy lacks something.
            PluginError: the strategy failed, or returned no classifier over these classes.
        """
        made = registry().strategy(strategy, strategy_options)
        texts = [name for name in ("comparatives", "descriptions") if getattr(knowledge, name)]
        warn_of_unread([strategy], texts)
        return boundary.fit(made, self.embedder, knowledge)

    def labelled(
        self, data: str | Path | Dataset, classes: Sequence[str], progress: Progress | None = None
    ) -> LabelledEmbeddings:
        """Return the pictures of ``data`` that are of one of ``classes``, to learn from or to validate on.

        Raises:
            DataError: the data cannot be read, or has no picture of these classes.
        """
        dataset = data if isinstance(data, Dataset) else read(data, progress=progress)
        return embed_labelled(self.embedder, dataset, classes, self._store, progress)

    def classify(self, images: Pictures, classifier: Classifier) -> list[Prediction]:
        """Classify pictures with what :meth:`fit` returned.

        Raises:
            DataError: a picture cannot be read.
            PluginError: the classifier returned scores of the wrong shape or that are not finite.
        """
        names, embeddings = self._pictures(images)
        scores = boundary.checked(classifier).scores(embeddings)
        return [
            Prediction(name, classifier.classes[best], dict(zip(classifier.classes, map(float, row), strict=True)))
            for name, best, row in zip(names, scores.argmax(axis=1), scores, strict=True)
        ]

    def _text(self, text: str) -> FloatArray:
        if not text.strip():
            raise UsageError("the text is empty")
        return self.embedder.embed_texts([text])

    def _pictures(self, images: Pictures) -> tuple[list[str], FloatArray]:
        if isinstance(images, EmbeddedFiles):
            return [str(path) for path in images.paths], images.embeddings
        found = self.embed(images)
        if found.quarantined:
            bad = found.quarantined[0]
            more = f" (and {len(found.quarantined) - 1} more)" if len(found.quarantined) > 1 else ""
            raise DataError(f"cannot read {bad.id}: {bad.reason}: {bad.detail}{more}")
        return [str(image) for image in images], found.embeddings


def _ranked(names: Sequence[str], scores: FloatArray) -> list[Ranked]:
    order = np.argsort(-scores, kind="stable")
    return [Ranked(names[i], float(scores[i])) for i in order]
