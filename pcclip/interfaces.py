"""The contract of plugins: embedders, captioners, losses and strategies.

Symbols follow the paper (arXiv:2409.09721): ``f(I)`` is an image embedding and ``g(t)`` a text
embedding, both unit vectors of length ``dim``; ``d_ij = f(I_i) - f(I_j)`` is an image difference;
``N(v)`` is ``v / |v|``. This module imports torch, so it is read only by code that computes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from pcclip.errors import UsageError
from pcclip.types import CaptionPair, ClassKnowledge, Comparative, Rejection, TopClasses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from pcclip.types import FloatArray


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokenized texts.

    Attributes:
        ids: (n, L) int64, padded on the right.
        lengths: (n,) int64, the number of real tokens of each text, at least 1.
    """

    ids: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def take(self, indices: Tensor) -> Tokens:
        """Return the texts at ``indices`` (m,), cut to the longest of them."""
        lengths = self.lengths[indices]
        longest = int(lengths.max()) if len(lengths) else 0
        return Tokens(self.ids[indices, :longest], lengths)

    def to(self, device: torch.device | str) -> Tokens:
        """Return the same tokens on ``device``."""
        return Tokens(self.ids.to(device), self.lengths.to(device))


class Embedder(ABC):
    """A CLIP-like model: an image tower that stays frozen and a text tower that can be trained.

    ``target(options)`` makes one from the plugin's options (``target(options, variant=NAME)`` when
    its spec lists variants); ``load`` makes one from a folder that ``save`` wrote.

    Attributes:
        export_formats: what ``pcclip export --format`` may name, such as ``transformers``; none by default.
    """

    export_formats: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of an embedding."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """The most tokens a text may have; longer ones are cut."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the towers live."""

    @property
    @abstractmethod
    def image_fingerprint(self) -> str:
        """Hash of everything an image embedding depends on: image tower and preprocessing.

        The key of the embedding cache. Training the text tower does not change it.
        """

    @property
    @abstractmethod
    def text_fingerprint(self) -> str:
        """Hash of everything a text embedding depends on: the text tower as it is now, and the tokenizer."""

    @abstractmethod
    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        """Return (n, dim) unit rows for n decoded pictures of any mode and size, which it leaves as they are."""

    @property
    def image_batch_size(self) -> int:
        """How many pictures ``embed_images`` is given at once."""
        return 16

    def prepare(self, image: Image) -> Image:
        """Return a picture that has the same embedding, of the size that the image tower reads.

        Called on worker threads while ``embed_images`` runs on another batch, so that large pictures are made small
        as soon as they are decoded. By default the picture as it is: right, but slower, and whole batches of large
        pictures lie in memory.
        """
        return image

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokenize on the CPU, cut to ``context_length``; special-looking text is plain text."""

    @abstractmethod
    def token_count(self, text: str) -> int:
        """Number of tokens of ``text`` before any cutting, end markers included."""

    @abstractmethod
    def encode_text(self, tokens: Tokens) -> Tensor:
        """Return g(t): (n, dim) float32 unit rows on ``device``, with gradients where they are enabled.

        The same tokens give the same rows, in training too: gradient caching computes them twice.
        """

    @property
    def packs(self) -> bool:
        """Whether :meth:`encode_text` computes real tokens only, so that texts need not be grouped by length."""
        return False

    @abstractmethod
    def trainable(self, scope: str) -> Mapping[str, nn.Parameter]:
        """Return the text parameters of ``scope`` by stable names.

        Scopes: ``blocks`` (the transformer blocks, as in the paper), ``text`` (the whole text tower),
        ``projection`` (the last linear map), ``last-N`` (the last N blocks).

        Raises:
            UsageError: the scope is unknown; the message lists those there are.
        """

    def blocks(self) -> nn.Module:
        """Return the module that holds the transformer blocks, for adapters (scope ``lora``).

        Raises:
            UsageError: this embedder has none that adapters fit.
        """
        raise UsageError(f"embedder {type(self).__name__} has no place for adapters", "Choose another --train.")

    @abstractmethod
    def save(self, folder: Path) -> Mapping[str, object]:
        """Write weights and tokenizer into ``folder`` (safetensors and JSON, never pickle).

        Returns:
            JSON values that ``load`` needs: architecture, activation, preprocessing. The core keeps
            them in ``embedder.json`` beside the plugin's name.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: Mapping[str, object], device: str = "auto") -> Embedder:
        """Read what ``save`` wrote; ``config`` is what it returned. Needs no network.

        Raises:
            PcclipError: a file is missing or damaged; the message names the folder.
        """

    def export(self, format_: str, folder: Path) -> str:
        """Write the model into ``folder``, empty, as another library keeps it (safetensors and JSON, never pickle).

        The core makes the folder, adds the model card and throws all of it away when this raises.

        Args:
            format_: one of ``export_formats``.

        Returns:
            Python code for the card that loads the folder, given as ``"path/of/this/folder"``, with that library,
            and compares two pictures, ``"a.jpg"`` and ``"b.jpg"``.

        Raises:
            UsageError: this model has no form in that library; the message says why.
            MissingDependencyError: the library is not installed.
        """
        raise UsageError(f"this backbone cannot be exported as {format_!r}")

    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> FloatArray:
        """Return (n, dim) unit rows for n texts.

        Raises:
            PluginError: the tokens or rows are not what they should be.
        """
        import numpy as np

        from pcclip import boundary

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        tokens = boundary.tokens(self, texts)
        order = torch.argsort(tokens.lengths, stable=True)
        out = np.empty((len(texts), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]
                out[rows.numpy()] = boundary.text_features(self, tokens.take(rows).to(self.device)).cpu().numpy()
        return boundary.unit_rows(self, out, len(texts), f"embedding {len(texts)} texts")


class Captioner(ABC):
    """A writer of comparatives: it sees two captions and says how the first differs from the second.

    The core asks for ``chunk_size`` pairs at a time and stores each chunk as a whole, so the answers
    of a chunk must depend on nothing outside that chunk: that is what makes a run that was cut off
    end in the same texts.
    """

    chunk_size: int = 128

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of everything an answer depends on: model, prompt, sampling."""

    @property
    def label(self) -> str:
        """What a person calls this writer in reports, such as ``llama gemma3-270m``; never holds a secret."""
        return type(self).__name__

    @abstractmethod
    def describe(self, pairs: Sequence[CaptionPair]) -> Iterator[Comparative | Rejection]:
        """Yield exactly one answer for each pair, in any order, each as soon as it is there."""

    def describe_classes(self, names: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each class name once, with sentences about what pictures of that class look like; none where it failed.

        The core asks for at most ``chunk_size`` names at a time and keeps the answers under ``fingerprint``.

        Raises:
            UsageError: this captioner writes no descriptions of classes.
        """
        raise UsageError(
            f"captioner {type(self).__name__} writes no descriptions of classes",
            "Bring them in a file (--descriptions FILE), or choose another captioner, such as llama or chat.",
        )

    def close(self) -> None:  # noqa: B027 - most captioners hold nothing to free
        """Free the model; calling it twice is harmless."""

    def __enter__(self) -> Captioner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class LossBatch:
    """What a loss sees of a batch of B described pairs: embeddings, never texts or pictures.

    The first two are always there. The others come at the price of encoding more texts, so they are there only
    where the loss lists them in :attr:`Loss.needs`.

    Attributes:
        image_differences: (B, dim) rows ``d_ij``, *not* normalised.
        text: (B, dim) unit rows ``g(t_ij)``, with gradients. Row k belongs to row k.
        false_negatives: (B, B) booleans, or None where every other row is a negative. True where text k is as
            good as true of difference l, so that neither shall push the other away. Never true on the diagonal.
        reversible: (B,) booleans, true where the text of the reversed pair is known.
        reversed_text: (R, dim) unit rows ``g(t_ji)`` of the R reversible rows, in their order, with gradients.
        captions: (C, dim) unit rows ``g(c_i)`` of the C different captions of the first pictures, with gradients.
        original_captions: (C, dim) the same captions as the text tower embedded them before training.
        caption_images: (C, dim) ``f(I_i)`` of a picture that has the caption.
    """

    image_differences: Tensor
    text: Tensor
    false_negatives: Tensor | None = None
    reversible: Tensor | None = None
    reversed_text: Tensor | None = None
    captions: Tensor | None = None
    original_captions: Tensor | None = None
    caption_images: Tensor | None = None


class Loss(nn.Module, ABC):
    """What training minimises over a batch of described pairs.

    Its own parameters, such as a learned temperature, are trained and kept in checkpoints like the text tower's.

    Attributes:
        needs: names of the fields of :class:`LossBatch` that it reads beside the first three.
    """

    needs: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, batch: LossBatch) -> Tensor:
        """Return the scalar loss, float32. It leaves the batch as it is, and does not depend on the order of pairs."""


_FEW = 12  # so many passes for the largest one are faster than sorting


class Classifier(ABC):
    """A fitted strategy.

    Attributes:
        notes: sentences for a person about what fitting chose, such as a weight found on labelled pictures.
        baseline: the same classifier without the described differences, for strategies that start from one.
    """

    notes: tuple[str, ...] = ()
    baseline: Classifier | None = None

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The k class names, as they were given to ``fit`` and in that order, which is that of the score columns."""

    @abstractmethod
    def scores(self, embeddings: FloatArray) -> FloatArray:
        """Return (n, k) scores of (n, dim) unit image embeddings; the largest wins."""

    def predict(self, embeddings: FloatArray, top: int = 1, *, block: int = 4096) -> TopClasses:
        """Return the ``top`` best classes of each picture, without ever holding all scores.

        Args:
            embeddings: (n, dim) unit rows; a memory-mapped array is read block by block.
            top: how many, cut to the number of classes. Of equal scores the first class wins.
            block: pictures at a time; memory beside the result is about ``block · k`` scores.

        Raises:
            UsageError: ``top`` or ``block`` is less than 1.
        """
        import numpy as np

        if top < 1 or block < 1:
            raise UsageError(f"top and block are at least 1, not {top} and {block}")
        count, top = len(embeddings), min(top, len(self.classes))
        found = TopClasses(np.empty((count, top), np.int64), np.empty((count, top), np.float32))
        for start in range(0, count, block):
            rows = slice(start, start + block)
            scores = self.scores(embeddings[rows])
            found.indices[rows] = _best(scores, top)
            found.scores[rows] = np.take_along_axis(scores, found.indices[rows], axis=1)
        return found


def _best(scores: FloatArray, top: int) -> NDArray[np.int64]:
    """Return the columns of the ``top`` largest scores of each row, the largest first."""
    import numpy as np

    if top > _FEW:
        sorted_: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        return sorted_
    best = np.empty((len(scores), top), np.int64)
    left = scores if top == 1 else scores.copy()
    for place in range(top):
        best[:, place] = left.argmax(axis=1)
        if place + 1 < top:
            np.put_along_axis(left, best[:, place, None], -np.inf, axis=1)
    return best


class LinearClassifier(Classifier):
    """Score = ``f . w_c + b_c``: one matrix product for all pictures and classes.

    Args:
        classes: k names.
        weights: (k, dim) float32. Where they are unit rows, scores are cosines.
        bias: (k,) float32, or None for 0.
    """

    def __init__(
        self,
        classes: Sequence[str],
        weights: FloatArray,
        bias: FloatArray | None = None,
        *,
        notes: Sequence[str] = (),
        baseline: Classifier | None = None,
    ) -> None:
        if weights.ndim != 2 or len(classes) != weights.shape[0]:
            raise ValueError(f"weights of shape {weights.shape} do not fit {len(classes)} classes")
        if bias is not None and bias.shape != (len(classes),):
            raise ValueError(f"a bias of shape {bias.shape} does not fit {len(classes)} classes")
        self._classes = tuple(classes)
        self.weights = weights
        self.bias = bias
        self.notes = tuple(notes)
        self.baseline = baseline

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def scores(self, embeddings: FloatArray) -> FloatArray:
        scores: FloatArray = embeddings @ self.weights.T
        if self.bias is not None:
            scores += self.bias
        return scores


class Strategy(ABC):
    """A way to classify images. It sees embeddings, never pixels, so cached embeddings serve them all.

    Attributes:
        needs: fields of :class:`pcclip.types.ClassKnowledge` that it cannot do without: ``comparatives``,
            ``descriptions``, ``support``. A captioner, where one was chosen, is asked for these.
        reads: fields that it makes use of where they are there, beside ``needs``. Whoever brings another one is told
            that it is not read.
        draws: of how many seeds an evaluation takes the mean accuracy, where chance is in the strategy; its options
            then have a field ``seed``.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset()
    draws: ClassVar[int] = 1

    @abstractmethod
    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        """Return a classifier over the classes of ``knowledge``, which it leaves as it is. It may be called again.

        Raises:
            UsageError: ``knowledge`` lacks what this strategy needs; the message says how to bring it.
        """
