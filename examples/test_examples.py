"""Builds each example and pcclip as wheels, installs both into a fresh environment, and uses them there.

The environment borrows the heavy libraries of the one that runs this test, by a path file; pcclip
and the example are the wheels, not this checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

HERE = Path(__file__).parent


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=cwd or HERE,  # never the checkout, whose pcclip would be imported
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    wheels = folder / "wheels"
    for source in (HERE.parent, HERE / "pcclip-strategy-votes"):
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, source)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import pcclip; print(pcclip.__file__)").strip()
    assert where.startswith(str(folder)), "the checkout is used, not the wheel"
    return python


def test_the_wheel_holds_every_package_and_nothing_else(environment: Path) -> None:
    listed = run(environment, "-m", "pip", "show", "-f", "pcclip")
    files = [line.strip() for line in listed.partition("Files:")[2].splitlines() if line.strip()]
    tops = {file.split("/")[0] for file in files if not file.startswith("..")}
    expected = {"pcclip", "pcclip_cli", *(p.name for p in (HERE.parent / "plugins").iterdir() if p.is_dir())}
    assert {top for top in tops if ".dist-info" not in top} == {top for top in expected if not top.startswith("_")}
    assert "pcclip/py.typed" in files


def test_the_examples_own_tests_pass_against_the_wheel(environment: Path) -> None:
    run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=HERE / "pcclip-strategy-votes")


def test_the_example_strategy_predicts(environment: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "red.png")
    (tmp_path / "d.csv").write_text("first,second,text\ncat,dog,The first image shows a cat.\n")
    out = run(
        environment, "-m", "pcclip_cli", "predict", tmp_path / "red.png", "--backbone", "mini", "--strategy", "votes",
        "--strategy-weight", "0.3", "--classes", "cat,dog", "--differences", tmp_path / "d.csv", "--format", "json",
    )  # fmt: skip
    row = json.loads(out)
    assert set(row["scores"]) == {"cat", "dog"}
    listed = run(environment, "-m", "pcclip_cli", "plugins", "--json")
    assert any(json.loads(line)["distribution"] == "pcclip-strategy-votes" for line in listed.splitlines())
