"""Write a new plugin package: a distribution that works and passes its tests as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Template

from pcclip import __version__
from pcclip.errors import UsageError
from pcclip.files import make_writable_folder, new_folder, write_text, writing
from pcclip.plugins import KINDS, registry

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*")
_LONGEST = 40
_SUMMARIES = {
    "strategy": "nearest class prompt, moved by what is said of the class",
    "loss": "cosine distance between text and image difference",
    "captioner": "the beginnings of both captions, by rule",
    "embedder": "a small model of random weights",
}
_USAGES = {
    "strategy": "pcclip predict photos/ --model RUN --classes cat,dog --strategy $name",
    "loss": "pcclip finetune --data DATA --out RUN --loss contrastive+0.5*$name",
    "captioner": "pcclip finetune --data DATA --out RUN --captioner $name",
    "embedder": "pcclip finetune --data DATA --out RUN --backbone $name",
}


def new_plugin(kind: str, name: str, into: str | Path = ".") -> Path:
    """Write a package with one plugin: pyproject, hooks, options, an implementation that works, tests and a README.

    Args:
        kind: ``strategy``, ``loss``, ``captioner`` or ``embedder``.
        name: what users will write to choose it.
        into: where the package's folder is made.

    Returns:
        The folder, ``pcclip-KIND-NAME``.

    Raises:
        UsageError: there is no such kind, the name cannot be one or is taken, or the folder is there already.
        PcclipError: the folder cannot be written.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind of plugin {kind!r}", f"There are: {', '.join(KINDS)}")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r} cannot be the name of a plugin",
            f"Use lower-case letters and digits with '-', '_' or '.' between, a letter first, at most {_LONGEST}: "
            "my-name",
        )
    if name in registry().names(kind):
        owner = registry().find(kind, name).origin
        raise UsageError(f"there is a {kind} {name!r} already, of {owner}", "Choose another name.")
    words = re.split("[-_.]", name)
    distribution = "-".join(["pcclip", kind, *words])
    folder = Path(into).absolute() / distribution
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", "Choose another name, or another folder with --into.")
    values = _values(kind, name, distribution, words)
    make_writable_folder(folder.parent)
    with writing(folder), new_folder(folder) as building:
        for path, template in _templates(kind):
            target = building / path.replace("PACKAGE", values["package"])
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, Template(template).substitute(values))
    return folder


def _values(kind: str, name: str, distribution: str, words: list[str]) -> dict[str, str]:
    major, minor = __version__.split(".")[:2]
    classname = "".join(map(str.capitalize, words)) + kind.capitalize()
    return {
        "kind": kind,
        "name": name,
        "distribution": distribution,
        "package": distribution.replace("-", "_"),
        "module": kind,
        "classname": classname,
        "spec": KINDS[kind].__name__,
        "hook": {"strategy": "pcclip_strategies", "loss": "pcclip_losses"}.get(kind, f"pcclip_{kind}s"),
        "entry_point": distribution.removeprefix("pcclip-"),
        "summary": _SUMMARIES[kind],
        "usage": Template(_USAGES[kind]).substitute(name=name),
        "since": f"{major}.{minor}",
        "before": f"{major}.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}",
    }


def _templates(kind: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of each template; the paths are relative and lack the suffix."""
    for folder in (_TEMPLATES / "common", _TEMPLATES / kind):
        for file in sorted(folder.rglob("*.tmpl")):
            yield file.relative_to(folder).as_posix().removesuffix(".tmpl"), file.read_text("utf-8")
