"""The benches: their checker has an opinion worth having, and each of them runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.checker import Quality, head_noun, judge
from bench.decoding import OneByOne, write_every_token
from bench.report import Bound, finish, table
from tiny_gguf import write_chain, write_random

from pcclip.types import CaptionPair
from pcclip_llama.captioner import LlamaCaptioner
from pcclip_llama.options import LlamaOptions

BENCH = Path(__file__).parent / "bench"
PAIR = CaptionPair("A head of red lettuce.", "Two wild boars.")
CAPTIONS = ("A dog.", "The red tree.", "A cat. It is red.", "A woman in a long red coat on a bench in the rain.")
SOUND = "The first image shows a head of red lettuce, while the second image shows two wild boars."


@pytest.mark.parametrize(
    ("caption", "head"),
    [
        ("A marmot.", "marmot"),
        ("An old Chinese sailing ship.", "ship"),
        ("A red headed cep.", "cep"),
        ("A chick hatched from an egg.", "chick"),
        ("A spider playing soccer.", "spider"),
        ("A hoverfly resembles a honeybee drone.", "hoverfly"),
        ("A pair of open scissors.", "scissor"),
        ("The house of the hunter.", "house"),
        ("A peacock (a male peafowl).", "peacock"),
        ("Mercury—the planet closest to the Sun.", "mercury"),
        ("Grandma’s old rag doll.", "doll"),
        ("Down at the docks.", "dock"),
        ("We remember those who have died.", "remember"),
        ("It is.", "it"),
    ],
)
def test_head_noun(caption: str, head: str) -> None:
    assert head_noun(caption) == head


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        ("red lettuce", "boars", "left out: head, two, wild"),
        ("the heads of red lettuce", "two wild boar", "sound"),
        ("two wild boars", "a head of red lettuce", "lacks the head"),
        ("a red head", "two wild boars", "lacks the head: lettuce"),
        ("a head of lettuce, a boar", "two wild boars", "of the other: boar"),
        ("a head of green lettuce", "two wild boars", "invented: green"),
    ],
)
def test_faults_of_words(first: str, second: str, fault: str) -> None:
    verdict = judge(PAIR, f"The first image shows {first}, while the second image shows {second}.")
    assert verdict.well_formed
    assert fault in str(verdict)
    assert verdict.faithful == fault.startswith(("sound", "left out"))
    assert verdict.complete == (fault == "sound")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The first image shows a head of red lettuce.",
        SOUND.lower(),
        SOUND.rstrip("."),
        f"{SOUND}.",
        f"{SOUND} {SOUND}",
        f"{SOUND}\nNote: boars.",
        SOUND.replace("two wild boars", ""),
        SOUND.replace("a head of red lettuce", ""),
        SOUND.replace("while the second image shows", "and the second image has"),
    ],
)
def test_any_other_form_is_no_form(text: str) -> None:
    verdict = judge(PAIR, text)
    assert not verdict.well_formed
    assert not verdict.faithful
    assert not verdict.complete


def test_words_of_both_captions_are_nobodys() -> None:
    pair = CaptionPair("A rabbit.", "A little rabbit.")
    assert judge(pair, "The first image shows a rabbit, while the second image shows a little rabbit.").complete
    assert not judge(pair, "The first image shows a little rabbit, while the second image shows a rabbit.").faithful


def test_shares() -> None:
    other = CaptionPair("A dog.", "A cat.")
    texts = {PAIR: SOUND, other: "The first image shows a dog, while the second image shows a red cat."}
    assert Quality.of(texts, 4, {PAIR: SOUND}) == Quality(0.5, 1.0, 0.5, 0.5, 0.5)
    assert Quality.of({}, 4, {}) == Quality(0.0, 0.0, 0.0, 0.0, 0.0)


def test_bounds_and_tables() -> None:
    assert Bound("speed", 2.5, 2.5).kept
    assert not Bound("speed", 2.4, 2.5).kept
    assert not Bound("memory", 17, 16, most=True).kept
    assert str(Bound("speed", 2.4, 2.5)).startswith("FAIL speed")
    assert table([{"a": 1, "b": "x"}]) == "| a | b |\n|---|---|\n| 1 | x |"


def test_the_result_is_the_last_line_and_a_missed_bound_fails_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    bounds = [Bound("speed", 1, 2), Bound("memory", 1, 2, most=True)]
    finish({"a": 1}, bounds, check=False)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"a": 1, "missed": ["speed"]}
    with pytest.raises(SystemExit) as stopped:
        finish({"a": 1}, bounds, check=True)
    assert stopped.value.code == 1


SENTENCE = ["▁shows", "▁a", "▁dog", ",", "▁while", "▁the", "▁cat", "."]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: write_chain(path, SENTENCE), id="stops"),
        pytest.param(lambda path: write_chain(path, SENTENCE[:-1]), id="ends by itself"),
        pytest.param(lambda path: write_random(path, seed=16), id="runs into the limit"),
    ],
)
def test_the_reference_writes_what_the_engine_writes(
    write: Callable[[Path], Path], tmp_path: Path, private_cache: Path
) -> None:
    """Greedy decoding of a float model gives one text, whoever decodes: same tokens read, same stops, same limit."""
    options = LlamaOptions(
        model=str(write(tmp_path / "tiny.gguf")), guide="retry", retry_temperature=0, max_tokens=12, n_threads=1
    )
    pairs = [CaptionPair(first, second) for first in CAPTIONS for second in CAPTIONS if first != second]
    with LlamaCaptioner(options) as captioner, OneByOne(captioner, threads=1) as reference:
        expected = write_every_token(captioner, pairs)
        # llama-cpp-python leaves out bytes that are no character, the engine marks them.
        marked = {pair: text.replace("\ufffd", "") for pair, text in expected.items()}
        assert reference.write(reference.prepare(pairs)) == marked
    assert expected.keys() == set(pairs)
    assert all(len(text) > len("The first image shows a dog.") for text in expected.values())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCH), *arguments], capture_output=True, text=True, timeout=300)


def test_captioning_runs(private_cache: Path) -> None:
    done = run("captioning", "--quick", "--threads", "1", "--check")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["bench"] == "captioning"
    assert result["pairs"] == 10
    assert len(result["ratios"]) == result["rounds"] == 2
    assert min(result["ratios"]) <= result["speedup"] <= max(result["ratios"])
    assert result["pairs_per_s"] > 0 < result["sequential_pairs_per_s"]
    assert result["memory"]["pairs"] == 200
    assert result["missed"] == []
    assert "16 at once, fed words, guided" in done.stdout


def test_scoring_runs() -> None:
    done = run("scoring", "--pictures", "5000", "--dim", "16", "--classes", "20", "--rounds", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["pictures"] == 5000
    assert result["seconds"].keys() == result["product_seconds"].keys()
    assert {"zero-shot", "comparative", "descriptions", "waffle", "probe"} <= set(result["seconds"])
    assert all(0 <= gigabytes < 1 for held in result["extra_gb"].values() for gigabytes in held)
    assert "| probe |" in done.stdout


def test_startup_runs() -> None:
    done = run("startup", "--repeats", "1", "--plugins", "4")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["plugins"] == 4
    assert set(result["seconds"]) >= {"import click", "pcclip --help", "pcclip --help, plugins"}
    assert result["finetune help (s)"] == pytest.approx(
        result["seconds"]["pcclip finetune --captioner llama --help"], abs=1e-3
    )


def test_training_runs(private_cache: Path) -> None:
    small = ("--model", "ViT-S-32-alt", "--batch", "4", "--repeats", "1", "--steps", "1", "--threads", "1")
    done = run("training", *small, "--no-memory")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["speedup_fp32"] == pytest.approx(result["seconds_reference"] / result["seconds_fp32"])
    assert 0 < result["loss_difference_bf16"] < 0.05
    assert not {"loss_difference_fp32", "gradient_difference_fp32"} & set(result["missed"])
    assert "PASS gradient_difference_fp32" in done.stdout
    assert "memory_ratio" not in result


def test_benches_are_listed() -> None:
    assert {"captioning", "memory", "scoring", "startup", "training"} <= set(run().stdout.split())


def test_a_users_mistake_is_no_traceback(private_cache: Path) -> None:
    done = run("captioning", "--quick", "--model", "nowhere.gguf")
    assert done.returncode == 1
    assert "nowhere.gguf" in done.stderr
    assert "Traceback" not in done.stderr
