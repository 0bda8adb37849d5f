"""Two processes on this machine do what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pcclip.files import read_json

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

GRADIENT = """
import sys
import torch
from safetensors.torch import save_file
from pcclip.batches import Batches, TrainingPairs
from pcclip.encoding import TextPass
from pcclip.objective import make_loss, values_of
from pcclip.processes import launched
from pcclip.testing import HashEmbedder

torch.set_num_threads(1)
out, chunk_size = sys.argv[1], int(sys.argv[2]) or None
n = 31  # not to be shared out evenly
texts = [" ".join(f"w{(7 * i + j) % 50}" for j in range(1 + (i * i) % 23)) for i in range(n)]
pictures = torch.nn.functional.normalize(torch.randn(2 * n, 32, generator=torch.Generator().manual_seed(1)), dim=-1)
captions = [f"caption {i % 40}" for i in range(2 * n)]
pairs = TrainingPairs(pictures, torch.arange(n), torch.arange(n) + n, texts, texts, (), captions)
loss = make_loss("contrastive+0.5*retain", {"contrastive": {"learn_temperature": True}, "retain": {"target": "images"}})
with launched() as processes:
    embedder = HashEmbedder()
    batches = Batches(embedder, pairs, loss.needs)
    request = batches.request(torch.arange(n))
    passes = TextPass(embedder, chunk_size=chunk_size, processes=processes)
    passes.backward(request.tokens, lambda text: values_of(loss, batches.batch(request, text))[0].backward())
    trained = {**embedder.trainable("text"), **dict(loss.named_parameters())}
    processes.sum_gradients(trained.values(), loss.parameters())
    gradients = {name: parameter.grad for name, parameter in trained.items()}
    save_file(gradients, f"{out}-{processes.rank}.safetensors")
"""


def clean() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("one")
    (folder / "gradient.py").write_text(GRADIENT)
    subprocess.run([sys.executable, folder / "gradient.py", folder / "one", "0"], env=clean(), check=True)
    return load_file(folder / "one-0.safetensors")


@pytest.mark.parametrize("chunk_size", [0, 5])
def test_the_gradient_of_two_processes_is_that_of_one(
    tmp_path: Path, one_process: dict[str, torch.Tensor], chunk_size: int
) -> None:
    (tmp_path / "gradient.py").write_text(GRADIENT)
    subprocess.run([*TORCHRUN, tmp_path / "gradient.py", tmp_path / "two", str(chunk_size)], env=clean(), check=True)
    first, second = (load_file(tmp_path / f"two-{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == one_process.keys()
    for name, expected in one_process.items():
        assert torch.equal(first[name], second[name])
        found = first[name]
        assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0).item() == pytest.approx(1, abs=1e-5)
        assert (found.norm() / expected.norm()).item() == pytest.approx(1, abs=1e-5)


def finetune(out: Path, *launcher: str, **settings: object) -> list[str]:
    values = {"data": "scenes:40", "backbone": "mini", "captioner": "template", "pairs": 40, "eval_pairs": 12,
              "batch_size": 9, "max_steps": 4, "checkpoint_every": 2, "threads": 1, "keep_best": None,
              "eval_every": 2, **settings}  # fmt: skip
    flags = [
        part
        for name, value in values.items()
        for part in ([f"--{name.replace('_', '-')}"] + ([] if value is None else [str(value)]))
    ]
    module = ["-m", "pcclip_cli", "finetune", *flags, "--out", str(out), "-q"]
    return [*(launcher or (sys.executable,)), *module]


def test_a_run_of_two_processes_goes_on_where_it_was_cut_off_and_equals_that_of_one(tmp_path: Path) -> None:
    subprocess.run(finetune(tmp_path / "one"), env=clean(), check=True)
    done = subprocess.run(
        finetune(tmp_path / "two", *TORCHRUN), env=clean(), check=True, capture_output=True, text=True
    )
    assert done.stdout.count("difference accuracy, both orders") == 1, "one process speaks for all"

    def losses(name: str) -> list[float]:
        return [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    assert losses("two") == pytest.approx(losses("one"), rel=1e-4)
    # as after a kill in the middle: the last checkpoint, the model and the end of the record are not there
    checkpoints = tmp_path / "two" / "checkpoints"
    whole = load_file(checkpoints / "step-00000004" / "parameters.safetensors")
    for file in (checkpoints / "step-00000004").iterdir():
        file.unlink()
    (checkpoints / "step-00000004").rmdir()
    record = read_json(tmp_path / "two" / "run.json")
    del record["stages"]["evaluate"], record["stages"]["train"]
    (tmp_path / "two" / "run.json").write_text(json.dumps(record))
    subprocess.run(finetune(tmp_path / "two", *TORCHRUN), env=clean(), check=True, capture_output=True)
    again = load_file(checkpoints / "step-00000004" / "parameters.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    assert len(losses("two")) == 4
    finished = finetune(tmp_path / "two", *TORCHRUN)  # and once more, where nothing is left to train
    subprocess.run(finished, env=clean(), check=True, capture_output=True, timeout=200)
