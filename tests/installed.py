"""Installs real distributions into a folder on the path: built by hatchling, unpacked as an installer does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import hatchling.build

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "{version}"

[project.entry-points.pcclip]
{entry_point} = "{package}.hooks"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""


def install(project: Path, site: Path) -> None:
    """Build the wheel of ``project`` and unpack it into ``site``."""
    with tempfile.TemporaryDirectory() as wheels:
        with _working_in(project):
            name = hatchling.build.build_wheel(wheels)
        with zipfile.ZipFile(Path(wheels) / name) as wheel:
            wheel.extractall(site)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def install_package(
    site: Path, distribution: str, modules: Mapping[str, str], *, entry_point: str | None = None, version: str = "1.2"
) -> None:
    """Install a distribution with one package of ``modules``, name to source; ``hooks`` is its entry point."""
    package = distribution.replace("-", "_")
    project = site.with_name(f"{site.name}-sources") / distribution
    (project / package).mkdir(parents=True)
    values = {"distribution": distribution, "version": version, "package": package}
    (project / "pyproject.toml").write_text(PYPROJECT.format(entry_point=entry_point or distribution, **values))
    for name, source in {"__init__": "", **modules}.items():
        (project / package / f"{name}.py").write_text(source)
    install(project, site)


def environment(site: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process that finds what is in ``site`` beside all else."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def python(
    site: Path, arguments: Sequence[str | Path], cwd: Path, given: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in ``cwd`` with what is in ``site``, and ``given`` on standard input."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=given,
        env=environment(site, **variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
