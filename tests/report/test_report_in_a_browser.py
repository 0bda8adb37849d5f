"""The report in Chromium: quiet, alone, and readable at every width in both colour schemes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from browser import look
from evaluations import AFTER, MODELS, confusion, whole
from PIL import Image
from test_report import HOSTILE, hostile

from pcclip.evaluation.document import Evaluation, PairExample, Picture, TaskFacts
from pcclip.report import write_report

LOOKS = """(() => {
  const text = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => { const a = top[3] ?? 1; return [0, 1, 2].map(i => a * top[i] + (1 - a) * below[i]); };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(text(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [], wide = [], small = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest('.unseen, .skip, svg')) continue;
    const below = ground(element), style = getComputedStyle(element), ink = over(text(style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push([node.data.trim().slice(0, 40), style.color, below.join()]);
    if (parseFloat(style.fontSize) < 11) small.push(node.data.trim().slice(0, 40));
  }
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('.box, .album') && !element.matches('.box') || element.matches('.unseen, .skip')) continue;
    const box = element.getBoundingClientRect();
    if (box.right > innerWidth + 1 || box.left < -1) wide.push([element.outerHTML.slice(0, 80), box.right]);
  }
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]));
  return {
    faint, wide, small, levels,
    overflow: document.documentElement.scrollWidth - innerWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    unnamed: [...document.querySelectorAll('[role=img], [role=region]')].filter(e => !e.ariaLabel?.trim()).length,
    unreachable: [...document.querySelectorAll('.box')].filter(e => e.tabIndex !== 0).length,
    landmarks: ['header', 'nav', 'main', 'footer'].map(tag => document.querySelectorAll(tag).length),
    scripts: document.scripts.length,
    pictures: document.querySelectorAll('svg.picture').length,
    boxed: [...document.querySelectorAll('.box')].filter(e => e.scrollWidth > e.clientWidth).length,
  };
})()"""


@pytest.fixture(scope="session", autouse=True)
def chromium() -> None:
    """Skip where there is no browser: the package is not installed, or the system lacks a library that it needs."""
    code = "from PySide6 import QtWebEngineCore, QtWebEngineWidgets"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"Chromium cannot be loaded: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    write_report(whole(folder), path)
    return path


def sound(page: Path, *, width: int, dark: bool = False) -> dict[str, int]:
    """Hold that a page is quiet, alone and readable; return what was counted in it."""
    seen = look(page, width=width, dark=dark, script=LOOKS)
    assert seen.console == []
    assert [address for address in seen.requests if not address.startswith("data:")] == [page.resolve().as_uri()]
    found = seen.value
    assert found["dark"] is dark
    assert found["overflow"] <= 0, found["wide"][:5]
    assert found["wide"] == []
    assert found["faint"] == []
    assert found["small"] == []
    assert found["landmarks"] == [1, 1, 1, 1]
    assert found["unnamed"] == found["unreachable"] == found["scripts"] == 0
    assert found["levels"][0] == 1
    assert all(after - before <= 1 for before, after in zip(found["levels"], found["levels"][1:], strict=False))
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_whole_report(report: Path, width: int, dark: bool) -> None:
    found = sound(report, width=width, dark=dark)
    assert found["pictures"] == 2 * 12 + 4 * 16
    assert (found["boxed"] > 0) == (width == 360)  # wide tables scroll inside their own box, and only where they must


def test_pictures_are_drawn(tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), (200, 30, 90)).save(tmp_path / "a.png")
    Image.new("RGB", (200, 150), (20, 60, 220)).save(tmp_path / "b.png")
    first, second = (Picture(id=name, path=str(tmp_path / f"{name}.png")) for name in "ab")
    pair = PairExample(task="t", first=first, second=second, text="one is red", cosines={AFTER: 0.2})
    evaluation = Evaluation(
        created="2026-11-24T13:20:05+00:00", suite="own", models=MODELS, tasks=(), pair_examples=(pair,)
    )
    write_report(evaluation, tmp_path / "report.html")
    look(tmp_path / "report.html", width=360, height=1500, picture=tmp_path / "seen.png")
    colours = Image.open(tmp_path / "seen.png").convert("RGB").getcolors(1 << 24)
    assert colours
    for r, g, b in ((200, 30, 90), (20, 60, 220)):
        near = sum(count for count, c in colours if abs(c[0] - r) + abs(c[1] - g) + abs(c[2] - b) < 24)
        assert near > 5000


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_texts_do_nothing(tmp_path: Path, width: int) -> None:
    write_report(hostile(" ".join(HOSTILE)), tmp_path / "report.html")
    sound(tmp_path / "report.html", width=width)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000,
        "a-very-long-name_" * 20,
        "صورة لكلب أكبر من القطة \u202e !!! " * 30,
        "🦄👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈 " * 40,
    ],
    ids=["one-long-word", "names", "right-to-left", "emoji"],
)
def test_texts_of_every_kind_stay_in_their_place(tmp_path: Path, text: str) -> None:
    write_report(hostile(text), tmp_path / "report.html")
    sound(tmp_path / "report.html", width=360)


def test_many_classes_and_nothing_at_all(tmp_path: Path) -> None:
    classes = (*(f"class {i:03}" for i in range(199)), "an endless name of a class " * 12)
    rows = tuple(confusion(classes, AFTER, strategy) for strategy in ("zero-shot", "comparative"))
    twelve = tuple(confusion(classes[-12:], AFTER, strategy, "few") for strategy in ("zero-shot", "comparative"))
    whole_page = {"created": "2026-11-24T13:20:05+00:00", "suite": "own", "models": MODELS}
    many = Evaluation.model_validate({**whole_page, "tasks": (), "confusions": (*rows, *twelve)})
    write_report(many, tmp_path / "many.html")
    sound(tmp_path / "many.html", width=360)
    nothing = Evaluation.model_validate({**whole_page, "tasks": (TaskFacts(name="cub", skipped="not there"),)})
    write_report(nothing, tmp_path / "nothing.html")
    sound(tmp_path / "nothing.html", width=360)
