"""Where the core takes results from plugins: each is checked once, here, and what is wrong names the plugin.

The rest of the core calls plugins through these functions, and can believe what it gets. The contracts of
:mod:`pcclip.testing` check more, before a plugin is published; these checks are cheap enough for every call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pcclip.errors import PluginError
from pcclip.faults import blaming, who
from pcclip.interfaces import Captioner, Classifier, Embedder, Loss, LossBatch, Strategy, Tokens
from pcclip.types import CaptionPair, ClassKnowledge, Comparative, FloatArray, Rejection, TopClasses

if TYPE_CHECKING:
    from PIL.Image import Image

_OFF = 1e-3  # how far the length of a row may be from 1


def fingerprint(kind: str, made: Captioner | Embedder, what: str = "fingerprint") -> str:
    """Return the fingerprint of a plugin's object, which is a key of what is stored.

    Args:
        what: which one: ``fingerprint``, ``image_fingerprint``, ``text_fingerprint``.

    Raises:
        PluginError: asking for it failed, or it is no text.
    """
    name = who(kind, made)
    with blaming(name, f"telling its {what}"):
        found = getattr(made, what)
    if not isinstance(found, str) or not found:
        raise PluginError(f"{name} has the {what} {found!r}, which is no text")
    return found


def chunk_size(captioner: Captioner) -> int:
    """Return how many pairs a captioner is asked for at a time.

    Raises:
        PluginError: it is no number of pairs.
    """
    return _at_a_time("captioner", captioner, "chunk_size", "pairs")


def image_batch_size(embedder: Embedder) -> int:
    """Return how many pictures an embedder is given at a time.

    Raises:
        PluginError: it is no number of pictures.
    """
    return _at_a_time("embedder", embedder, "image_batch_size", "pictures")


def _at_a_time(kind: str, made: Captioner | Embedder, what: str, items: str) -> int:
    name = who(kind, made)
    with blaming(name, f"telling its {what}"):
        found = getattr(made, what)
    if not isinstance(found, int) or found < 1:
        raise PluginError(f"{name} has the {what} {found!r}, which is no number of {items}")
    return found


def image_embeddings(embedder: Embedder, images: Sequence[Image]) -> FloatArray:
    """Return (n, dim) float32 unit rows f(I).

    Raises:
        PluginError: the embedder failed, or returned another shape, NaN, or rows that are not of unit length.
    """
    what = f"embedding {len(images)} pictures"
    with blaming(who("embedder", embedder), what):
        rows = embedder.embed_images(images)
    return unit_rows(embedder, rows, len(images), what)


def prepared(embedder: Embedder, image: Image) -> Image:
    """Return the picture as small as the image tower reads it.

    Raises:
        PluginError: the embedder failed, or returned no picture.
    """
    with blaming(who("embedder", embedder), "preparing a picture"):
        small = embedder.prepare(image)
        small.load()
    return small


def tokens(embedder: Embedder, texts: Sequence[str]) -> Tokens:
    """Return the texts as tokens.

    Raises:
        PluginError: the embedder failed, or returned another number of texts.
    """
    with blaming(who("embedder", embedder), f"tokenizing {len(texts)} texts"):
        found = embedder.tokenize(texts)
        shape = (len(found.ids), len(found.lengths))
    if shape != (len(texts), len(texts)):
        raise PluginError(
            f"{who('embedder', embedder)} made ids of {shape[0]} and lengths of {shape[1]} texts out of {len(texts)}"
        )
    return found


def text_features(embedder: Embedder, tokens: Tokens) -> Tensor:
    """Return (n, dim) float32 rows g(t), with gradients where they are enabled; finite or not is not looked at.

    Raises:
        PluginError: the embedder failed, or returned another shape.
    """
    name = who("embedder", embedder)
    with blaming(name, f"encoding {len(tokens)} texts"):
        rows = embedder.encode_text(tokens)
        shape, expected = tuple(rows.shape), (len(tokens), embedder.dim)
    if shape != expected:
        raise PluginError(f"{name} returned shape {shape} for {len(tokens)} texts, not {expected}")
    return rows.float()


def unit_rows(embedder: Embedder, rows: FloatArray, count: int, what: str) -> FloatArray:
    """Return ``rows`` as float32 where they are (count, dim) finite unit rows.

    Raises:
        PluginError: they are not.
    """
    name, expected = who("embedder", embedder), (count, embedder.dim)
    if not isinstance(rows, np.ndarray) or rows.shape != expected:
        found = f"shape {rows.shape}" if isinstance(rows, np.ndarray) else f"a {type(rows).__name__}"
        raise PluginError(f"{name} returned {found} in {what}, not an array of shape {expected}")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise PluginError(f"{name} returned {count - int(finite.sum())} rows of {count} that are not finite in {what}")
    norms = np.linalg.norm(rows, axis=1)
    if np.abs(norms - 1).max(initial=0) > _OFF:
        raise PluginError(
            f"{name} returned rows that are not of unit length in {what}: {norms.min():.3g} to {norms.max():.3g}"
        )
    return np.ascontiguousarray(rows, np.float32)


def answers(captioner: Captioner, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
    """Yield exactly one answer to each of ``pairs``, which are all different, in the captioner's order.

    Raises:
        PluginError: the captioner failed, answered what it was not asked or a pair twice, or left one out.
    """
    name = who("captioner", captioner)
    unanswered = {pair.key: pair for pair in pairs}
    with blaming(name, f"describing {len(pairs)} pairs"):
        for answer in captioner.describe(pairs):
            if not isinstance(answer, Comparative | Rejection):
                raise PluginError(f"{name} yielded a {type(answer).__name__}, neither a Comparative nor a Rejection")
            if unanswered.pop(answer.pair.key, None) is None:
                raise PluginError(f"{name} answered a pair twice or unasked: {answer.pair}")
            yield answer
    if unanswered:
        first = next(iter(unanswered.values()))
        raise PluginError(f"{name} left {len(unanswered)} of {len(pairs)} pairs unanswered, first: {first}")


def class_descriptions(captioner: Captioner, names: Sequence[str]) -> dict[str, list[str]]:
    """Return what a captioner says of each of ``names``, which are all different; nothing where it failed.

    Raises:
        UsageError: this captioner writes no descriptions of classes.
        PluginError: the captioner failed, described what it was not asked or a class twice, or left one out.
    """
    name, found = who("captioner", captioner), dict[str, list[str]]()
    with blaming(name, f"describing {len(names)} classes"):
        for one, texts in captioner.describe_classes(names):
            if one not in names or one in found:
                raise PluginError(f"{name} described a class twice or unasked: {one!r}")
            found[one] = [texts] if isinstance(texts, str) else list(texts)
    if any(not isinstance(text, str) or not text.strip() for texts in found.values() for text in texts):
        raise PluginError(f"{name} described a class by what is no text")
    left_out = [one for one in names if one not in found]
    if left_out:
        raise PluginError(f"{name} left out the class {left_out[0]!r}")
    return found


def loss_value(loss: Loss, batch: LossBatch) -> Tensor:
    """Return the scalar loss of a batch; finite or not is not looked at.

    Raises:
        PluginError: the loss failed, or returned anything else.
    """
    name = who("loss", loss)
    with blaming(name, f"a batch of {len(batch.text)} pairs"):
        value = loss(batch)
    if not isinstance(value, Tensor) or value.ndim:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise PluginError(f"{name} returned {found}, not a scalar tensor")
    return value


def fit(strategy: Strategy, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
    """Return a classifier over the classes of ``knowledge`` whose scores are checked whenever it is asked.

    Raises:
        UsageError: ``knowledge`` lacks what the strategy needs.
        PluginError: the strategy failed, or returned no classifier over these classes.
    """
    name = who("strategy", strategy)
    with blaming(name, f"learning {len(knowledge.names)} classes"):
        classifier = strategy.fit(embedder, knowledge)
        classes = tuple(classifier.classes) if isinstance(classifier, Classifier) else ()
    if classes != knowledge.names:
        found = f"classes {classes}" if classes else f"a {type(classifier).__name__}"
        raise PluginError(f"{name} returned {found}, not a classifier over {knowledge.names}")
    baseline = classifier.baseline
    if baseline is not None and not (isinstance(baseline, Classifier) and tuple(baseline.classes) == classes):
        raise PluginError(f"{name} returned a baseline that is no classifier over {knowledge.names}")
    return _Checked(classifier, name)


def checked(classifier: Classifier) -> Classifier:
    """Return a classifier that checks its scores, for one that may not come from :func:`fit`."""
    return classifier if isinstance(classifier, _Checked) else _Checked(classifier, who("classifier", classifier))


class _Checked(Classifier):
    """A classifier of a plugin's, whose scores are finite and a row a picture whenever it is asked.

    Args:
        inner: the plugin's own.
        who: what messages call the plugin.
    """

    def __init__(self, inner: Classifier, who: str) -> None:
        self._inner, self._who = inner, who
        self.notes = (inner.notes,) if isinstance(inner.notes, str) else tuple(map(str, inner.notes))
        self.baseline = None if inner.baseline is None else _Checked(inner.baseline, who)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self._inner.classes)

    def scores(self, embeddings: FloatArray) -> FloatArray:
        with blaming(self._who, f"scoring {len(embeddings)} pictures"):
            scores = self._inner.scores(embeddings)
        expected = (len(embeddings), len(self.classes))
        if not isinstance(scores, np.ndarray) or scores.shape != expected:
            found = f"shape {scores.shape}" if isinstance(scores, np.ndarray) else f"a {type(scores).__name__}"
            raise PluginError(f"{self._who} returned scores of {found}, not an array of shape {expected}")
        finite = np.isfinite(scores).all(axis=1)
        if not finite.all():
            bad = len(scores) - int(finite.sum())
            raise PluginError(f"{self._who} returned scores that are not finite for {bad} of {len(scores)} pictures")
        return scores

    def predict(self, embeddings: FloatArray, top: int = 1, *, block: int = 2048) -> TopClasses:
        if type(self._inner).predict is Classifier.predict:
            return super().predict(embeddings, top, block=block)
        with blaming(self._who, f"classifying {len(embeddings)} pictures"):
            found = self._inner.predict(embeddings, top, block=block)
            shapes = (found.indices.shape, found.scores.shape)
            known = bool(((found.indices >= 0) & (found.indices < len(self.classes))).all())
        expected = (len(embeddings), min(top, len(self.classes)))
        if shapes != (expected, expected) or not known or not np.isfinite(found.scores).all():
            raise PluginError(
                f"{self._who} returned best classes of shapes {shapes}, of which one is no class or score"
            )
        return found
