"""Builds pcclip and each example as wheels, installs all into one fresh environment, and uses them there.

The environment borrows the heavy libraries of the one that runs this test, by a path file; pcclip
and the examples are the wheels, not this checkout.
"""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
EXAMPLES = sorted(path.parent for path in HERE.glob("*/pyproject.toml"))
PLUGINS = {
    "strategy votes": "pcclip-strategy-template",
    "captioner distinct": "pcclip-captioner-distinct",
    "loss hardest": "pcclip-loss-hardest",
    "embedder transformers": "pcclip-backbone-transformers",
}


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
    for source in (HERE.parent, *EXAMPLES):
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, source)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import pcclip; print(pcclip.__file__)").strip()
    assert where.startswith(str(folder)), "the checkout is used, not the wheel"
    return python


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen captioned pictures of one thing each."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        colour, size = ("red", "green", "blue")[number % 3], 4 + number
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse((4, 4, 4 + 2 * size, 4 + 2 * size), fill=colour)
        picture.save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(f"A {colour} disc of size {size} on white ground.")
    return folder


@pytest.fixture(scope="module")
def model(environment: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that took its backbone, captioner and loss from the examples."""
    folder = tmp_path_factory.mktemp("transformers")
    run(environment, HERE / "pcclip-backbone-transformers" / "tests" / "tiny_models.py", "siglip", folder / "tiny")
    run(
        environment, "-m", "pcclip_cli", "finetune", "--data", pictures, "--out", folder / "run",
        "--backbone", "transformers", "--backbone-folder", folder / "tiny", "--backbone-device", "cpu",
        "--captioner", "distinct", "--loss", "hardest+0.5*retain", "--loss-hardest-margin", "0.3",
        "--pairs", "20", "--eval-pairs", "6", "--batch-size", "8", "--max-steps", "2", "--threads", "1",
    )  # fmt: skip
    for file in (folder / "tiny").iterdir():
        file.unlink()  # the run stands alone
    return folder / "run"


def test_the_wheel_holds_every_package_and_nothing_else(environment: Path) -> None:
    listed = run(environment, "-m", "pip", "show", "-f", "pcclip")
    files = [line.strip() for line in listed.partition("Files:")[2].splitlines() if line.strip()]
    tops = {file.split("/")[0] for file in files if not file.startswith("..")}
    expected = {"pcclip", "pcclip_cli", *(p.name for p in (HERE.parent / "plugins").iterdir() if p.is_dir())}
    assert {top for top in tops if ".dist-info" not in top} == {top for top in expected if not top.startswith("_")}
    assert "pcclip/py.typed" in files
    templates = (HERE.parent / "pcclip").glob("templates/**/*.tmpl")
    assert {path.relative_to(HERE.parent).as_posix() for path in templates} <= set(files)


def test_each_example_is_listed_with_its_own_distribution(environment: Path) -> None:
    rows = [json.loads(line) for line in run(environment, "-m", "pcclip_cli", "plugins", "--json").splitlines()]
    found = {f"{row['kind']} {row['name']}": row for row in rows}
    assert {name: found[name]["distribution"] for name in PLUGINS} == PLUGINS
    assert {found[name]["status"] for name in PLUGINS} == {"ok"}
    assert len(PLUGINS) == len(EXAMPLES)


def test_the_examples_own_tests_pass_against_the_wheel(environment: Path) -> None:
    # one process for all, so that torch is imported once; importlib, for their test modules are no packages
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode", "importlib")
    run(environment, "-m", "pytest", *options, *(example / "tests" for example in EXAMPLES))


def test_captioner_loss_and_backbone_finetune(model: Path) -> None:
    record = json.loads((model / "run.json").read_text())
    assert {stage["status"] for stage in record["stages"].values()} == {"done"}
    assert len((model / "metrics.jsonl").read_text().splitlines()) == 2
    assert json.loads((model / "model" / "embedder.json").read_text())["distribution"] == "pcclip-backbone-transformers"


def test_the_strategy_predicts_with_the_finetuned_model(environment: Path, model: Path, pictures: Path) -> None:
    differences = model.parent / "d.csv"
    differences.write_text("first,second,text\nred,blue,The first image shows a red disc.\n")
    out = run(
        environment, "-m", "pcclip_cli", "predict", pictures / "00.png", "--model", model, "--strategy", "votes",
        "--strategy-weight", "0.3", "--classes", "red,blue", "--differences", differences, "--format", "json",
    )  # fmt: skip
    assert set(json.loads(out)["scores"]) == {"red", "blue"}


def test_a_new_package_comes_out_of_the_wheel_as_out_of_the_checkout(environment: Path, tmp_path: Path) -> None:
    from pcclip.plugins import KINDS
    from pcclip.scaffold import new_plugin

    for kind in KINDS:
        ours = new_plugin(kind, "my-own", tmp_path / "checkout")
        run(environment, "-m", "pcclip_cli", "plugins", "new", kind, "my-own", "--into", tmp_path / "wheel")
        names = [file.relative_to(ours).as_posix() for file in ours.rglob("*") if file.is_file()]
        same, *differing = filecmp.cmpfiles(ours, tmp_path / "wheel" / ours.name, names, shallow=False)
        assert set(same) == set(names), differing
