"""Classifying very many embeddings: each linear strategy against the bare matrix product, in time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import click
import numpy as np
from threadpoolctl import threadpool_limits

from bench.report import Bound, facts, finish, note, table, warn_if_busy
from bench.resident import forget_peak, peak_resident, resident
from pcclip.interfaces import Classifier, LinearClassifier
from pcclip.plugins import registry
from pcclip.testing import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray, LabelledEmbeddings

LINEAR = ("zero-shot", "comparative", "extended", "descriptions", "cupl", "waffle", "probe")
MOST_TIMES = 1.3
MOST_MEMORY = 1.0  # GB
_BLOCK = 4096


def unit_rows(count: int, dim: int, seed: int) -> FloatArray:
    """Return (count, dim) random unit rows, made block by block."""
    rng = np.random.default_rng(seed)
    rows = np.empty((count, dim), np.float32)
    for start in range(0, count, 65536):
        block = rng.standard_normal((min(65536, count - start), dim), np.float32)
        rows[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def fitted(dim: int, classes: int) -> dict[str, Classifier]:
    """Return each linear strategy, fitted over ``classes`` made-up classes of which everything is known."""
    names = tuple(f"thing {c}" for c in range(classes))
    knowledge = ClassKnowledge(
        names,
        tuple(ClassComparative(a, b, f"{a} is larger than {b}") for a, b in pairwise(names)),
        {name: (f"part {c}", f"A {name} has a colour.") for c, name in enumerate(names)},
        LabelledEmbeddings(unit_rows(classes, dim, 1), names),
    )
    embedder = HashEmbedder(dim)
    return {name: registry().strategy(name).fit(embedder, knowledge) for name in LINEAR}


def bare(embeddings: FloatArray, weights: FloatArray) -> None:
    """Multiply all embeddings with all weights, block by block into one piece of memory, and keep nothing.

    That is the fastest way: a product in one piece spends time on being given 4 GB.
    """
    out = np.empty((_BLOCK, len(weights)), np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        rows = embeddings[start : start + _BLOCK]
        np.matmul(rows, weights.T, out=out[: len(rows)])


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that ``work`` takes, and the GB that it held beside what was there before, at most."""
    forget_peak()
    before, started = resident(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    del result
    return seconds, max(0.0, (peak_resident() - before) / 1e9)


@click.command()
@click.option("--pictures", default=1_000_000, show_default=True, help="Embeddings to classify.")
@click.option("--dim", default=384, show_default=True, help="Length of an embedding.")
@click.option("--classes", default=1000, show_default=True, help="Classes.")
@click.option("--threads", default=2, show_default=True, help="CPU threads.")
@click.option("--rounds", default=3, show_default=True, help="Times that each is measured; the medians count.")
@click.option("--check", is_flag=True, help="Exit with 1 where a bound is missed.")
def command(pictures: int, dim: int, classes: int, threads: int, rounds: int, check: bool) -> None:
    """Time predictions of every linear strategy against the bare matrix product."""
    warn_if_busy()
    with threadpool_limits(threads):
        note(f"Fitting {len(LINEAR)} strategies over {classes} classes.")
        ways = fitted(dim, classes)
        embeddings = unit_rows(pictures, dim, 0)
        plain = ways["zero-shot"]
        assert isinstance(plain, LinearClassifier)
        works: dict[str, Callable[[], object]] = {}
        for name, way in ways.items():
            works[name] = lambda way=way: way.predict(embeddings)  # type: ignore[misc]
        works["zero-shot, 5 best"] = lambda: plain.predict(embeddings, 5)
        times: dict[str, list[float]] = {name: [] for name in works}
        products: dict[str, list[float]] = {name: [] for name in works}
        memory: dict[str, list[float]] = {name: [] for name in works}
        for number in range(rounds):
            note(f"Round {number + 1} of {rounds}.")
            for name, work in works.items():
                # just before, so that what else the machine does meets both
                products[name].append(measured(lambda: bare(embeddings, plain.weights))[0])
                seconds, held = measured(work)
                times[name].append(seconds)
                memory[name].append(held)
    rows, bounds = [], []
    for name in works:
        product, seconds = statistics.median(products[name]), statistics.median(times[name])
        ratio = statistics.median(t / p for t, p in zip(times[name], products[name], strict=True))
        held = max(memory[name])
        rows.append(
            {
                "strategy": name,
                "seconds": f"{seconds:.2f}",
                "product (s)": f"{product:.2f}",
                "ratio": f"{ratio:.2f}",
                "extra memory (MB)": f"{held * 1000:.0f}",
            }
        )
        if name in LINEAR:
            bounds.append(Bound(f"{name}, times the product", ratio, MOST_TIMES, most=True))
            bounds.append(Bound(f"{name}, extra GB", held, MOST_MEMORY, most=True))
    click.echo(f"{pictures} embeddings of {dim} numbers, {classes} classes, {threads} threads, medians of {rounds}:\n")
    click.echo(table(rows))
    result = {"pictures": pictures, "dim": dim, "classes": classes, "threads": threads, "rounds": rounds}
    finish(
        {**result, "seconds": times, "product_seconds": products, "extra_gb": memory, **facts("numpy", "scikit-learn")},
        bounds,
        check=check,
    )


if __name__ == "__main__":
    command()
