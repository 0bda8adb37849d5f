"""Average finished runs: with their original, and with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pcclip.averaging import interpolate, load_weights, mean, put_text_weights, text_weights
from pcclip.config import make_config
from pcclip.errors import RunError, UsageError
from pcclip.files import claim_folder, read_json
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.preparing import prepare
from pcclip.progress import Progress
from pcclip.runs import open_run
from pcclip.saved import load, model_folder, read_record, save
from pcclip.sweep import RULE, AlphaSweep, read_sweep, sweep
from pcclip.threads import set_threads


def merge(runs: Sequence[str | Path], out: str | Path, *, alpha: float) -> Path:
    """Write a model whose text tower is ``alpha`` · (mean of the runs' tuned ones) + (1 - ``alpha``) · original.

    With one run this is WiSE-FT (arXiv:2109.01903), bit for bit the original at 0 and the tuned model at 1; with
    several a uniform soup (arXiv:2203.05482). The original is the backbone that the runs' records name, and is not
    needed at 1.

    Args:
        runs: run or model folders, tuned from the same weights.
        out: a new or empty folder, or an earlier merge, which is replaced.
        alpha: 0 to 1.

    Returns:
        The folder, a model folder.

    Raises:
        UsageError: ``alpha`` is out of bounds, or there is no run.
        RunError: the runs do not belong together, their original is no longer what it was, or a model folder holds
            weights that were averaged already.
    """
    _checked(alpha)
    if not runs:
        raise UsageError("no run to merge was given")
    paths, target = [Path(run) for run in runs], Path(out).absolute()
    records = [read_record(model_folder(path)) for path in paths]
    _same_origin(paths, records)
    claim_folder(target, ours=_is_merge(target))
    first, name = records[0]["trained"], records[0]["plugin"]
    fingerprints: list[str] = []
    weights = mean(_each_tuned(paths, fingerprints))
    if alpha < 1:
        weights = interpolate(text_weights(_original(paths[0], records[0])), weights, alpha)
    embedder = load(paths[0], "cpu").embedder
    put_text_weights(embedder, weights)
    merged = {"runs": [{"path": str(p), "text": f} for p, f in zip(paths, fingerprints, strict=True)]}
    known = _known_measures(paths, fingerprints, alpha)
    save(embedder, target, plugin=name, trained={**first, "alpha": alpha, "merged": merged, **known})
    return target


def sweep_run(
    run: str | Path,
    alphas: Sequence[float] = (),
    *,
    alpha: float | Literal["auto"] | None = None,
    progress: Progress | None = None,
) -> AlphaSweep:
    """Measure averages of a finished run on its held-out pictures, and keep them as its ``alpha_sweep`` files.

    The run's data is read again; embeddings and described pairs come from their stores.

    Args:
        alphas: 0 to 1; by default 0, 0.25, 0.5, 0.75, 1. 0 and ``alpha`` are always measured.
        alpha: the one that is noted as chosen, or ``auto`` for :data:`pcclip.sweep.RULE`; by default the run's own.

    Raises:
        RunError: the run is not finished, or its data, captioner or original are not what they were.
    """
    path = Path(run)
    model_folder(path)  # says what is missing where there is no finished run
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is a model without its run", "Name the run folder, which knows the held-out pictures.")
    config = make_config(str(path))
    taken = config.alpha if alpha is None else alpha
    swept = make_config(str(path), sweep_alpha=tuple(alphas) or (0, 0.25, 0.5, 0.75, 1)).sweep_alpha
    wanted = {0.0, *swept} if taken == "auto" else {0.0, *swept, _checked(taken)}
    set_threads(config.threads)
    with open_run(path, config) as opened:
        original = registry().embedder(config.backbone, config.backbone_options)
        prepared = prepare(original, config, opened, progress)
        found = sweep(
            prepared,
            text_weights(prepared.embedder),
            text_weights(_tuned(path)),
            alphas=sorted(wanted),
            alpha=taken,
            progress=progress,
        )
        found.write(path)
        return found


def _checked(alpha: float) -> float:
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha is a number from 0 to 1, not {alpha:g}")
    return alpha


def _tuned(path: Path) -> Embedder:
    """Return the model of a run as training left it, before it was averaged with the original."""
    folder = model_folder(path)
    record = read_record(folder)
    embedder = load(folder, "cpu").embedder
    if record["trained"].get("alpha", 1) == 1:
        return embedder
    if not (path / "tuned.safetensors").is_file():
        raise RunError(
            f"{path} holds a text tower that was averaged already",
            "Name the run folder, which keeps the tuned weights beside the averaged ones.",
        )
    put_text_weights(embedder, load_weights(path / "tuned.safetensors"))
    wanted = read_json(path / "run.json")["fingerprints"]["tuned text tower"]
    if embedder.text_fingerprint != wanted:
        raise RunError(f"{path / 'tuned.safetensors'} is not what the run wrote (its fingerprint differs)")
    return embedder


def _each_tuned(paths: Sequence[Path], fingerprints: list[str]) -> Iterator[dict[str, Tensor]]:
    for path in paths:
        embedder = _tuned(path)
        fingerprints.append(embedder.text_fingerprint)
        yield text_weights(embedder)


def _original(path: Path, record: dict[str, Any]) -> Embedder:
    """Return the untuned backbone of a run."""
    config = record["trained"]["config"]
    embedder = registry().embedder(config["backbone"], config["backbone_options"])
    found = {"image": embedder.image_fingerprint, "text": embedder.text_fingerprint}
    for tower, wanted in record["trained"]["original"].items():
        if found[tower] != wanted:
            raise RunError(
                f"the {tower} tower of backbone {config['backbone']!r} is not the one that {path} was tuned from "
                f"(fingerprint {found[tower][:12]}, then {wanted[:12]})",
                "Its weights or libraries changed since. Restore them, or merge with alpha 1, which needs no original.",
            )
    return embedder


def _same_origin(paths: Sequence[Path], records: Sequence[dict[str, Any]]) -> None:
    for path, record in zip(paths, records, strict=True):
        if "original" not in record["trained"]:
            raise RunError(
                f"{path} does not say what it was tuned from", "It is of an older pcclip: finetune it again."
            )
        if (record["plugin"], record["trained"]["original"]) != (
            records[0]["plugin"],
            records[0]["trained"]["original"],
        ):
            raise RunError(
                f"{paths[0]} and {path} were tuned from different weights",
                "Only runs of the same backbone with the same weights can be averaged.",
            )


def _is_merge(folder: Path) -> bool:
    return (folder / "embedder.json").is_file() and "merged" in read_record(folder)["trained"]


def _known_measures(paths: Sequence[Path], fingerprints: Sequence[str], alpha: float) -> dict[str, Any]:
    """Return the measures of a merge of one run where its sweep has them, and whether they chose its alpha."""
    found = read_sweep(paths[0]) if len(paths) == 1 else None
    row = (
        found.row(alpha)
        if found is not None and found.tuned == fingerprints[0] and found.pictures == "held-out"
        else None
    )
    if found is None or row is None:
        return {"before": None, "after": None, "alpha_chosen": False}
    chosen = found.rule == RULE and alpha == found.chosen
    return {"before": found.rows[0].measures, "after": row.measures, "alpha_chosen": chosen}
