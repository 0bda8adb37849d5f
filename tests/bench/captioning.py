"""The llama captioner against llama-cpp-python one pair at a time: pairs a second, how sound the texts are, memory.

Both read the same tokens and decode greedily with the same threads. The captioner is measured as a
user gets it: filter, retry and store included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import tiny_gguf

from bench import memory
from bench.checker import Quality, Texts, judge
from bench.decoding import accepted
from bench.report import Bound, facts, finish, note, table, warn_if_busy
from bench.side_by_side import Measured, measure, measure_between
from pcclip.errors import MissingDependencyError
from pcclip.pairs import choose_pairs
from pcclip.threads import available_cores
from pcclip.types import CaptionPair, Comparative, Example, Rejection
from pcclip_llama.options import LlamaOptions
from pcclip_template.captioner import TemplateCaptioner

MODELS = ("gemma3-270m", "smollm2")
DEFAULT = MODELS[0]
SPEEDUP, WELL_FORMED, FAITHFUL, ACCEPTED = 2.5, 0.97, 0.95, 0.90
_QUICK = ("A dog.", "A red dog.", "A cat.", "A tree.", "A red cat.", "The tree.")


@click.command()
@click.option(
    "--model", "models", multiple=True, help="As --captioner-model; may come twice. Default: both built-in ones."
)
@click.option("--pairs", type=click.IntRange(min=2), default=300, show_default=True, help="Pairs of stamps' captions.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Parts that the pairs come in."
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads of both ways; default: the cores of this process."
)
@click.option("--n-parallel", type=click.IntRange(1, 240), help="Pairs side by side; default: the captioner's.")
@click.option("--ways/--no-ways", default=True, show_default=True, help="Also time what lies between the two ways.")
@click.option("--memory-pairs", type=click.IntRange(min=0), default=20_000, show_default=True, help="0: leave it out.")
@click.option(
    "--failures", type=click.IntRange(min=0), default=5, show_default=True, help="Bad texts to print a model."
)
@click.option("--check", is_flag=True, help="Exit with 1 if the default model misses a bound.")
@click.option(
    "--quick", is_flag=True, help="A tiny model and a few pairs: shows that the bench runs, measures nothing."
)
def command(
    models: tuple[str, ...],
    pairs: int,
    rounds: int,
    threads: int | None,
    n_parallel: int | None,
    ways: bool,
    memory_pairs: int,
    failures: int,
    check: bool,
    quick: bool,
) -> None:
    """Speed of the llama captioner against one by one, its texts, its memory."""
    threads = threads or available_cores()
    warn_if_busy()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if quick:
            models = models or (str(tiny_gguf.write_chain(folder / "tiny.gguf", ["▁shows", "▁a", "▁dog"])),)
            chosen, rounds, memory_pairs = _pairs([Example(c, Path(c), (c,)) for c in _QUICK], 10), 2, 200
        else:
            from pcclip.data import read

            chosen, rounds = _pairs(read("stamps").examples, pairs), min(rounds, pairs)
        found: list[Measured] = []
        for model in models or MODELS:
            given = {"model": model, "n_threads": threads, **({"n_parallel": n_parallel} if n_parallel else {})}
            options = LlamaOptions.model_validate(given)
            try:
                measured = measure(options, chosen, rounds, threads, folder)
            except MissingDependencyError as error:
                note(f"left out: {error}")
                continue
            if ways:
                measured.ways = measure_between(options, chosen[::rounds])
            found.append(measured)
    if not found:
        raise SystemExit("no model to measure")
    flat = _flat(memory_pairs) if memory_pairs else None
    rule = accepted(list(TemplateCaptioner().describe(chosen)))
    quality = {measured.model: Quality.of(accepted(measured.answers), len(chosen), rule) for measured in found}
    _print(found, quality, rule, chosen, failures)
    results = [_result(measured, quality[measured.model], threads) for measured in found]
    bounds = [bound for measured in found if measured.model == DEFAULT for bound in _bounds(measured, quality[DEFAULT])]
    if flat:
        bounds.append(memory.bound(flat["growth_mb"]))
    result = {"bench": "captioning", **results[0], "other_models": results[1:], "memory": flat}
    finish({**result, **facts("llama-cpp-python")}, bounds, check=check)


def _pairs(examples: Sequence[Example], count: int) -> list[CaptionPair]:
    """Return ``count`` different pairs of captions, always the same ones."""
    found: dict[CaptionPair, None] = {}
    for i, j in choose_pairs(examples, len(examples) ** 2, 0):
        if len(found) == count:
            break
        found.setdefault(CaptionPair(examples[i].caption, examples[j].caption))
    return list(found)


def _flat(pairs: int) -> dict[str, Any]:
    """Run the bench ``memory`` in a process of its own, where no other model has been."""
    note(f"memory over {pairs} pairs")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent), "memory", "--pairs", str(pairs)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    *_, line = done.stdout.splitlines()
    return json.loads(line)


def _print(
    found: list[Measured], quality: dict[str, Quality], rule: Texts, pairs: list[CaptionPair], failures: int
) -> None:
    """Print the tables of docs/benchmarks.md, and texts that are bad."""
    speed = [
        {
            "model": measured.model,
            "one by one (pairs/s)": f"{measured.sequential_pairs_per_s:.1f}",
            "batched (pairs/s)": f"{measured.pairs_per_s:.1f}",
            "ratio": f"**{measured.speedup:.1f}**",
            "ratio of each round": ", ".join(f"{turn.ratio:.1f}" for turn in measured.rounds),
        }
        for measured in found
    ]
    judged = [
        row
        for measured in found
        for row in (
            {"texts": f"{measured.model}, one by one, no filter"}
            | Quality.of(measured.one_by_one, len(pairs), rule).row(),
            {"texts": f"{measured.model}, `pcclip describe`"} | quality[measured.model].row(),
        )
    ] + [{"texts": "by rule (`template`)"} | Quality.of(rule, len(pairs), rule).row()]
    between = [_rows_between(measured, rule) for measured in found if measured.ways]
    for rows in (speed, *between, judged):
        print(f"{table(rows)}\n")
    for measured in found:
        _print_failures(measured, failures)


def _rows_between(measured: Measured, rule: Texts) -> list[dict[str, str]]:
    """Return the steps from the reference to the captioner, over the pairs of the first round."""
    first = measured.rounds[0]
    answers = measured.answers[: first.pairs]
    reference = {answer.pair: measured.one_by_one[answer.pair] for answer in answers}
    steps = (
        ("`create_completion`, one by one", first.one_by_one, reference),
        *((way.name, way.seconds, way.texts) for way in measured.ways),
        ("`pcclip describe`: filter and retry too", first.batched, accepted(answers)),
    )
    return [
        {
            f"{measured.model}, {first.pairs} pairs": name,
            "pairs/s": f"{first.pairs / seconds:.1f}",
            "ratio": f"{first.one_by_one / seconds:.1f}",
            "faithful": f"{Quality.of(texts, first.pairs, rule).faithful:.0%}",
        }
        for name, seconds, texts in steps
    ]


def _print_failures(measured: Measured, most: int) -> None:
    """Print what was accepted though unsound, then what was rejected, sound or not."""
    unsound = [a for a in measured.answers if isinstance(a, Comparative) and not judge(a.pair, a.text).faithful]
    rejected = [answer for answer in measured.answers if isinstance(answer, Rejection)]
    reasons = dict(Counter(answer.reason for answer in rejected).most_common())
    sound = sum(judge(answer.pair, answer.text).faithful for answer in rejected)
    print(f"{measured.model}: {len(unsound)} accepted texts are unfaithful, {len(rejected)} rejected {reasons or ''}")
    print(f"  of those rejected, the checker finds {sound} faithful")
    for answer in unsound[:most] + rejected[:most]:
        reason = f"rejected as {answer.reason}" if isinstance(answer, Rejection) else "accepted"
        print(f"  {answer.pair.first} | {answer.pair.second}")
        print(f"    {reason}; {judge(answer.pair, answer.text)}: {answer.text}")


def _result(measured: Measured, quality: Quality, threads: int) -> dict[str, Any]:
    return {
        "model": measured.model,
        "speedup": round(measured.speedup, 3),
        "pairs_per_s": round(measured.pairs_per_s, 3),
        "sequential_pairs_per_s": round(measured.sequential_pairs_per_s, 3),
        "rounds": len(measured.rounds),
        "ratios": [round(turn.ratio, 3) for turn in measured.rounds],
        "pairs": len(measured.answers),
        "n_parallel": measured.n_parallel,
        "n_threads": threads,
        **{name: round(value, 4) for name, value in asdict(quality).items()},
    }


def _bounds(measured: Measured, quality: Quality) -> list[Bound]:
    return [
        Bound("times as fast as one by one", measured.speedup, SPEEDUP),
        Bound("share of pairs accepted", quality.accepted, ACCEPTED),
        Bound("share of accepted texts that are well-formed", quality.well_formed, WELL_FORMED),
        Bound("share of accepted texts that are faithful", quality.faithful, FAITHFUL),
    ]
