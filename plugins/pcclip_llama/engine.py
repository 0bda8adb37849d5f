"""Fills the slots of many sentences at once: continuous batching over one shared cache.

The prompt that many jobs share is evaluated once and its cells are shared by their sequences; jobs
of one prompt should come one after another. Known text between slots is fed together with everybody
else's next tokens, so it costs no step of its own.

A call of ``run`` begins from a cleared cache and schedules by the order of its jobs alone, so its
answers depend on nothing but those jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pcclip.errors import PluginError, UsageError
from pcclip_llama.native import Context, Row, Sampling
from pcclip_llama.slots import Slot

VERSION = 1  # part of every fingerprint: raise it when the same jobs could get other answers
GREEDY = Sampling()

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Job(Generic[K]):
    """One sentence to write.

    Attributes:
        key: the caller's own, handed back with the answer.
        prefix: index of the prefix that was given to the engine.
        prompt: tokens after the prefix, the sentence's opening words and the first slot's start included;
            at least one.
        slots: the gaps, in order.
        between: text to feed before each slot but the first.
        sampling: how to draw tokens.
    """

    key: K
    prefix: int
    prompt: tuple[int, ...]
    slots: tuple[Slot, ...]
    between: tuple[str, ...]
    sampling: Sampling = GREEDY


@dataclass(frozen=True, slots=True)
class Answer(Generic[K]):
    """What the model wrote.

    Attributes:
        job: what was asked.
        texts: the content of each slot begun.
        trouble: None, ``cut-off`` (a slot ran into its limit) or ``context-overflow`` (the job alone
            does not fit into the cache).
    """

    job: Job[K]
    texts: tuple[str, ...]
    trouble: str | None = None


@dataclass(slots=True)
class _Sequence(Generic[K]):
    """A job at work in one sequence of the cache."""

    job: Job[K]
    number: int
    position: int
    pending: list[int]
    sampler: Any
    slot: int = 0
    written: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class Engine:
    """The batched decoder.

    Args:
        context: made for at least ``n_parallel + len(prefixes)`` sequences.
        prefixes: the tokens of each shared beginning of a prompt.
        n_parallel: the most jobs at work at one time.

    Raises:
        UsageError: a prefix does not fit into the context.
    """

    def __init__(self, context: Context, prefixes: list[list[int]], n_parallel: int) -> None:
        longest = max(map(len, prefixes))
        if longest + 32 > context.n_ctx:
            raise UsageError(
                f"the prompt has {longest} tokens, which does not fit into n_ctx={context.n_ctx}",
                f"Set n_ctx to at least {longest + 256}, or shorten the prompt.",
            )
        self._context = context
        self._prefixes = prefixes
        self._n_parallel = n_parallel
        self._states: dict[int, Any] = {}
        self._run = 0

    def run(self, jobs: deque[Job[K]]) -> Generator[Answer[K], None, None]:
        """Yield an answer for every job, as each is done; jobs appended meanwhile are done too.

        Those may have no prefix that the first ones did not have.

        Raises:
            PluginError: llama.cpp failed, or ``stop`` or a later call of ``run`` has ended this one.
        """
        self._run += 1
        this = self._run
        context = self._context
        for prefix in sorted({job.prefix for job in jobs} - self._states.keys()):
            self._evaluate(prefix)
        context.clear()
        greedy = context.sampler(GREEDY)
        loaded: set[int] = set()
        free = deque(range(len(self._prefixes), len(self._prefixes) + self._n_parallel))
        active: list[_Sequence[K]] = []
        limit = self._n_parallel
        done = 0
        try:
            while jobs or active:
                while jobs and len(active) < limit:
                    if not self._load(jobs[0].prefix, loaded):
                        break
                    active.append(self._begin(jobs.popleft(), free.popleft(), greedy))
                answers, decoded = self._step(active) if active else ([], False)
                for sequence, _ in answers:
                    self._end(sequence, active, free, greedy)
                if not decoded:
                    # The cache is full: the youngest starts again later, the others go on.
                    given_up = not active or (len(active) == 1 and loaded <= {active[0].job.prefix})
                    if active:
                        youngest = active[-1]
                        self._end(youngest, active, free, greedy)
                        jobs.appendleft(youngest.job)
                        limit = max(1, len(active))
                    if not active:
                        self._unload(loaded)
                    if given_up:
                        yield Answer(jobs.popleft(), (), "context-overflow")
                        self._check(this)
                for _, answer in answers:
                    done += 1
                    if done % 8 == 0:  # not sooner: a full cache would throw out as many as it takes in
                        limit = min(limit + 1, self._n_parallel)
                    yield answer
                    self._check(this)
        finally:
            for sequence in active:
                if self._run == this:  # else the cache is another call's by now, or gone
                    context.drop(sequence.number)
                if sequence.sampler is not greedy:
                    context.free_sampler(sequence.sampler)
            context.free_sampler(greedy)

    def stop(self) -> None:
        """End the call of ``run`` that is under way, if one is: asked for its next answer, it raises."""
        self._run += 1

    def _check(self, run: int) -> None:
        """Make sure that the cache is still this run's: while an answer was looked at, all may have happened."""
        if self._run != run:
            raise PluginError("captioner 'llama' was closed, or called again, before all answers of its call were read")

    def _load(self, prefix: int, loaded: set[int]) -> bool:
        """Put a prefix in place of the one before it; False where there is no room for it now.

        Jobs at work keep the cells of theirs. One prefix at a time keeps attention short.
        """
        if prefix in loaded:
            return True
        self._unload(loaded)
        if not self._context.restore(prefix, self._states[prefix]):
            self._context.drop(prefix)
            return False
        loaded.add(prefix)
        return True

    def _evaluate(self, prefix: int) -> None:
        """Evaluate a prefix, once in the engine's life, and keep its state.

        Later runs restore that state, bit by bit the same, and so does this one: a prefix that stood
        in other cells, or in a batch of another make-up, could tip a near tie.
        """
        tokens, context = self._prefixes[prefix], self._context
        context.clear()
        for start in range(0, len(tokens), context.n_batch):
            part = tokens[start : start + context.n_batch]
            if not context.decode([Row(t, start + i, prefix, False) for i, t in enumerate(part)]):
                raise PluginError(f"a prompt of {len(tokens)} tokens does not fit into n_ctx={context.n_ctx}")
        self._states[prefix] = context.save(prefix)

    def _begin(self, job: Job[K], number: int, greedy: Any) -> _Sequence[K]:
        self._context.copy(job.prefix, number)
        sampler = self._context.sampler(job.sampling) if job.sampling.temperature > 0 else greedy
        written = bytearray(job.slots[0].start.encode("utf-8", "replace"))
        return _Sequence(job, number, len(self._prefixes[job.prefix]), list(job.prompt), sampler, written=written)

    def _end(self, sequence: _Sequence[K], active: list[_Sequence[K]], free: deque[int], greedy: Any) -> None:
        self._context.drop(sequence.number)
        if sequence.sampler is not greedy:
            self._context.free_sampler(sequence.sampler)
        active.remove(sequence)
        free.append(sequence.number)

    def _unload(self, loaded: set[int]) -> None:
        for prefix in loaded:
            self._context.drop(prefix)
        loaded.clear()

    def _step(self, active: list[_Sequence[K]]) -> tuple[list[tuple[_Sequence[K], Answer[K]]], bool]:
        """Feed what is pending, as far as the batch goes, and sample where a sequence has caught up."""
        rows: list[Row] = []
        fed: list[tuple[_Sequence[K], int]] = []
        for sequence in active:
            count = min(len(sequence.pending), self._context.n_batch - len(rows))
            if not count:
                break
            last = len(sequence.pending) - 1
            for i in range(count):
                rows.append(Row(sequence.pending[i], sequence.position + i, sequence.number, i == last))
            fed.append((sequence, count))
        if not self._context.decode(rows):
            return [], False
        answers: list[tuple[_Sequence[K], Answer[K]]] = []
        end = 0
        for sequence, count in fed:
            end += count
            sequence.position += count
            del sequence.pending[:count]
            if not sequence.pending:
                answer = self._advance(sequence, self._context.sample(sequence.sampler, end - 1))
                if answer:
                    answers.append((sequence, answer))
        return answers, True

    def _advance(self, sequence: _Sequence[K], token: int) -> Answer[K] | None:
        """Take one more token: go on in the slot, go over to the next, or finish."""
        slot = sequence.job.slots[sequence.slot]
        cut: int | None
        ended = self._context.is_end(token)
        if ended:
            cut = len(sequence.written)
        else:
            before = len(sequence.written)
            sequence.written += self._context.piece(token)
            cut = slot.stop(bytes(sequence.written))
            sequence.starts.append(before)
        if cut is None:
            if len(sequence.starts) < slot.max_tokens:
                sequence.pending.append(token)
                return None
            sequence.texts.append(sequence.written.decode("utf-8", "replace").strip())
            return Answer(sequence.job, tuple(sequence.texts), "cut-off")
        sequence.texts.append(bytes(sequence.written[:cut]).decode("utf-8", "replace").strip())
        sequence.slot += 1
        if sequence.slot == len(sequence.job.slots):
            return Answer(sequence.job, tuple(sequence.texts))
        self._bridge(sequence, cut, ended)
        return None

    def _bridge(self, sequence: _Sequence[K], cut: int, ended: bool) -> None:
        """Cut the cache back to where the slot's text ends and queue the words before the next slot."""
        starts = sequence.starts  # byte offset at which each token begins; the last one is not in the cache yet
        boundaries = [*starts[1:], len(sequence.written)]
        in_cache = len(starts) if ended else len(starts) - 1
        keep = 0
        while keep < in_cache and boundaries[keep] <= cut:
            keep += 1
        if keep < in_cache:
            sequence.position -= in_cache - keep
            self._context.drop(sequence.number, sequence.position)
        kept = boundaries[keep - 1] if keep else starts[0] if starts else len(sequence.written)
        rest = bytes(sequence.written[kept:cut]).decode("utf-8", "ignore")
        start = sequence.job.slots[sequence.slot].start
        known = rest + sequence.job.between[sequence.slot - 1] + start
        sequence.pending = self._context.tokenize_after("a", known)
        sequence.written = bytearray(start.encode("utf-8", "replace"))
        sequence.starts = []
