"""Runs that were killed end in the same weights as runs that were not; more of them in test_finetune."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from cutting import flags, kill_when

import pcclip


def test_killed_with_everything_on_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    extra = ["--keep-best", "--log-to", "tensorboard", "--loss-retain-target", "images"]
    settings = flags(
        loss="contrastive+0.5*retain+0.2*antisymmetry", train="lora", chunk_size=5, eval_every=2, patience=9,
        false_negatives="mask", hard_negatives=0.25, keep_checkpoints=1, weight_decay=0.1, schedule="cosine",
    )  # fmt: skip

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "pcclip_cli", "finetune", *settings, *extra, "--out", str(out), "-q"]

    cut, whole = tmp_path / "cut", tmp_path / "whole"
    kill_when(command(cut), (cut / "checkpoints" / "step-00000004").exists)
    subprocess.run(command(cut), check=True)
    subprocess.run(command(whole), check=True)
    assert (cut / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
    assert json.loads((cut / "evaluation.json").read_text()) == json.loads((whole / "evaluation.json").read_text())
    assert list((cut / "tensorboard").iterdir())
    record = json.loads((whole / "run.json").read_text())
    assert record["stages"]["train"]["kept"] in (2, 4, 6)
    assert record["stages"]["embed"]["validation"] >= 2
    assert pcclip.load(whole).embedder.image_fingerprint == pcclip.registry().embedder("mini").image_fingerprint


def test_killed_while_describing_with_a_language_model_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    # one thread: several wait for each other where tests share the cores
    settings = flags(captioner="llama", pairs=40, eval_pairs=12, max_steps=2, data="scenes:40", threads=1)

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "pcclip_cli", "finetune", *settings, "--captioner-chunk-size", "16",
                "--out", str(out), "-q"]  # fmt: skip

    def described(out: Path) -> list[tuple[str, ...]]:
        if not (out / "comparatives.sqlite").exists():
            return []
        with closing(sqlite3.connect(out / "comparatives.sqlite", timeout=60)) as store:
            try:
                return store.execute("SELECT pair, text, reason, created FROM comparatives ORDER BY pair").fetchall()
            except sqlite3.OperationalError:  # the table is about to be made
                return []

    cut, whole = tmp_path / "cut", tmp_path / "whole"
    kill_when(command(cut), lambda: len(described(cut)) >= 16)
    before = described(cut)
    assert 16 <= len(before) < 52
    subprocess.run(command(cut), check=True)
    assert [row for row in described(cut) if row[0] in {old[0] for old in before}] == before, "described again"
    subprocess.run(command(whole), check=True)
    assert [row[:3] for row in described(cut)] == [row[:3] for row in described(whole)]
    assert (cut / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
