"""How long a person waits for help: against a bare ``import click``, and with many strangers' plugins installed.

The commands run in turns, each in a process of its own, and the median of each counts. The plugins are real
distributions laid out as pip does, each with hooks and a pydantic model of options.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bench.report import Bound, facts, finish, note, table, warn_if_busy

HELP_RATIO = 2.2  # `pcclip --help` against `import click`
PLUGINS_RATIO = 1.2  # the same with plugins against without
FINETUNE_SECONDS = 0.35

PCCLIP = "from pcclip_cli.main import run; run()"  # what the console script runs
HOOKS = """
from pcclip import hookimpl
from pcclip.specs import {spec}


@hookimpl
def {hook}():
    yield {spec}(name="{name}", target="{module}_impl:Plugin", options="{module}_options:Options", summary="{name}")
"""
OPTIONS = """
from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: int = Field(3, ge=1, le=9, description="how deep")
    weight: float = Field(0.5, ge=0, le=1, description="how much")
    words: tuple[str, ...] = Field((), description="which words")
"""
KINDS = (
    ("StrategySpec", "pcclip_strategies"),
    ("LossSpec", "pcclip_losses"),
    ("CaptionerSpec", "pcclip_captioners"),
    ("EmbedderSpec", "pcclip_embedders"),
)


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=31, show_default=True, help="Rounds; medians count.")
@click.option("--plugins", type=click.IntRange(min=1), default=30, show_default=True, help="Strangers' plugins.")
@click.option("--check", is_flag=True, help="Exit with 1 if a bound is missed.")
def command(repeats: int, plugins: int, check: bool) -> None:
    """Seconds until a help text is there."""
    warn_if_busy()
    with tempfile.TemporaryDirectory() as name:
        site = install_plugins(Path(name), plugins)
        names = [f"stranger-{k}" for k in range(plugins)]
        listed = subprocess.run(
            _pcclip("plugins", "--json"), env=_environment(site), capture_output=True, text=True, check=True
        ).stdout
        missing = [name for name in names if f'"{name}"' not in listed]
        if missing:
            raise SystemExit(f"{len(missing)} of the {plugins} plugins are not found: {missing[0]}")
        finetune = ("finetune", "--captioner", "llama", "--help")
        seconds = medians(
            {
                "import click": ([sys.executable, "-c", "import click"], _environment()),
                "pcclip --help": (_pcclip("--help"), _environment()),
                "pcclip --help, plugins": (_pcclip("--help"), _environment(site)),
                "pcclip finetune --captioner llama --help": (_pcclip(*finetune), _environment()),
                "pcclip finetune --captioner llama --help, plugins": (_pcclip(*finetune), _environment(site)),
            },
            repeats,
        )
    bare = seconds["import click"]
    print(
        table([{"": run, "ms": f"{1000 * s:.0f}", "× import click": f"{s / bare:.2f}"} for run, s in seconds.items()])
    )
    bounds = bounds_of(seconds)
    result = {
        "bench": "startup",
        "repeats": repeats,
        "plugins": plugins,
        "seconds": {run: round(s, 4) for run, s in seconds.items()},
        **{bound.name: round(bound.value, 3) for bound in bounds},
        **facts("click", "pydantic", "pluggy"),
    }
    finish(result, bounds, check=check)


def bounds_of(seconds: Mapping[str, float]) -> list[Bound]:
    """Return what the medians must reach."""
    with_plugins = seconds["pcclip --help, plugins"]
    return [
        Bound("help / import click", seconds["pcclip --help"] / seconds["import click"], HELP_RATIO, most=True),
        Bound("help with plugins / without", with_plugins / seconds["pcclip --help"], PLUGINS_RATIO, most=True),
        Bound("finetune help (s)", seconds["pcclip finetune --captioner llama --help"], FINETUNE_SECONDS, most=True),
    ]


def medians(runs: Mapping[str, tuple[Sequence[str], Mapping[str, str]]], repeats: int) -> dict[str, float]:
    """Return the median of the seconds that each command takes; they run in turns, once more than counts.

    Args:
        runs: by name, a command and its environment.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):  # the first turn fills the disk cache and writes byte code
        if turn == 1:
            note(f"{repeats} rounds of {len(runs)} commands")
        for name, (arguments, environment) in runs.items():
            started = time.perf_counter()
            subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=True)
            if turn:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def install_plugins(site: Path, count: int) -> Path:
    """Lay ``count`` distributions out in ``site`` as pip does, of every kind in turn."""
    for k in range(count):
        module = f"stranger_{k}"
        spec, hook = KINDS[k % len(KINDS)]
        (site / f"{module}_hooks.py").write_text(
            HOOKS.format(spec=spec, hook=hook, name=f"stranger-{k}", module=module)
        )
        (site / f"{module}_options.py").write_text(OPTIONS)
        (site / f"{module}_impl.py").write_text("raise AssertionError('a help text imported a plugin')\n")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pcclip]\nstranger-{k} = {module}_hooks\n")
    return site


def _pcclip(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PCCLIP, *arguments]


def _environment(site: Path | None = None) -> dict[str, str]:
    """Return this process's environment, with ``site`` on the path of modules and distributions."""
    folders = [str(site)] if site is not None else []
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*folders, *([before] if before else [])])
    environment = {**os.environ, "PYTHONPATH": path}
    for name in ("PCCLIP_DISABLE_PLUGINS", "PCCLIP_STRICT_PLUGINS", "PCCLIP_TRACE_PLUGINS"):
        environment.pop(name, None)
    return environment
