"""Runs the llama captioner and the reference in turns, over the same pairs, in one process.

Loading, warming up and tokenizing the reference's prompts are not timed. A round's ratio is of two times
measured within the same minutes, but do measure on an idle machine: where threads have to wait for a core,
the reference, whose steps are many and short, loses far more than the captioner.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.checker import Texts
from bench.decoding import OneByOne, write, write_every_token
from bench.report import note
from pcclip.comparatives import ComparativeStore
from pcclip.describe import describe
from pcclip.prompts import shot_set
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_llama.captioner import LlamaCaptioner
from pcclip_llama.options import LlamaOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of both over the same pairs, in seconds."""

    pairs: int
    batched: float
    one_by_one: float

    @property
    def ratio(self) -> float:
        return self.one_by_one / self.batched


@dataclass(frozen=True, slots=True)
class Way:
    """Some way to decode the pairs of the first round: seconds, and the sentences without a filter."""

    name: str
    seconds: float
    texts: Texts


@dataclass(slots=True)
class Measured:
    """What was seen of one model.

    Attributes:
        answers: of the captioner as a user gets it, to all pairs.
        one_by_one: the reference's sentences, without a filter.
        ways: what lies between the two.
    """

    model: str
    n_parallel: int
    rounds: list[Round] = field(default_factory=list)
    answers: list[Comparative | Rejection] = field(default_factory=list)
    one_by_one: Texts = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)

    @property
    def speedup(self) -> float:
        return statistics.median(turn.ratio for turn in self.rounds)

    @property
    def pairs_per_s(self) -> float:
        return statistics.median(turn.pairs / turn.batched for turn in self.rounds)

    @property
    def sequential_pairs_per_s(self) -> float:
        return statistics.median(turn.pairs / turn.one_by_one for turn in self.rounds)


def measure(options: LlamaOptions, pairs: Sequence[CaptionPair], rounds: int, threads: int, folder: Path) -> Measured:
    """Take turns over ``rounds`` parts of ``pairs``; ``folder`` is for stores and must be empty.

    Raises:
        MissingDependencyError: llama-cpp-python or the model is not installed.
    """
    measured = Measured(Path(options.model).name, options.n_parallel)
    with (
        LlamaCaptioner(options) as captioner,
        LlamaCaptioner(_bare(options)) as bare,
        OneByOne(bare, threads) as single,
    ):

        def batched(part: Sequence[CaptionPair], store: str) -> list[Comparative | Rejection]:
            # As a user gets it, up to the answers on the disk; a new store knows none of them.
            with ComparativeStore(folder / f"{measured.model}-{store}.sqlite") as opened:
                return describe(part, captioner, opened)

        single.write(single.prepare(_warm_up(pairs)))
        batched(_warm_up(pairs), "warm-up")
        for turn in range(rounds):
            part = pairs[turn::rounds]
            prepared = single.prepare(part)
            if turn % 2:
                texts, slow = _timed(lambda prepared=prepared: single.write(prepared))
            answers, fast = _timed(lambda part=part, turn=turn: batched(part, str(turn)))
            if not turn % 2:
                texts, slow = _timed(lambda prepared=prepared: single.write(prepared))
            measured.answers += answers
            measured.one_by_one |= texts
            measured.rounds.append(Round(len(part), fast, slow))
            note(
                f"{measured.model}, round {turn + 1} of {rounds}, {len(part)} pairs: one by one {slow:.1f} s, "
                f"batched {fast:.1f} s, {slow / fast:.2f} times as fast"
            )
    return measured


def measure_between(options: LlamaOptions, part: Sequence[CaptionPair]) -> list[Way]:
    """Time what lies between the reference and the captioner, one step at a time, once each."""
    bare = _bare(options)
    many = f"{bare.n_parallel} at once"
    ways: list[Way] = []
    for name, changes, writer in (
        ("one by one, fed words", {"n_parallel": 1}, write),
        (f"{many}, every word generated", {}, write_every_token),
        (f"{many}, fed words", {}, write),
        (f"{many}, fed words, guided", {"guide": "always"}, write),
    ):
        with LlamaCaptioner(bare.model_copy(update=changes)) as captioner:
            writer(captioner, _warm_up(part))
            texts, seconds = _timed(lambda writer=writer, captioner=captioner: writer(captioner, part))
        ways.append(Way(name, seconds, texts))
        note(f"{Path(options.model).name}, {name}: {seconds:.1f} s")
    return ways


def _bare(options: LlamaOptions) -> LlamaOptions:
    """Return options that neither begin the slots nor ask again."""
    return options.model_copy(update={"guide": "retry", "retry_temperature": 0.0})


def _warm_up(pairs: Sequence[CaptionPair]) -> list[CaptionPair]:
    """Return a few pairs that are not measured, at least one for each prompt that ``pairs`` will need."""
    one_a_prompt = {shot_set(pair): pair for pair in pairs}
    return [pair.reversed for pair in dict.fromkeys([*one_a_prompt.values(), *pairs[:8]])]


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started
