"""What training reads: described pairs, tokenized once, and the batches that losses see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pcclip import boundary
from pcclip.errors import PluginError
from pcclip.interfaces import Embedder, LossBatch, Tokens
from pcclip.negatives import FalseNegatives


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """What is trained on; row k is one described pair.

    Attributes:
        embeddings: (N, dim) float32 unit rows f(I) of the training pictures.
        first, second: (n,) int64 rows of ``embeddings``; the text speaks of the first against the second.
        texts: n comparatives.
        names: n pair names for messages.
        reversed_texts: n texts of the reversed pairs, None where there is none; or empty: none is known.
        captions: N captions of the pictures; or empty: none is known.
    """

    embeddings: Tensor
    first: Tensor
    second: Tensor
    texts: Sequence[str]
    names: Sequence[str]
    reversed_texts: Sequence[str | None] = ()
    captions: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def differences(self, rows: Tensor) -> Tensor:
        """Return (m, dim) image differences ``d_ij``, not normalised."""
        return self.embeddings[self.first[rows]] - self.embeddings[self.second[rows]]


@dataclass(frozen=True, slots=True)
class Request:
    """The texts that one step encodes, in one pass, and what becomes of them.

    Attributes:
        tokens: M texts on the CPU: the B comparatives, then reversed texts, then captions, as far as they are needed.
        rows: (B,) row numbers of the batch.
        reversible: (B,) booleans, or None where reversed texts are not needed.
        captions: (C,) numbers of different captions, or None where captions are not needed.
    """

    tokens: Tokens
    rows: Tensor
    reversible: Tensor | None
    captions: Tensor | None


@dataclass(slots=True)
class Batches:
    """Makes the batches of a training, with what its loss needs and nothing else.

    Args:
        embedder: tokenizes, and embeds captions as they are before training.
        pairs: the described pairs.
        needs: what the loss reads; see :attr:`pcclip.interfaces.Loss.needs`.
        false: tells false negatives, or None where every other pair of a batch counts as a negative.

    Raises:
        PluginError: the loss needs what these pairs do not have.
    """

    embedder: Embedder
    pairs: TrainingPairs
    needs: frozenset[str]
    false: FalseNegatives | None = None
    _tokens: Tokens = field(init=False)
    _reversed: Tensor | None = field(init=False, default=None)
    _caption_of: Tensor | None = field(init=False, default=None)
    _pictures: Tensor | None = field(init=False, default=None)
    _originals: Tensor | None = field(init=False, default=None)
    _first_caption: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        texts = list(self.pairs.texts)
        if self.needs & {"reversible", "reversed_text"}:
            self._need(self.pairs.reversed_texts, "the texts of reversed pairs")
            known = [text for text in self.pairs.reversed_texts if text is not None]
            places = iter(range(len(texts), len(texts) + len(known)))
            self._reversed = torch.tensor([-1 if t is None else next(places) for t in self.pairs.reversed_texts])
            texts += known
        if self.needs & {"captions", "original_captions", "caption_images"}:
            self._need(self.pairs.captions, "the captions of the pictures")
            # only of pictures that are trained on: one that is held out may have the same caption
            used = torch.unique(self.pairs.first)
            captions = [self.pairs.captions[int(picture)] for picture in used]
            different = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
            numbers = torch.tensor([different[caption] for caption in captions])
            self._caption_of = torch.full((len(self.pairs.embeddings),), -1).index_copy(0, used, numbers)
            # any of the pictures with a caption will do: the first
            last = len(self.pairs.embeddings)
            self._pictures = torch.full((len(different),), last).scatter_reduce(0, numbers, used, "amin")
            if "original_captions" in self.needs:
                self._originals = torch.from_numpy(self.embedder.embed_texts(list(different)))
            self._first_caption = len(texts)
            texts += different
        self._tokens = boundary.tokens(self.embedder, texts)

    def request(self, rows: Tensor) -> Request:
        """Return the texts that the batch of these (B,) rows encodes."""
        wanted, reversible, captions = [rows], None, None
        if self._reversed is not None:
            places = self._reversed[rows]
            reversible = places >= 0
            wanted.append(places[reversible])
        if self._caption_of is not None:
            captions = torch.unique(self._caption_of[self.pairs.first[rows]])
            wanted.append(self._first_caption + captions)
        return Request(self._tokens.take(torch.cat(wanted)), rows, reversible, captions)

    def batch(self, request: Request, encoded: Tensor) -> LossBatch:
        """Return what the loss sees.

        Args:
            encoded: (M, dim) unit rows of ``request.tokens``, in their order.
        """
        place, count = encoded.device, len(request.rows)
        extra = encoded[count:]
        turned = 0 if request.reversible is None else int(request.reversible.sum())
        captions = request.captions
        return LossBatch(
            self.pairs.differences(request.rows).to(place),
            encoded[:count],
            None if self.false is None else self.false.mask(request.rows).to(place),
            None if request.reversible is None else request.reversible.to(place),
            None if request.reversible is None else extra[:turned],
            None if captions is None else extra[turned:],
            None if captions is None or self._originals is None else self._originals[captions].to(place),
            None
            if captions is None or self._pictures is None
            else self.pairs.embeddings[self._pictures[captions]].to(place),
        )

    def _need(self, there: Sequence[object], what: str) -> None:
        if not there:
            raise PluginError(f"the loss needs {what}, which these training pairs do not hold")
