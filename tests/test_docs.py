"""Every example of the documentation is run, or its page says why not; what pages say of the code is true."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

pytest.importorskip("sybil")
from documented import (
    ROOT,
    Block,
    Command,
    Kit,
    Page,
    blocks,
    commands,
    environment,
    environment_of_its_own,
    pages,
)

from pcclip import hookspecs, interfaces
from pcclip.plugins import KINDS
from pcclip_cli.fields import options_of

DOCS = ROOT / "docs"
BLOCKS = blocks()
LANGUAGES = {"console", "csv", "json", "py", "python", "text", "toml"}


@pytest.fixture(scope="session")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Page]:
    """Return a function that opens a page, each once, in a folder of its own."""
    kit = Kit(tmp_path_factory.mktemp("kit"), environment())
    opened: dict[Path, Page] = {}

    def open_(path: Path) -> Page:
        if path not in opened:
            installs = path.stem == "tutorial"
            variables = environment_of_its_own(tmp_path_factory.mktemp("venv")) if installs else environment()
            variables["HOME"] = str(tmp_path_factory.mktemp("home"))
            opened[path] = Page(path, tmp_path_factory.mktemp(path.stem), kit.make, variables)
        return opened[path]

    return open_


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let examples have one core, so that their threads do not wait for each other where others use the machine."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_examples(open_page: Callable[[Path], Page], block: Block) -> None:
    open_page(block.page).run(block.line)


def test_most_examples_run(record_testsuite_property: Callable[[str, object], None]) -> None:
    """What is marked is counted; a documentation that runs nothing would pass every other test."""
    counted = Counter(block.marked for block in BLOCKS)
    record_testsuite_property("documentation examples run", counted[False])
    record_testsuite_property("documentation examples marked", counted[True])
    assert counted[True] <= len(BLOCKS) / 3, counted


def test_no_example_hides_in_a_language_that_is_not_run() -> None:
    for page in pages():
        for language in re.findall(r"^ *```+([^\s`{]\S*)", page.read_text("utf-8"), re.MULTILINE):
            assert language in LANGUAGES, f"{page}: ```{language}"
        for block in re.findall(r"^```text\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            assert not re.search(r"^(\$ )?pcclip ", block, re.MULTILINE), f"{page}: a command in a text block"


def test_signatures_are_those_of_the_code() -> None:
    """Blocks of ``py`` show what plugins implement: every abstract member, and each with its exact signature."""
    shown = set()
    for page in pages():
        for block in re.findall(r"^```py\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            (stub,) = ast.parse(block).body
            assert isinstance(stub, ast.ClassDef)
            source = ast.parse(inspect.getsource(getattr(interfaces, stub.name))).body[0]
            assert isinstance(source, ast.ClassDef)
            assert list(map(ast.unparse, stub.bases)) == list(map(ast.unparse, source.bases)), stub.name
            real, written = members(source), members(stub)
            assert written.items() <= real.items(), f"{page.name}: {stub.name}"
            abstract = {name for name, text in real.items() if "abstractmethod" in text}
            assert abstract <= set(written), f"{page.name} leaves out {abstract - set(written)}"
            assert all(ast.unparse(m.body) == "..." for m in stub.body if isinstance(m, ast.FunctionDef))
            shown.add(stub.name)
    assert shown >= {"Captioner", "Classifier", "Embedder", "Loss", "Strategy"}


def members(found: ast.ClassDef) -> dict[str, str]:
    """Return the public members of a class as they are declared, without docstrings and bodies."""
    declared = {}
    for member in found.body:
        if isinstance(member, ast.FunctionDef):
            decorators = [ast.unparse(decorator) for decorator in member.decorator_list]
            declared[member.name] = (
                f"{decorators} ({ast.unparse(member.args)}) -> {ast.unparse(member.returns or member)}"
            )
        elif isinstance(member, ast.AnnAssign):
            declared[ast.unparse(member.target)] = ast.unparse(member)
    return {name: text for name, text in declared.items() if not name.startswith("_")}


def test_every_hook_has_a_page_with_its_signature() -> None:
    hooks = {name: h for name, h in vars(hookspecs).items() if hasattr(h, f"{hookspecs.PROJECT}_spec")}
    assert {page.stem for page in (DOCS / "hooks").glob("*.md")} == set(hooks)
    assert len(hooks) == len(KINDS)
    for name, hook in hooks.items():
        text = (DOCS / "hooks" / f"{name}.md").read_text("utf-8")
        signature = f"def {name}{inspect.signature(hook)}:".replace("'", "")
        assert f"\n@hookimpl\n{signature}\n" in text, signature


def test_flags_that_the_page_of_options_shows_are_made() -> None:
    page = (DOCS / "options.md").read_text("utf-8")
    code, shown = re.search(r"```python\n(.*?)```.*?```text\n(.*?)```", page, re.DOTALL).groups()  # type: ignore[union-attr]
    names: dict[str, type] = {}
    exec(compile(code, "options.md", "exec", dont_inherit=True), names)
    context = click.Context(click.Command("predict"))
    formatter = click.HelpFormatter(width=100)
    with formatter.indentation():
        formatter.write_dl(
            [option.get_help_record(context) for option in options_of(names["VotesOptions"], "strategy")]
        )
    assert formatter.getvalue() == shown


def test_environment_variables_are_in_their_table() -> None:
    sources = [file for folder in ("pcclip", "cli", "plugins") for file in (ROOT / folder).rglob("*.py")]
    used = {name for file in sources for name in re.findall(r"\b_?PCCLIP_[A-Z_]+\b", file.read_text("utf-8"))}
    written = set(re.findall(r"`(_?PCCLIP_[A-Z_]+)`", (DOCS / "environment.md").read_text("utf-8")))
    assert used == written


def test_the_site_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    """Built with warnings as errors; no page loads anything but its own files."""
    pytest.importorskip("furo")
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", DOCS, tmp_path], check=True
    )
    loads = re.compile(r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc="([^"]+)|<link\b[^>]*\bhref="([^"]+)""")
    for file in tmp_path.rglob("*.html"):
        for found in loads.findall(file.read_text("utf-8")):
            address = "".join(found)
            assert not re.match(r"(https?:)?//", address), f"{file.name} loads {address}"
    for file in tmp_path.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)
        assert not re.search(r"""(@import|url\()\s*["']?(https?:)?//""", text), file
    text = (tmp_path / "commands.html").read_text("utf-8")
    assert all(flag in text for flag in ("--captioner-n-parallel", "--pair-strategy", "--strategy-alpha"))


def test_a_console_block_is_taken_apart() -> None:
    block = "$ a \\\n    --b\nout 1\n\n$ c << END\n$ x\nEND\nout 2\n$ d\n"
    assert commands(block) == [
        Command("a \\\n    --b", "out 1\n\n"),
        Command("c << END\n$ x\nEND", "out 2\n"),
        Command("d"),
    ]
    with pytest.raises(ValueError, match="pcclip plugins"):
        commands("pcclip plugins\n")


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("```console\n$ true\n```\n", False),
        ("```console\n$ false\n```\n", True),
        ("```console\n$ echo one two\none ...\n```\n", False),
        ("```console\n$ echo one\ntwo\n```\n", True),
        (
            "```console\n$ mkdir in && cd in\n$ export A=1\n```\n```console\n$ test $A = 1 && test -d ../in\n```\n",
            False,
        ),
        ("```python\nx = 1\n```\n```python\nassert x == 1\n```\n", False),
        ("```python\nassert False\n```\n", True),
        ("```toml\n# a/b.toml\nx = 1\n```\n```console\n$ grep -q 'x = 1' a/b.toml\n```\n", False),
    ],
)
def test_the_runner_runs(tmp_path: Path, text: str, fails: bool) -> None:
    (tmp_path / "page.md").write_text(text)
    folder = tmp_path / "folder"
    folder.mkdir()
    page = Page(tmp_path / "page.md", folder, lambda *_: None, environment())
    last = max(example.line for example in page.examples)
    if fails:
        with pytest.raises(AssertionError):
            page.run(last)
    else:
        page.run(last)


def test_a_mark_needs_a_reason(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("% skip: next\n\n```console\n$ false\n```\n")
    with pytest.raises(ValueError, match="reason"):
        blocks([page])
    page.write_text('% skip: next "takes hours"\n\n```console\n$ false\n```\n')
    assert [block.marked for block in blocks([page])] == [True]
