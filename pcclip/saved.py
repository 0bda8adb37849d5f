"""Model folders: safetensors, ``embedder.json`` and a card, written whole and loaded without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pcclip.card import model_card
from pcclip.errors import PcclipError
from pcclip.faults import blaming, who
from pcclip.files import new_folder, read_json, write_json, write_text, writing
from pcclip.interfaces import Embedder
from pcclip.model import Model
from pcclip.plugins import registry

SCHEMA = 1


def save(embedder: Embedder, folder: Path, *, plugin: str, trained: Mapping[str, Any]) -> None:
    """Write a model folder as a whole: weights, ``embedder.json`` and a card.

    Args:
        plugin: name of the embedder plugin that can load it.
        trained: what it was trained on and how, kept in ``embedder.json`` and told in the card: ``config``,
            ``captioner_fingerprint``, ``original`` (the fingerprints before training), ``alpha`` (the weight of the
            tuned parameters), ``alpha_chosen`` (whether the measures chose it), and the measures ``before`` and
            ``after``, None where it was not measured.
    """
    found = registry().find("embedder", plugin)
    with writing(folder), new_folder(folder) as building:
        # a full disk is nobody's fault, so it is looked for first
        with blaming(who("embedder", embedder), f"saving {folder}"), writing(folder):
            config = embedder.save(building)
        write_json(
            building / "embedder.json",
            {
                "schema": SCHEMA,
                "plugin": plugin,
                "distribution": found.distribution,
                "version": found.version,
                "config": config,
                "fingerprints": {"image": embedder.image_fingerprint, "text": embedder.text_fingerprint},
                "trained": trained,
            },
        )
        write_text(building / "README.md", model_card(trained))


def load(path: str | Path, device: str = "auto") -> Model:
    """Load a model from a run folder or a model folder; needs no network.

    Raises:
        PcclipError: there is no model, a file is damaged, or it was written by a newer pcclip.
        UsageError: the plugin it was made with is not installed.
    """
    folder = model_folder(Path(path))
    record = read_record(folder)
    found = registry().find("embedder", record["plugin"])
    target: type[Embedder] = registry().target("embedder", record["plugin"])
    with blaming(f"embedder {record['plugin']!r} of {found.origin}", f"loading {folder}"):
        embedder = target.load(folder, record["config"], device)
    for tower, actual in (("image", embedder.image_fingerprint), ("text", embedder.text_fingerprint)):
        if actual != record["fingerprints"][tower]:
            raise PcclipError(
                f"{folder}: the {tower} tower is not the one that was saved (its fingerprint differs)",
                "The weights, the preprocessing or the libraries changed; train or export it again.",
            )
    return Model(embedder, str(path))


def read_record(folder: Path) -> dict[str, Any]:
    """Return the content of a model folder's ``embedder.json``.

    Raises:
        PcclipError: it is damaged, or was written by a newer pcclip.
    """
    record = read_json(folder / "embedder.json")
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise PcclipError(f"{folder / 'embedder.json'} has another schema than {SCHEMA}", "Upgrade pcclip.")
    return record


def model_folder(path: Path) -> Path:
    """Return the model folder that ``path`` is or holds.

    Raises:
        PcclipError: there is none; the message says what is there instead.
    """
    for candidate in (path, path / "model"):
        if (candidate / "embedder.json").is_file():
            return candidate
    if (path / "run.json").is_file():
        stages = read_json(path / "run.json").get("stages", {})
        reached = ", ".join(f"{name} {stage['status']}" for name, stage in stages.items()) or "nothing yet"
        raise PcclipError(
            f"{path} is a run without a model so far ({reached})", "Finish it: run the same finetune again."
        )
    what = "does not exist" if not path.exists() else "is no run and no model folder"
    raise PcclipError(f"{path} {what}", "Name a folder that `pcclip finetune --out` wrote.")
