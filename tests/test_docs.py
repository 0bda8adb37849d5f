"""Every example of the documentation is run, or says in its page why it is not; what pages claim of the code is held."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

pytest.importorskip("sybil")
from documented import ROOT, Block, Command, Kit, Page, blocks, commands, environment, pages
from pydantic import BaseModel

from pcclip import hookspecs, interfaces
from pcclip_cli.fields import options_of

DOCS = ROOT / "docs"
BLOCKS = blocks()


@pytest.fixture(scope="session")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Page]]:
    """Return a function that opens a page, each once, in a folder of its own."""
    kit = Kit(tmp_path_factory.mktemp("kit"), environment())
    opened: dict[Path, Page] = {}

    def open_(path: Path) -> Page:
        if path not in opened:
            folder = tmp_path_factory.mktemp(path.stem)
            variables = {**environment(), "HOME": str(tmp_path_factory.mktemp("home"))}
            opened[path] = Page(path, folder, kit.make, variables)
        return opened[path]

    yield open_


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let examples have one core, so that what runs beside the tests does not have their threads wait for each other."""
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
