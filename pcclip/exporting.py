"""Hand a finished model to another library: its own folder format, with a card that says how to load it."""

from __future__ import annotations

from pathlib import Path

from pcclip import __version__
from pcclip.card import model_card
from pcclip.errors import UsageError
from pcclip.faults import blaming, who
from pcclip.files import claim_folder, new_folder, write_json, write_text, writing
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.saved import load, model_folder, read_record

RECORD = "pcclip_export.json"
SCHEMA = 1


def export(path: str | Path, format_: str, out: str | Path) -> Path:
    """Write the model of a run or model folder as another library keeps it: all of the folder, or nothing.

    Args:
        path: a run folder or a model folder.
        format_: one of the formats of its backbone, such as ``open_clip`` or ``transformers``.
        out: a new or empty folder, or an earlier export, which is replaced.

    Returns:
        The folder.

    Raises:
        UsageError: the backbone has no such format, or this model no form in it.
        MissingDependencyError: the other library is not installed.
        PcclipError: there is no model, or ``out`` holds something else.
    """
    folder, target = model_folder(Path(path)), Path(out).absolute()
    record = read_record(folder)
    embedder_class: type[Embedder] = registry().target("embedder", record["plugin"])
    if format_ not in embedder_class.export_formats:
        known = ", ".join(embedder_class.export_formats)
        raise UsageError(
            f"backbone {record['plugin']!r} cannot be exported as {format_!r}",
            f"It can be exported as: {known}" if known else "It has no form in another library; pcclip.load reads it.",
        )
    claim_folder(target, ours=(target / RECORD).is_file())
    embedder = load(folder, "cpu").embedder
    with writing(target), new_folder(target) as building:
        with blaming(who("embedder", embedder), f"exporting {target}"), writing(target):
            usage = embedder.export(format_, building)
        write_text(building / "README.md", model_card(record["trained"], usage, library=format_))
        write_json(
            building / RECORD,
            {
                "schema": SCHEMA,
                "format": format_,
                "pcclip": __version__,
                "backbone": record["plugin"],
                "fingerprints": record["fingerprints"],
            },
        )
    return target
