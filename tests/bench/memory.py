"""How much memory describing takes as the number of pairs grows: a tiny model, the real engine, a real store."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import tiny_gguf

from bench.report import Bound, facts, finish, note, table

MARKS = (0.1, 0.25, 0.5, 1.0)  # shares of the pairs after which memory is looked at
LIMIT_MB = 16.0
_PICTURES = 400


@click.command()
@click.option("--pairs", type=click.IntRange(min=20, max=70_000), default=20_000, show_default=True)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="The model is too small for more."
)
@click.option("--check", is_flag=True, help="Exit with 1 if the memory is not flat.")
def command(pairs: int, threads: int, check: bool) -> None:
    """Resident memory while thousands of pairs are described with a tiny model."""
    from pcclip.comparatives import ComparativeStore
    from pcclip.describe import ChosenPairs, fill
    from pcclip.pairs import choose_pairs
    from pcclip.types import Example
    from pcclip_llama.captioner import LlamaCaptioner
    from pcclip_llama.options import LlamaOptions

    things = ("dog", "cat", "tree", "red dog", "red cat")
    examples = [Example(str(i), Path(f"{i}.png"), (f"A {things[i % 5]} {i}.",)) for i in range(_PICTURES)]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = tiny_gguf.write_chain(folder / "chain.gguf", ["▁shows", "▁a", "▁dog"])
        prompt = folder / "prompt.txt"
        prompt.write_text("{first} / {second} :", encoding="utf-8")
        options = LlamaOptions(model=str(model), prompt=prompt, max_tokens=12, n_threads=threads)
        chosen = ChosenPairs(examples, choose_pairs(examples, pairs, 0))
        watch = _Watch([round(pairs * mark) for mark in MARKS])
        with LlamaCaptioner(options) as captioner, ComparativeStore(folder / "store.sqlite") as store:
            fill(chosen, captioner, store, progress=watch)
            stored = sum(store.known(captioner.fingerprint, chosen))
    if stored != pairs:
        raise SystemExit(f"{stored} of {pairs} pairs are in the store")
    rss = dict(watch.seen)
    growth = rss[pairs] - rss[round(pairs * MARKS[0])]
    print(table([{"pairs described": f"{count:,}", "resident memory (MB)": f"{mb:.1f}"} for count, mb in rss.items()]))
    result = {
        "bench": "memory",
        "pairs": pairs,
        "rss_mb": {str(count): round(mb, 1) for count, mb in rss.items()},
        "growth_mb": round(growth, 1),
        "seconds": round(time.perf_counter() - started, 1),
        **facts("llama-cpp-python"),
    }
    finish(result, [bound(growth)], check=check)


def bound(growth_mb: float) -> Bound:
    """Return what memory may grow by, between a tenth of the pairs and all of them."""
    return Bound("memory grown (MB)", growth_mb, LIMIT_MB, most=True)


class _Watch:
    """A progress bar that shows nothing and looks at this process's memory when so many pairs are done."""

    def __init__(self, marks: list[int]) -> None:
        self._marks = sorted(marks, reverse=True)
        self._done = 0
        self.seen: list[tuple[int, float]] = []

    @contextmanager
    def task(self, title: str, total: int | None = None, unit: str = "it", done: int = 0) -> Iterator[_Watch]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        while self._marks and self._done >= self._marks[-1]:
            self.seen.append((self._marks.pop(), resident_mb()))
            note(f"{self._done} pairs: {self.seen[-1][1]:.1f} MB")

    def note(self, text: str) -> None: ...


def resident_mb() -> float:
    """Return this process's resident memory in MB; where /proc is missing, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
