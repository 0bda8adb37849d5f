"""The examples of a documentation page, and a folder to run them in: what ``test_docs`` is made of.

A page is run from top to bottom as its reader would, in one folder that is empty but for what the page speaks of and
does not make itself: pictures, a finished run. What a reader carries from one example to the next is carried here too:
files, the working directory, environment variables, Python names.

What runs: fenced blocks of ``console`` (each ``$ `` line; the lines below it are its output, where ``...`` stands for
anything) and ``python``. A ``toml``, ``csv``, ``text`` or ``python`` block that begins with a comment ``# FILE`` is
written to that file, and so is a ``{literalinclude}`` with a caption. A block that cannot run here is marked in the
page, with the reason::

    % skip: next "needs a GPU"            (in README.md: <!--- skip: next "needs a GPU" -->)

Blocks of ``py`` hold signatures only.
"""

from __future__ import annotations

import csv
import doctest
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import SkipTest

from PIL import Image
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.skip import Skipper
from sybil.parsers.myst import CodeBlockParser, SkipParser
from sybil.parsers.myst.lexers import DirectiveLexer

from pcclip import finetune, make_config
from pcclip.data import read
from pcclip_llama.models import resolve

ROOT = Path(__file__).parents[1]
FILE_TYPES = ("csv", "text", "toml")
CLASSES = ("cat", "dog", "fox")
TEXTS = {  # of files that pages name and describe, but do not show
    "differences.csv": "first,second,text\ncat,dog,The first image shows whiskers.\n",
    "looks.csv": "class,text\ncat,whiskers\ndog,a wet nose\nfox,A fox has a bushy tail.\n",
    "looks.json": '{"cat": ["whiskers"], "dog": ["a wet nose"], "fox": ["A fox has a bushy tail."]}',
    "my-templates.txt": "a photo of a {label}\na drawing of a {label}\n",
}
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
    end = None  # of a here document
    for line in block.splitlines():
        if going_on or end:
            found[-1] = Command(f"{found[-1].text}\n{line}")
            end = None if line == end else end
        elif line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found:
            found[-1] = Command(found[-1].text, f"{found[-1].output}{line}\n")
        elif line.strip():
            raise ValueError(f"a console block begins with '$ ', not with {line!r}")
        going_on = not end and not (found and found[-1].output) and line.endswith("\\")
        if line.startswith("$ ") and (here := re.search(r"<< *(\w+)$", line)):
            end = here[1]
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
        self.examples: list[Example] = list(self._parse().examples())
        self._left = list(self.examples)
        self._failed = 0  # the line of the example that went wrong
        self._outcomes: dict[int, BaseException | None] = {}

    def _parse(self) -> Document:
        runners = {"console": self._console, "python": self._python, **dict.fromkeys(FILE_TYPES, self._file)}
        blocks = [CodeBlockParser(name, run) for name, run in runners.items()]
        return Sybil([SkipParser(), *blocks, self._includes]).parse(self.path)

    def _includes(self, document: Document) -> Iterator[Region]:
        """Yield the files that the page includes and says the name of."""
        for found in DirectiveLexer("literalinclude")(document):
            caption = found.lexemes["options"].get("caption")
            if caption:
                yield Region(found.start, found.end, (found.lexemes["arguments"], caption), self._include)

    def run(self, line: int) -> None:
        """Run the example that begins at ``line``, and before it those above that did not run yet.

        Raises:
            SkipTest: it is marked.
            AssertionError: it failed.
        """
        while self._left and self._left[0].line <= line:
            example = self._left.pop(0)
            if self._failed:
                self._outcomes[example.line] = AssertionError(f"not run: {self.path}:{self._failed} failed before")
                continue
            before = Path.cwd()
            os.chdir(self._working)
            try:
                example.evaluate()
                self._outcomes[example.line] = None
            except SkipTest as reason:
                self._outcomes[example.line] = reason
            except (Exception, SystemExit) as error:
                self._outcomes[example.line] = error
                self._failed = example.line
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
        if _file_name(example.parsed):
            self._file(example)
            return
        self._provide(example.parsed)
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        exec(compile(source, example.path, "exec", dont_inherit=True), self.python)

    def _file(self, example: Example) -> None:
        """Write a block that begins with ``# FILE`` as that file."""
        name = _file_name(example.parsed)
        if name:
            self._provide(example.parsed)
            path = self._working / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(example.parsed)

    def _include(self, example: Example) -> None:
        source, target = example.parsed
        shutil.copy(self.path.parent / source, self._working / target)

    def _provide(self, text: str) -> None:
        """Bring what an example names and neither it nor one above it makes."""
        made = set(re.findall(r"""(?:--out|-o)[ =](\S+)|finetune\(\w+, "([^"]+)"\)""", text))
        for name in NAMES.findall(text):
            if not (self.folder / name).exists() and not any(name in both for both in made):
                self.make(name, self.folder / name)


NAMES = re.compile(
    r"(?<![\w/.-])(photos(?=/)|labelled(?=/)|RUN\b|FOLDER(?=/)|runs/[\w-]+|[a-z]+\.jpg|[a-z]+\.sqlite|model\.gguf"
    r"|differences\.csv|looks\.(?:csv|json)|my-templates\.txt)"
)


def _file_name(text: str) -> str | None:
    found = re.match(r"# ([\w./-]+\.\w+)\n", text)
    return found[1] if found else None


@dataclass(frozen=True)
class Block:
    """Where an example begins."""

    page: Path
    line: int
    marked: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(paths: Sequence[Path] | None = None) -> list[Block]:
    """Return every example of ``paths``, by default of every page.

    Raises:
        ValueError: a mark gives no reason.
    """
    found = []
    for path in pages() if paths is None else paths:
        marked = False
        for example in Page(path, ROOT, lambda *_: None, {}).examples:
            if isinstance(example.region.evaluator, Skipper):
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
    return language in FILE_TYPES and _file_name(example.parsed) is None


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
        elif name == "labelled":
            for number, picture in enumerate(sorted(self._photos().glob("*.jpg"))):
                folder = target / CLASSES[number % len(CLASSES)]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(picture, folder)
        elif name == "RUN" or name.startswith("runs/"):
            shutil.copytree(self._run(), target)
        elif name == "FOLDER":
            self._evaluate(target)
        elif name == "model.gguf":
            target.symlink_to(resolve("gemma3-270m"))
        elif name.endswith(".sqlite"):
            shutil.copy(self._run() / "comparatives.sqlite", target)
        elif name.endswith(".jpg"):
            pictures = sorted(self._photos().glob("*.jpg"))
            shutil.copy(pictures[sum(map(ord, name)) % len(pictures)], target)
        else:
            target.write_text(TEXTS[name])

    def _photos(self) -> Path:
        """Twelve captioned pictures as JPEG, and the table ``captions.csv``."""
        photos = self.folder / "photos"
        if not photos.exists():
            photos.mkdir(parents=True)
            rows = {}
            for example in read("scenes:40").examples:
                about = example.attributes
                rows.setdefault(f"A {about['size_name']} {about['colour']} {example.label}.", example.image)
            with (photos / "captions.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(["image", "caption"])
                for number, (caption, image) in enumerate(list(rows.items())[:12]):
                    Image.open(image).convert("RGB").save(photos / f"{number:02}.jpg")
                    table.writerow([f"{number:02}.jpg", caption])
        return photos

    def _run(self) -> Path:
        run = self.folder / "run"
        if not run.exists():
            config = make_config(
                data=str(self._photos() / "captions.csv"), backbone="mini", captioner="template", max_steps=1
            )
            finetune(config, run)
        return run

    def _evaluate(self, target: Path) -> None:
        data = self._photos() / "captions.csv"
        subprocess.run(
            ["pcclip", "evaluate", "--model", self._run(), "--data", data, "--out", target],
            env=self.environment, capture_output=True, check=True,
        )  # fmt: skip


def environment() -> dict[str, str]:
    """Return an environment in which ``pcclip`` is the one that is tested."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


def environment_of_its_own(folder: Path) -> dict[str, str]:
    """Return an environment to install packages into, which has all that this one has, and asks no index.

    It is what ``python -m venv`` and ``pip install`` of these packages would have made.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for name in ("pcclip", "pytest", "hatchling", "twine"):
        script = Path(sysconfig.get_path("scripts"), name).read_text()
        copy = folder / "bin" / name
        copy.write_text(f"#!{python}\n{script.partition(chr(10))[2]}")
        copy.chmod(0o755)
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    variables = {**environment(), **offline, "VIRTUAL_ENV": str(folder)}
    return {**variables, "PATH": os.pathsep.join([str(folder / "bin"), variables["PATH"]])}
