"""The models of an evaluation: what each is, what tables call it, and which pictures it was trained on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcclip.errors import PcclipError, UsageError
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.progress import Progress
from pcclip.saved import load, model_folder, read_record
from pcclip.splits import trained_on


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to measure, not loaded yet.

    Attributes:
        name: what tables call it; unique in an evaluation.
        backbone: name of its embedder plugin.
        path: its run or model folder, None for an untuned backbone.
        options: options of an untuned backbone.
        trained_on: content hashes of the pictures that it was trained on.
        unknown: why these cannot be told, or None where they can.
    """

    name: str
    backbone: str
    path: Path | None = None
    options: Mapping[str, Any] | None = None
    trained_on: frozenset[str] = frozenset()
    unknown: str | None = None

    def open(self, device: str = "auto") -> Embedder:
        """Load the model."""
        if self.path is not None:
            return load(self.path, device).embedder
        options = dict(self.options or {})
        if device != "auto":
            options.setdefault("device", device)
        return registry().embedder(self.backbone, options)


def find_candidates(
    models: Sequence[str | Path],
    baseline: str | Path | None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[list[Candidate], str | None]:
    """Return the models, the baseline first, and the baseline's name.

    Args:
        models: run folders, model folders, or names of backbones; a folder that is called like a backbone is
            written ``./mini``, or given as a Path.
        baseline: likewise, or None for what the first run was tuned from, or ``none`` to compare with nothing.
        options: options of the backbone that is the baseline.

    Raises:
        UsageError: there is no model, or one is named twice.
        PcclipError: a folder holds no model.
    """
    if not models and baseline is None:
        raise UsageError("no model to measure was given", "Name one or more: --model RUN, or the name of a backbone.")
    for model in models if baseline in (None, "none") else (*models, str(baseline)):
        if not _is_backbone(model) and not Path(model).exists():
            close = difflib.get_close_matches(str(model), registry().names("embedder"), n=3)
            hint = f"Did you mean {', '.join(close)}?" if close else "Name a run's folder, or see: pcclip plugins"
            raise UsageError(f"{str(model)!r} is neither a folder nor a backbone", hint)
    tuned = [model for model in models if not _is_backbone(model)]
    chosen: str | Path | None = baseline
    if baseline is None and tuned:
        trained = read_record(model_folder(Path(tuned[0])))["trained"]["config"]
        chosen, options = str(trained["backbone"]), trained.get("backbone_options")
    elif baseline == "none":
        chosen = None
    wanted = list(models) if chosen is None else [chosen, *(model for model in models if str(model) != str(chosen))]
    if not wanted:
        raise UsageError("no model to measure was given", "Name one or more: --model RUN, or the name of a backbone.")
    twice = {str(model) for model in wanted if [str(other) for other in wanted].count(str(model)) > 1}
    if twice:
        raise UsageError(f"a model is named twice: {', '.join(sorted(twice))}", "Name each once.")
    names = _names(wanted)
    found = [
        _candidate(model, name, options if model == chosen else None, progress)
        for model, name in zip(wanted, names, strict=True)
    ]
    return found, None if chosen is None else names[0]


def _candidate(model: str | Path, name: str, options: Mapping[str, Any] | None, progress: Progress | None) -> Candidate:
    if _is_backbone(model):
        registry().parse_options("embedder", str(model), options or {})
        return Candidate(name, str(model), options=options)
    path = Path(model)
    backbone = str(read_record(model_folder(path))["plugin"])
    try:
        return Candidate(name, backbone, path, trained_on=trained_on(path, progress))
    except PcclipError as error:
        return Candidate(name, backbone, path, unknown=error.message)


def _is_backbone(model: str | Path) -> bool:
    return isinstance(model, str) and model in registry().names("embedder")


def _names(models: Sequence[str | Path]) -> list[str]:
    """Return the shortest ends of the paths that differ from each other."""
    parts = [(str(model),) if _is_backbone(model) else Path(model).absolute().parts for model in models]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(model) for model in models]
