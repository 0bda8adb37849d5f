"""What a loss promises."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pcclip.interfaces import Loss, LossBatch
from pcclip.objective import NEEDS
from pcclip.testing.contract import Contract, fail, require

_ROWS, _DIM, _CAPTIONS = 6, 8, 5
_EXTRA = tuple(field.name for field in fields(LossBatch) if field.name in NEEDS)
_WITH_GRADIENT = ("text", "reversed_text", "captions")


class LossContract(Contract):
    """What every loss promises; see :class:`pcclip.interfaces.Loss`."""

    kind: ClassVar[str] = "loss"

    @classmethod
    def batch(cls, dtype: torch.dtype = torch.float32) -> LossBatch:
        """Return a batch of six pairs that holds everything, without false negatives."""
        generator = torch.Generator().manual_seed(0)

        def unit(rows: int) -> Tensor:
            return F.normalize(torch.randn(rows, _DIM, generator=generator, dtype=torch.float64), dim=-1).to(dtype)

        reversible = torch.tensor([True, False, True, True, False, True])
        batch = LossBatch(
            image_differences=unit(_ROWS) - unit(_ROWS),
            text=unit(_ROWS),
            reversible=reversible,
            reversed_text=unit(int(reversible.sum())),
            captions=unit(_CAPTIONS),
            original_captions=unit(_CAPTIONS),
            caption_images=unit(_CAPTIONS),
        )
        for name in _WITH_GRADIENT:
            getattr(batch, name).requires_grad_()
        return batch

    def needed(self, batch: LossBatch, loss: Loss) -> LossBatch:
        """Return the batch without what the loss did not ask for, as training gives it."""
        without: dict[str, Any] = dict.fromkeys(set(_EXTRA) - loss.needs)
        return replace(batch, **without)

    def value(self, loss: Loss, batch: LossBatch) -> Tensor:
        """Return the loss of a batch under one seed, and make sure that it is a finite scalar."""
        torch.manual_seed(1)
        value = loss(batch)
        if not isinstance(value, Tensor):
            fail(f"it returned a {type(value).__name__}, not a tensor")
        require(value.ndim == 0, f"it returned shape {tuple(value.shape)}, not a scalar")
        exact = value.dtype in (torch.float32, torch.float64)
        require(exact, f"it returned {value.dtype}, too coarse for a gradient: return float32")
        require(bool(torch.isfinite(value)), f"it returned {float(value.detach())}")
        return value

    def test_it_needs_what_batches_hold(self) -> None:
        """What it needs is what a batch can hold."""
        unknown = sorted(set(self.shared().needs) - NEEDS)
        require(not unknown, f"it needs {', '.join(unknown)}; a batch can hold {', '.join(sorted(NEEDS))}")

    def test_it_is_a_finite_scalar_with_a_finite_gradient(self) -> None:
        """The loss is a finite scalar, and its gradient to the texts is finite and not zero everywhere."""
        loss: Loss = self.make()
        batch = self.needed(self.batch(), loss)
        self.value(loss, batch).backward()  # type: ignore[no-untyped-call]
        gradients = [tensor.grad for name in _WITH_GRADIENT if (tensor := getattr(batch, name)) is not None]
        found = torch.cat([gradient for gradient in gradients if gradient is not None] or [torch.zeros(0, _DIM)])
        require(torch.isfinite(found).all(), "the gradient is not finite")
        require(bool(found.any()), "the gradient is zero or missing: the loss does not depend on the texts")
        for name, parameter in loss.named_parameters():
            if parameter.requires_grad:
                gradient = parameter.grad
                if gradient is None:
                    fail(
                        f"no gradient reaches its parameter {name}, which is never trained: use it, or make it a buffer"
                    )
                require(torch.isfinite(gradient).all(), f"the gradient of its parameter {name} is not finite")

    def test_the_gradient_is_the_slope(self) -> None:
        """The gradient agrees with finite differences in double precision."""
        loss: Loss = self.make().double()
        batch = self.needed(self.batch(torch.float64), loss)
        self.value(loss, batch).backward()  # type: ignore[no-untyped-call]
        generator, step = torch.Generator().manual_seed(1), 1e-6
        for name in _WITH_GRADIENT:
            tensor = getattr(batch, name)
            if tensor is None or tensor.grad is None:
                continue
            way = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            up, down = (
                float(self.value(loss, replace(batch, **{name: (tensor + sign * step * way).detach()})).detach())
                for sign in (1, -1)
            )
            slope, expected = float((tensor.grad * way).sum()), (up - down) / (2 * step)
            require(
                abs(slope - expected) <= 1e-5 + 1e-3 * abs(expected),
                f"towards {name} the gradient says {slope:.6g}, finite differences say {expected:.6g}",
            )

    def test_it_reads_only_what_it_needs(self) -> None:
        """What it did not ask for does not change it, and is not read."""
        loss: Loss = self.shared()
        full, bare = self.batch(), self.needed(self.batch(), loss)
        try:
            value = self.value(loss, bare)
        except (AttributeError, TypeError) as error:
            fail(f"it reads what it did not list in needs: {error}")
        again = self.value(loss, bare)
        require(torch.equal(value, again), "a second call with the same batch gave another value: it may keep nothing")
        require(torch.equal(value, self.value(loss, full)), "it reads what it did not list in needs")

    def test_a_batch_is_left_as_it_was(self) -> None:
        """A batch is left as it was: other losses of a sum read the same one."""
        loss: Loss = self.shared()
        batch = self.needed(self.batch(), loss)
        read = {field.name: getattr(batch, field.name) for field in fields(batch)}
        before = {name: tensor.detach().clone() for name, tensor in read.items() if tensor is not None}
        self.value(loss, batch)
        for name, was in before.items():
            require(torch.equal(read[name].detach(), was), f"it changed {name} of the batch: work on a copy")

    def test_the_order_of_pairs_does_not_matter(self) -> None:
        """The same pairs in another order, or captions in another order, have the same loss."""
        loss: Loss = self.shared()
        if self._draws(loss):
            return  # which numbers a row gets depends on its place
        pairs, captions = torch.tensor([3, 1, 5, 0, 2, 4]), torch.tensor([2, 0, 4, 1, 3])
        for masked in (False, True):
            batch = self.batch()
            if masked:
                batch = replace(batch, false_negatives=_some_false_negatives())
            turned = _in_order(batch, pairs, captions)
            was, now = (float(self.value(loss, self.needed(one, loss)).detach()) for one in (batch, turned))
            apart = abs(was - now)
            require(apart <= 1e-4, f"with the pairs in another order the loss differs by {apart:.3g}")

    def _draws(self, loss: Loss) -> bool:
        """Return whether a loss draws random numbers."""
        torch.manual_seed(1)
        before = torch.get_rng_state()
        loss(self.needed(self.batch(), loss))
        return not torch.equal(before, torch.get_rng_state())

    def test_a_batch_may_have_any_size(self) -> None:
        """Batches of two pairs and of an odd number have a finite loss."""
        loss: Loss = self.shared()
        for rows in (2, 5):
            some = _in_order(self.batch(), torch.arange(rows), torch.arange(min(rows, _CAPTIONS)))
            self.value(loss, self.needed(some, loss))

    def test_two_calls_are_equal(self) -> None:
        """Under one seed two instances give the same loss."""
        values = []
        for _ in range(2):
            loss = self.make()
            values.append(self.value(loss, self.needed(self.batch(), loss)))
        require(torch.equal(*values), f"the loss was {float(values[0].detach())} and then {float(values[1].detach())}")

    def test_hard_batches_stay_finite(self) -> None:
        """Loss and gradient stay finite where a difference is zero, where texts are equal, and where all is masked."""
        loss: Loss = self.make()
        plain = self.needed(self.batch(), loss)
        zero, equal = plain.image_differences.clone(), plain.text.detach().clone()
        zero[0], equal[1] = 0, equal[0]
        hard = {
            "a difference of zero": replace(plain, image_differences=zero),
            "two equal texts": replace(plain, text=equal.requires_grad_()),
            "every other pair a false negative": replace(plain, false_negatives=~torch.eye(_ROWS, dtype=torch.bool)),
        }
        if plain.reversible is not None and plain.reversed_text is not None:
            none = torch.zeros_like(plain.reversible)
            hard["no text that can be reversed"] = replace(
                plain, reversible=none, reversed_text=plain.reversed_text.detach()[:0].requires_grad_()
            )
        for what, batch in hard.items():
            batch = replace(batch, text=batch.text.detach().clone().requires_grad_())
            value = loss(batch)
            require(bool(torch.isfinite(value)), f"with {what} the loss is {float(value.detach())}")
            value.backward()
            gradient = batch.text.grad
            require(gradient is None or torch.isfinite(gradient).all(), f"with {what} the gradient is not finite")

    def test_a_checkpoint_restores_it(self) -> None:
        """Its parameters are all of its state: a new instance that loads them gives the same loss."""
        loss: Loss = self.make()
        with torch.no_grad():
            for parameter in loss.parameters():
                parameter.mul_(0.5)
        other: Loss = self.make()
        other.load_state_dict(loss.state_dict())
        batch = self.needed(self.batch(), loss)
        require(torch.equal(self.value(loss, batch), self.value(other, batch)), "its state is not in its state_dict")


def _some_false_negatives() -> Tensor:
    """Return the (B, B) mask in which pairs 0 and 3 are as good as each other."""
    mask = torch.zeros(_ROWS, _ROWS, dtype=torch.bool)
    mask[0, 3] = mask[3, 0] = True
    return mask


def _in_order(batch: LossBatch, pairs: Tensor, captions: Tensor) -> LossBatch:
    """Return the rows ``pairs`` and the captions ``captions`` of a batch that holds everything, in that order."""
    assert batch.reversible is not None
    assert batch.reversed_text is not None
    places = batch.reversible.cumsum(0) - 1  # of each pair in reversed_text
    reversible = batch.reversible[pairs]
    chosen: dict[str, Any] = {
        "image_differences": batch.image_differences[pairs],
        "text": batch.text[pairs],
        "reversible": reversible,
        "reversed_text": batch.reversed_text[places[pairs][reversible]],
    }
    if batch.false_negatives is not None:
        chosen["false_negatives"] = batch.false_negatives[pairs][:, pairs]
    for name in ("captions", "original_captions", "caption_images"):
        chosen[name] = getattr(batch, name)[captions]
    return replace(batch, **chosen)
