"""``pcclip plugins new``: what it writes is installed as a wheel, and passes its own tests as written."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parent))

from installed import install, python

from pcclip.errors import UsageError
from pcclip.plugins import KINDS
from pcclip.scaffold import new_plugin
from pcclip_cli.main import main


def pcclip(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new package of each kind."""
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        done = pcclip("plugins", "new", kind, "my-own.v2", "--into", folder)
        assert done.exit_code == 0, done.output
        assert Path(done.stdout.strip()) == folder / f"pcclip-{kind}-my-own-v2"
    return folder


@pytest.fixture(scope="module")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the path with all of them installed."""
    folder = tmp_path_factory.mktemp("site") / "packages"
    for project in sorted(packages.iterdir()):
        install(project, folder)
    return folder


def test_new_packages_pass_their_tests_as_written(packages: Path, site: Path) -> None:
    tests = sorted(packages.glob("*/tests"))
    assert len(tests) == len(KINDS)
    done = python(
        site, ["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode", "importlib", *tests],
        cwd=packages,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_a_new_plugin_is_held_to_its_contract_from_the_command_line(packages: Path, site: Path) -> None:
    done = python(site, ["-m", "pcclip_cli", "plugins", "check", "my-own.v2", "--json"], cwd=packages)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, rows
    assert {row["kind"] for row in rows} == set(KINDS)
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["distribution"] for row in rows} == {f"pcclip-{kind}-my-own-v2" for kind in KINDS}


def test_new_packages_are_tidy(packages: Path) -> None:
    pytest.importorskip("ruff")  # where only the tests' dependencies are installed it is not there
    for project in packages.iterdir():
        for task in (["check", "--select", "E,F,W,I,UP,B,SIM"], ["format", "--check"]):
            found = subprocess.run(
                [sys.executable, "-m", "ruff", *task, "--isolated", "--no-cache", "--line-length", "120", "."],
                cwd=project, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    "name", ["", "Upper", "9lives", "with space", "-x", "x-", "a--b", "ä", "../up", "a/b", "x" * 41, "$(x)", "a\nb"]
)
def test_names_that_cannot_be_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        new_plugin("strategy", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_kinds_and_folders_that_are_taken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is a strategy 'zero-shot' already, of pcclip"):
        new_plugin("strategy", "zero-shot", tmp_path)
    with pytest.raises(UsageError, match="no kind of plugin 'tower'"):
        new_plugin("tower", "mine", tmp_path)
    folder = new_plugin("loss", "mine", tmp_path / "made" / "on the way")
    kept = (folder / "README.md").read_text()
    (folder / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new_plugin("loss", "mine", folder.parent)
    assert (folder / "README.md").read_text() == "mine" != kept
    done = pcclip("plugins", "new", "loss", "mine", "--into", folder.parent)
    assert done.exit_code == 2
    assert "--into" in done.stderr


def test_what_lies_about_is_not_published(tmp_path: Path) -> None:
    """A source distribution has the package and its tests, not the pictures that somebody tried it on."""
    folder = new_plugin("strategy", "mine", tmp_path)
    for stray in ("pictures/a.png", ".venv/lib/x.py", "differences.csv"):
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_text("x")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist"], cwd=folder, check=False)
    assert done.returncode == 0
    with tarfile.open(next((folder / "dist").iterdir())) as sdist:
        names = {Path(name).relative_to(Path(name).parts[0]).as_posix() for name in sdist.getnames()}
    package = "pcclip_strategy_mine"
    files = {f"{package}/{module}.py" for module in ("__init__", "hooks", "options", "strategy")}
    assert names - {".gitignore"} == files | {
        f"tests/test_{package}.py", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO",
    }  # fmt: skip


def test_an_embedder_may_be_called_backbone(tmp_path: Path) -> None:
    done = pcclip("plugins", "new", "backbone", "mine", "--into", tmp_path / "a folder")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a folder" / "pcclip-embedder-mine").is_dir()
    assert f"Next: cd '{tmp_path}/a folder/pcclip-embedder-mine' && " in done.stderr
    assert "Then --backbone mine is there." in done.stderr
    assert pcclip("plugins", "check", "mini", "--kind", "strategy").exit_code == 2


def test_an_index_refuses_it_until_a_licence_is_chosen(packages: Path) -> None:
    for project in packages.iterdir():
        assert "Private :: Do Not Upload" in (project / "pyproject.toml").read_text()
        assert "No licence has been chosen" in (project / "LICENSE").read_text()
