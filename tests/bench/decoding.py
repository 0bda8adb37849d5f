"""The same sentences by other ways of decoding: what batching, fed words and guided starts are measured against."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from bench.checker import Texts
from pcclip.types import CaptionPair, Comparative, Rejection
from pcclip_llama.captioner import LlamaCaptioner
from pcclip_llama.engine import Engine, Job
from pcclip_llama.slots import MIDDLE, OPENING, Slot


def _jobs(captioner: LlamaCaptioner, pairs: Sequence[CaptionPair]) -> tuple[Engine, list[Job]]:
    """Return the engine and, for each pair, the tokens that ``captioner`` would feed it and the slots to fill.

    They come sorted by prompt, so that the reference finds the common beginning of its prompts in its cache.
    This is the one place that reaches into the captioner: so both ways read the very same tokens.
    """
    engine = captioner._load()
    return engine, sorted((captioner._job(i, pair, 0) for i, pair in enumerate(pairs)), key=lambda job: job.prefix)


def _ends(pair: CaptionPair) -> list[str]:
    """Return where an answer ends: at the full stop, or at the line's end if a caption has a stop inside."""
    inner = any("." in caption.strip().rstrip(".,") for caption in (pair.first, pair.second))
    return ["\n"] if inner else ["\n", "."]


def _tokens(captioner: LlamaCaptioner, job: Job) -> int:
    """Return the most tokens of a whole answer: those of its slots and of the words between them."""
    return sum(slot.max_tokens for slot in job.slots) + len(captioner._context.tokenize(MIDDLE))


def _sentence(written: str) -> str:
    return f"{OPENING} {written.strip().rstrip(' .')}."


class OneByOne:
    """llama-cpp-python's own high-level API: ``Llama.create_completion``, greedy, one pair after another.

    It keeps the cells of the prompt's beginning that the call before had in common.

    Args:
        captioner: whose tokens it reads; must neither guide nor retry.
        threads: CPU threads.
    """

    def __init__(self, captioner: LlamaCaptioner, threads: int) -> None:
        from llama_cpp import Llama

        self._captioner = captioner
        self._llama = Llama(
            str(captioner._path),
            n_ctx=captioner._load()._context.n_ctx,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=captioner.options.n_gpu_layers,
            verbose=False,
        )

    def prepare(self, pairs: Sequence[CaptionPair]) -> list[tuple[CaptionPair, list[int], int, list[str]]]:
        """Return prompts, limits and stops, so that the time of ``write`` is the model's alone."""
        engine, jobs = _jobs(self._captioner, pairs)
        return [
            (
                pairs[job.key[0]],
                [*engine._prefixes[job.prefix], *job.prompt],
                _tokens(self._captioner, job),
                _ends(pairs[job.key[0]]),
            )
            for job in jobs
        ]

    def write(self, prepared: list[tuple[CaptionPair, list[int], int, list[str]]]) -> Texts:
        """Return the sentence of every pair."""
        texts = {}
        for pair, tokens, limit, stop in prepared:
            given = self._llama.create_completion(tokens, max_tokens=limit, temperature=0.0, stop=stop)
            texts[pair] = _sentence(given["choices"][0]["text"])
        return texts

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.close()


def write_every_token(captioner: LlamaCaptioner, pairs: Sequence[CaptionPair]) -> Texts:
    """Return the sentences from the batched engine, which generates the words between the slots too."""
    engine, jobs = _jobs(captioner, pairs)
    whole = deque(
        replace(job, slots=(Slot(_stop_at(_ends(pairs[job.key[0]])), _tokens(captioner, job)),), between=())
        for job in jobs
    )
    return {pairs[answer.job.key[0]]: _sentence("".join(answer.texts)) for answer in engine.run(whole)}


def write(captioner: LlamaCaptioner, pairs: Sequence[CaptionPair]) -> Texts:
    """Return the captioner's sentences, accepted or not."""
    return {answer.pair: answer.text for answer in captioner.describe(pairs)}


def accepted(answers: Sequence[Comparative | Rejection]) -> Texts:
    """Return the sentences that passed the filter."""
    return {answer.pair: answer.text for answer in answers if isinstance(answer, Comparative)}


def _stop_at(ends: list[str]):
    pattern = re.compile("|".join(map(re.escape, ends)).encode())

    def stop(written: bytes) -> int | None:
        match = pattern.search(written, len(written) - len(written.lstrip()))
        return match.start() if match else None

    return stop
