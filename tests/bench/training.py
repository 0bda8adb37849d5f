"""How fast the text tower trains: against the plain way of doing it, and against what the machine can do.

The plain way is written here from the paper's description (arXiv:2409.09721, section 3): texts padded to 77
tokens, ``model.encode_text`` in fp32, Adam on ``model.transformer``. Both do the same optimizer step on the same
weights, in turns; each ratio is the median over the turns. The last line is one JSON object.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from bench.report import Bound, facts, finish, table, warn_if_busy
from bench.resident import forget_peak, peak_resident
from pcclip import training
from pcclip.batches import Batches, TrainingPairs
from pcclip.config import FinetuneConfig
from pcclip.encoding import TextPass
from pcclip.interfaces import Embedder
from pcclip.memory import freed_memory_kept
from pcclip.objective import make_loss, values_of
from pcclip.optimizing import gradient_norm, make_optimizer
from pcclip.scopes import opened

TEMPERATURE = 0.1
LEARNING_RATE = 1e-5

# figure, limit, and whether that is the most it may be
BOUNDS = (
    ("speedup_fp32", 2.8, False),
    ("speedup_bf16", 5, False),
    ("peak_share_fp32", 0.75, False),
    ("peak_share_bf16", 0.60, False),
    ("loss_difference_fp32", 1e-4, True),
    ("gradient_difference_fp32", 1e-3, True),
    ("overhead_share", 0.05, True),
    ("memory_ratio", 1.3, True),
)


def comparatives(data: str, count: int) -> list[str]:
    """Return ``count`` comparatives of pairs of captions of ``data``, written by rule."""
    from pcclip.data import read
    from pcclip.pairs import choose_pairs
    from pcclip.plugins import registry
    from pcclip.types import CaptionPair, Comparative

    examples = read(data).examples
    pairs = [CaptionPair(examples[i].caption, examples[j].caption) for i, j in choose_pairs(examples, count, 0)]
    with registry().captioner("template") as captioner:
        written = [answer.text for answer in captioner.describe(pairs) if isinstance(answer, Comparative)]
    return [written[k % len(written)] for k in range(count)]


def random_weights(model: str, folder: Path) -> Path:
    """Write open_clip's ``model`` with random weights, the same each time."""
    import open_clip

    from pcclip_openclip import architecture

    torch.manual_seed(0)
    state = architecture.build(open_clip.get_model_config(model)).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


class Reference:
    """The plain way."""

    def __init__(self, model: str, weights: Path, texts: list[str], differences: Tensor, device: str) -> None:
        import open_clip
        from safetensors.torch import load_file

        from pcclip_openclip import architecture

        self.model: Any = architecture.build(open_clip.get_model_config(model)).to(device)
        self.model.load_state_dict(load_file(weights))
        self.model.visual = None
        self.model.requires_grad_(False)
        self.model.transformer.requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.model.transformer.parameters(), lr=LEARNING_RATE)
        self.ids = open_clip.get_tokenizer(model)(texts).to(device)
        self.differences = F.normalize(differences, dim=-1).to(device)

    def step(self) -> float:
        self.optimizer.zero_grad()
        texts = F.normalize(self.model.encode_text(self.ids), dim=-1)
        scores = texts @ self.differences.T / TEMPERATURE
        target = torch.arange(len(scores), device=scores.device)
        loss = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.model.transformer.parameters()]


class Ours:
    """One optimizer step as :mod:`pcclip.training` does it, from the same parts."""

    def __init__(self, embedder: Embedder, pairs: TrainingPairs, precision: str, chunk_size: int | None = None) -> None:
        config = FinetuneConfig(data="x", train="blocks", optimizer="adam", learning_rate=LEARNING_RATE)
        with opened(embedder, config) as parameters:
            self.parameters = dict(parameters)
        self.optimizer = make_optimizer(self.parameters, {}, config)
        self.loss = make_loss("contrastive", {"temperature": TEMPERATURE})
        self.batches = Batches(embedder, pairs, self.loss.needs)
        self.passes = TextPass(embedder, precision, chunk_size)

    def step(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        request = self.batches.request(torch.arange(len(self.batches.pairs)))
        seen: list[float] = []

        def backward(encoded: Tensor) -> None:
            value, _ = values_of(self.loss, self.batches.batch(request, encoded))
            value.backward()
            seen.append(value.item())

        self.passes.backward(request.tokens, backward)
        gradient_norm(self.parameters, None)
        self.optimizer.step()
        return seen[0]

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]

    def weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name])

    def operations(self) -> float:
        """Return the multiplications and additions of a step's matrix products, as it does them."""
        tokens = self.batches.request(torch.arange(len(self.batches.pairs))).tokens
        matrices: dict[str, list[int]] = {}
        for name, parameter in self.parameters.items():
            if parameter.ndim == 2:
                block = re.search(r"\.(\d+)\.", name)
                matrices.setdefault(block[1] if block else "", []).append(parameter.numel())
        width = min(next(iter(self.parameters.values())).shape)
        total, texts, words = 0.0, len(tokens), int(tokens.lengths.sum())
        last = max(matrices, key=int)
        for block, sizes in matrices.items():
            whole = 2.0 * sum(sizes) * words + 4.0 * width * float((tokens.lengths**2).sum())
            keys_and_values = 4.0 * width * width
            ends = keys_and_values * words + (2.0 * sum(sizes) - keys_and_values) * texts + 4.0 * width * words
            total += 3 * (ends if block == last else whole)  # forward, and both gradients
        return total


def pairs_of(texts: list[str], dim: int) -> TrainingPairs:
    """Return the texts as described pairs of made-up pictures."""
    count = len(texts)
    embeddings = F.normalize(torch.randn(2 * count, dim, generator=torch.Generator().manual_seed(1)), dim=-1)
    rows = torch.arange(count)
    return TrainingPairs(embeddings, rows, rows + count, texts, [f"pair {k}" for k in range(count)])


def peak_speed(dtype: torch.dtype, device: str) -> float:
    """Return the speed of one large square product, operations a second."""
    size = 2048 if device == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: left @ right, device) for _ in range(3))


def seconds(work: Callable[[], object], device: str) -> float:
    """Return how long ``work`` takes."""
    _settle(device)
    started = time.perf_counter()
    work()
    _settle(device)
    return time.perf_counter() - started


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the norm of the difference of two gradients over the norm of the second."""
    off = sum(float(((a - b).double() ** 2).sum()) for a, b in zip(one, other, strict=True))
    return float((off / sum(float((b.double() ** 2).sum()) for b in other)) ** 0.5)


def overhead(embedder: Embedder, pairs: TrainingPairs, steps: int, precision: str) -> float:
    """Return the share of a training's time, from its first step on, outside of forward, backward and update."""
    inside, started = 0.0, 0.0
    text_pass, optimizer = TextPass.backward, torch.optim.Adam.step

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal inside, started
            before = time.perf_counter()
            started = started or before
            try:
                return function(*args, **kwargs)
            finally:
                inside += time.perf_counter() - before

        return wrapper

    settings = {"data": "x", "train": "blocks", "optimizer": "adam", "epochs": steps}
    settings |= {"batch_size": len(pairs), "precision": precision}
    with tempfile.TemporaryDirectory() as folder:
        try:
            TextPass.backward = timed(text_pass)  # type: ignore[method-assign]
            torch.optim.Adam.step = timed(optimizer)  # type: ignore[method-assign]
            training.train(
                embedder,
                make_loss("contrastive"),
                pairs,
                FinetuneConfig.model_validate(settings),
                checkpoints=Path(folder) / "checkpoints",
                metrics=Path(folder) / "metrics.jsonl",
            )
            whole = time.perf_counter() - started
        finally:
            TextPass.backward = text_pass  # type: ignore[method-assign]
            torch.optim.Adam.step = optimizer  # type: ignore[method-assign]
    return 1 - inside / whole


def kept_memory(embedder: Embedder, pairs: TrainingPairs, repeats: int) -> float:
    """Return how many times faster a step is where freed memory is kept for the next one."""
    way = Ours(embedder, pairs, "fp32")
    start = way.weights()
    way.step()
    given_back = [seconds(way.step, "cpu") for _ in range(repeats)]
    with freed_memory_kept():
        way.step()
        kept = [seconds(way.step, "cpu") for _ in range(repeats)]
    way.restore(start)
    return median(given_back) / median(kept)


def peak_memory(*args: str) -> int:
    """Return the largest memory in bytes of one step in a process of its own."""
    bench = [sys.executable, str(Path(__file__).parent), Path(__file__).stem]
    done = subprocess.run([*bench, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1])


def make(model: str, data: str, count: int, device: str, folder: Path) -> tuple[Embedder, TrainingPairs, Path]:
    """Return the embedder with random weights, and described pairs."""
    from pcclip.plugins import registry

    weights = random_weights(model, folder)
    embedder = registry().embedder(model.lower(), {"pretrained": str(weights), "device": device})
    return embedder, pairs_of(comparatives(data, count), embedder.dim), weights


@click.command()
@click.option("--model", default="ViT-B-32", show_default=True, help="open_clip's name of the model.")
@click.option("--data", default="stamps", show_default=True, help="Captions that the comparatives are written from.")
@click.option("--batch", default=64, show_default=True, help="Comparatives an optimizer step.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--threads", default=2, show_default=True, help="CPU threads.")
@click.option("--repeats", default=5, show_default=True, help="Times that each way is measured.")
@click.option("--steps", default=40, show_default=True, help="Steps of the training whose overhead is measured.")
@click.option("--memory/--no-memory", default=True, show_default=True, help="Measure gradient caching's memory.")
@click.option("--check", is_flag=True, help="Exit with 1 where a bound is missed.")
@click.option("--one-step", is_flag=True, hidden=True)
@click.option("--chunk-size", type=int, hidden=True)
def command(
    model: str,
    data: str,
    batch: int,
    device: str,
    threads: int,
    repeats: int,
    steps: int,
    memory: bool,
    check: bool,
    one_step: bool,
    chunk_size: int | None,
) -> None:
    """Time an optimizer step of the text tower."""
    torch.set_num_threads(threads)
    if not one_step:
        warn_if_busy()
    with tempfile.TemporaryDirectory() as folder:
        embedder, pairs, weights = make(model, data, batch, device, Path(folder))
        if one_step:
            way = Ours(embedder, pairs, "fp32", chunk_size)
            forget_peak()
            with freed_memory_kept():
                way.step()
            used = torch.cuda.max_memory_allocated() if device.startswith("cuda") else peak_resident()
            click.echo(used)
            return
        result = {} if device.startswith("cuda") else {"kept_memory_speedup": kept_memory(embedder, pairs, repeats)}
        with freed_memory_kept():  # as in training; the plain way gains by it as well
            result |= measured(model, embedder, pairs, weights, device, repeats)
        result["overhead_share"] = overhead(embedder, pairs, steps, "fp32" if device == "cpu" else "bf16")
    if memory:
        fixed = ["--one-step", "--model", model, "--data", data, "--device", device, "--threads", str(threads)]
        plain = peak_memory(*fixed, "--batch", "256")
        cached = peak_memory(*fixed, "--batch", "4096", "--chunk-size", "128")
        result |= {"memory_256": plain, "memory_4096_cached": cached, "memory_ratio": cached / plain}
    result |= {"model": model, "batch": batch, "device": _device_name(device), "threads": threads}
    shown = [{"figure": name, "value": f"{value:.4g}"} for name, value in result.items() if isinstance(value, float)]
    click.echo(table(shown))
    finish({**result, **facts("torch", "open_clip_torch")}, bounds(result), check=check)


def bounds(result: Mapping[str, Any]) -> list[Bound]:
    """Return what the figures of a run must reach; those that were not measured are left out."""
    return [Bound(name, result[name], limit, most) for name, limit, most in BOUNDS if name in result]


def measured(
    model: str, embedder: Embedder, pairs: TrainingPairs, weights: Path, device: str, repeats: int
) -> dict[str, Any]:
    """Return the times of a step of each way, their ratios, and how near loss and gradient are."""
    everything = torch.arange(len(pairs))
    reference = Reference(model, weights, list(pairs.texts), pairs.differences(everything), device)
    ways = {precision: Ours(embedder, pairs, precision) for precision in ("fp32", "bf16")}
    # all from the same weights: an optimizer step follows each gradient, so the first of each has to be compared
    start = ways["fp32"].weights()
    loss = {"reference": reference.step()}
    expected = [gradient.clone() for gradient in reference.gradients()]
    distance: dict[str, float] = {}
    for precision, way in ways.items():
        way.restore(start)
        loss[precision] = way.step()
        distance[precision] = apart(way.gradients(), expected)
    times: dict[str, list[float]] = {name: [] for name in ("reference", *ways)}
    peaks: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for _ in range(repeats):
        times["reference"].append(seconds(reference.step, device))
        for precision, way in ways.items():
            # the peak just before the step, so that what else the machine does meets both
            peaks[precision].append(peak_speed(torch.float32 if precision == "fp32" else torch.bfloat16, device))
            times[precision].append(seconds(way.step, device))
    operations = ways["fp32"].operations()
    found: dict[str, Any] = {f"seconds_{name}": median(values) for name, values in times.items()}
    for precision in ways:
        rounds = list(zip(times["reference"], times[precision], peaks[precision], strict=True))
        found[f"speedup_{precision}"] = median(plain / own for plain, own, _ in rounds)
        found[f"peak_{precision}"] = median(peaks[precision])
        found[f"peak_share_{precision}"] = median(operations / own / peak for _, own, peak in rounds)
        found[f"loss_difference_{precision}"] = abs(loss[precision] - loss["reference"])
        found[f"gradient_difference_{precision}"] = distance[precision]
    lengths = embedder.tokenize(pairs.texts).lengths
    found |= {f"pairs_per_s_{precision}": len(pairs) / found[f"seconds_{precision}"] for precision in ways}
    found |= {"mean_tokens": float(lengths.float().mean()), "operations": operations}
    return found


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    command()
