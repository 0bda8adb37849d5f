"""One process or many at work on one training.

Every process knows the whole batch and encodes its share of the texts. The embeddings are gathered, the
loss is taken of all of them everywhere, and each process carries the gradient of its own embeddings back
into the text tower; the sum over the processes is the one-process gradient, with nothing to rescale. So the
gather needs no gradients, and the model no wrapper: what a gradient-cached batch does one chunk after the
other is done side by side. Any launcher that sets torch's variables will do: ``torchrun``, ``accelerate launch``.
"""

from __future__ import annotations

import os
import pickle
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pcclip.errors import RunError

# Describing pairs can take days, and all that time the other processes wait for the first one.
_PATIENCE = timedelta(days=30)

# Seconds that threads of a group get to let go of what they sent
_LETTING_GO = 3.0


class Processes:
    """This process alone.

    Attributes:
        rank: this process's number; process 0 reads, writes and speaks for all.
        count: number of processes.
        neighbours: number of processes on this machine.
    """

    rank = 0
    count = 1
    neighbours = 1

    def share(self, lengths: Tensor) -> Tensor:
        """Return which of the texts with these (M,) lengths this process encodes."""
        return self._share(lengths, self.rank)

    def gathered(self, own: Tensor, lengths: Tensor) -> Tensor:
        """Return (M, dim) rows of all texts from the (m, dim) rows of this process's share, without gradients."""
        everything = own.new_empty(len(lengths), own.shape[1])
        everything[self.share(lengths).to(own.device)] = own.detach()
        return everything

    def sum_gradients(self, trained: Iterable[nn.Parameter], everywhere: Iterable[nn.Parameter]) -> None:
        """Replace each gradient of ``trained`` by its sum over the processes.

        Args:
            everywhere: those of them whose whole gradient every process has already: a loss's own parameters.
        """

    def told(self, value: Callable[[], Any]) -> Any:
        """Return what ``value`` returns in process 0; it is called nowhere else."""
        return value()

    def _share(self, lengths: Tensor, rank: int) -> Tensor:
        # dealt out by length, so that each process gets as much work
        return torch.argsort(lengths, stable=True)[rank :: self.count]


class ProcessGroup(Processes):
    """The processes of torch's process group, which has been set up.

    Args:
        control: a group that carries Python values and waits as long as it takes.
    """

    def __init__(self, control: Any) -> None:
        self.rank = dist.get_rank()
        self.count = dist.get_world_size()
        self.neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", self.count))
        self._control = control
        self._sent: list[weakref.ref[Tensor]] = []

    def gathered(self, own: Tensor, lengths: Tensor) -> Tensor:
        if len(lengths) < self.count:
            raise RunError(f"a batch of {len(lengths)} is too small for {self.count} processes", "Raise --batch-size.")
        most = -(-len(lengths) // self.count)
        padded = own.new_zeros(most, own.shape[1])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather([self._sending(part) for part in parts], self._sending(padded))
        everything = own.new_empty(len(lengths), own.shape[1])
        for rank, part in enumerate(parts):
            share = self._share(lengths, rank).to(own.device)
            everything[share] = part[: len(share)]
        return everything

    def sum_gradients(self, trained: Iterable[nn.Parameter], everywhere: Iterable[nn.Parameter]) -> None:
        for parameter in everywhere:
            if parameter.grad is not None:
                parameter.grad /= self.count
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(self._sending(joined))
        for gradient, part in zip(gradients, torch.split(joined, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def told(self, value: Callable[[], Any]) -> Any:
        known = value() if self.rank == 0 else None
        said = bytearray(pickle.dumps(known) if self.rank == 0 else b"")
        size = torch.tensor(len(said))
        dist.broadcast(self._sending(size), src=0, group=self._control)
        said = said or bytearray(int(size))
        dist.broadcast(self._sending(torch.frombuffer(said, dtype=torch.uint8)), src=0, group=self._control)
        return known if self.rank == 0 else pickle.loads(said)

    def let_go(self) -> None:
        """Wait until no thread of the groups holds a tensor any more.

        A group of gloo in older torch (2.6) waits for its threads without giving up the interpreter's lock, which a
        thread needs to let go of a tensor: freed too early, the group would wait for ever.
        """
        until = time.monotonic() + _LETTING_GO
        while any(tensor() is not None for tensor in self._sent) and time.monotonic() < until:
            time.sleep(0.001)

    def _sending(self, tensor: Tensor) -> Tensor:
        self._sent = [*(sent for sent in self._sent if sent() is not None), weakref.ref(tensor)]
        return tensor


@contextmanager
def launched() -> Iterator[Processes]:
    """Yield the processes that a launcher started, or this process alone.

    On GPUs, process k of a machine gets GPU k.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield Processes()
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    control: Any = dist.new_group(backend="gloo", timeout=_PATIENCE)
    processes = ProcessGroup(control)
    try:
        yield processes
        dist.barrier(control)  # process 0 may hold what the others need to leave
    finally:
        processes.let_go()
        dist.destroy_process_group()
