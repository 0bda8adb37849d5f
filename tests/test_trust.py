"""Plugins that are broken, slow, twice there, of another time, or that lie: installed for real, used from the CLI.

All of them lie in one folder on the path, so that each test also shows that the others go on.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from installed import install_package, python

HONEST = {
    "hooks": """
from pcclip import hookimpl
from pcclip.specs import CaptionerSpec, EmbedderSpec

@hookimpl
def pcclip_embedders():
    yield EmbedderSpec(name="hash", target="pcclip.testing:HashEmbedder", summary="hashed words")

@hookimpl
def pcclip_captioners():
    yield CaptionerSpec(name="echo", target="pcclip.testing:EchoCaptioner", summary="the captions as they are")
""",
}
SPEC = """
from pcclip import hookimpl
from pcclip.specs import StrategySpec
{before}
@hookimpl
def pcclip_strategies():
    yield StrategySpec(name={name!r}, target="pcclip_strategies.zero_shot:ZeroShot",
                       options="pcclip_strategies.options:ZeroShotOptions", summary="x", {more})
"""
LIAR = {
    "hooks": """
from pcclip import hookimpl
from pcclip.specs import CaptionerSpec, EmbedderSpec, LossSpec, StrategySpec

@hookimpl
def pcclip_embedders():
    yield EmbedderSpec(name="liar", target="pcclip_liar.lies:LyingEmbedder", summary="x")

@hookimpl
def pcclip_captioners():
    yield CaptionerSpec(name="liar", target="pcclip_liar.lies:LyingCaptioner", summary="x")

@hookimpl
def pcclip_losses():
    yield LossSpec(name="liar", target="pcclip_liar.lies:LyingLoss", summary="x")

@hookimpl
def pcclip_strategies():
    yield StrategySpec(name="liar", target="pcclip_liar.lies:LyingStrategy", summary="x")
""",
    "lies": """
import os

import numpy as np
import torch

from pcclip.interfaces import Classifier, Loss, LinearClassifier, Strategy
from pcclip.testing import EchoCaptioner, HashEmbedder
from pcclip.types import CaptionPair, Comparative

def lie(kind):
    told, _, what = os.environ.get("LIE", "").partition(":")
    return what if told == kind else ""

class LyingEmbedder(HashEmbedder):
    seen = 0

    def __init__(self, *arguments):
        if lie("embedder") == "start":
            raise RuntimeError("no start today")
        super().__init__(*arguments)

    @property
    def dim(self):
        if lie("embedder") == "dim":
            raise LookupError("no width today")
        return super().dim

    @property
    def image_fingerprint(self):
        if lie("embedder") == "fingerprint":
            raise LookupError("no fingerprint today")
        return None if lie("embedder") == "fingerprint-none" else super().image_fingerprint

    def token_count(self, text):
        if lie("embedder") == "token-counting":
            raise LookupError("no counting today")
        return super().token_count(text)

    def trainable(self, scope):
        if lie("embedder") == "trainable":
            raise LookupError("no training today")
        return super().trainable(scope)

    def embed_images(self, images):
        rows, what = super().embed_images(images), lie("embedder")
        self.seen += len(images)
        if what == "raise" and self.seen > 16:
            raise RuntimeError("boom in the middle")
        if what == "nan" and self.seen > 16:
            rows[3] = np.nan
        return {"shape": rows[:, :5], "count": rows[1:], "length": 2 * rows, "list": rows.tolist()}.get(what, rows)

    def tokenize(self, texts):
        if lie("embedder") == "tokens":
            raise KeyError("no such word")
        return super().tokenize(texts[1:] if lie("embedder") == "token-count" else texts)

    def encode_text(self, tokens):
        rows, what = super().encode_text(tokens), lie("embedder")
        if what == "text-nan-in-training" and torch.is_grad_enabled():
            return rows * np.nan
        return {"text-shape": rows[:, :5], "text-nan": rows * np.nan}.get(what, rows)

    def save(self, folder):
        if lie("embedder") == "save":
            raise RuntimeError("not today")
        return super().save(folder)

class LyingCaptioner(EchoCaptioner):
    chunks = 0

    @property
    def fingerprint(self):
        if lie("captioner") == "fingerprint":
            raise LookupError("no fingerprint today")
        return 7 if lie("captioner") == "fingerprint-number" else "liar"

    @property
    def label(self):
        if lie("captioner") == "label":
            raise LookupError("no label today")
        return "liar"

    def close(self):
        if lie("captioner") == "close":
            raise LookupError("no closing today")

    def describe(self, pairs):
        what = lie("captioner")
        self.chunks += 1
        if what == "start":
            return None
        return self.tell(pairs, what if self.chunks > 1 else "")

    def describe_classes(self, names):
        what = lie("captioner")
        for name in names[1:] if what == "class-count" else names:
            if what == "class-raise":
                raise ValueError("boom in the middle")
            yield ("nobody" if what == "class-unasked" else name), ([""] if what == "class-empty" else [f"{name} has."])
            if what == "class-twice":
                yield name, [f"{name} has."]

    def tell(self, pairs, what):
        for place, answer in enumerate(super().describe(pairs)):
            if place == 3:
                if what == "raise":
                    raise ValueError("boom in the middle")
                if what == "count":
                    return
                if what == "twice":
                    yield answer
                if what == "unasked":
                    yield Comparative(CaptionPair("nobody", "asked"), "this")
                if what == "text":
                    yield answer.text
            yield answer

class LyingLoss(Loss):
    calls = 0

    def forward(self, batch):
        what = lie("loss")
        self.calls += 1
        value = (1 - (batch.text * batch.image_differences).sum(dim=-1)).mean()
        if self.calls <= int(os.environ.get("HONEST_CALLS", 3)):
            return value
        if what == "raise":
            raise ZeroDivisionError("boom in the middle")
        return {
            "shape": batch.text, "nan": value * np.nan, "number": float(value.detach()), "constant": torch.tensor(1.0),
        }.get(what, value)

class LyingStrategy(Strategy):
    def fit(self, embedder, knowledge):
        what = lie("strategy")
        if what == "raise":
            raise IndexError("boom in the middle")
        if what == "nothing":
            return None
        names = knowledge.names[::-1] if what == "classes" else knowledge.names
        return LyingClassifier(names, embedder.embed_texts(list(names)))

class LyingClassifier(LinearClassifier):
    def scores(self, embeddings):
        scores, what = super().scores(embeddings), lie("strategy")
        if what == "late":
            raise IndexError("boom in the middle")
        return {"shape": scores[:, 1:], "count": scores[1:], "nan": scores * np.nan, "list": scores.tolist()}.get(
            what, scores
        )
""",
}
DRIVER = """
import json, os, sqlite3, sys
from click.testing import CliRunner
from pcclip.files import cache_folder
from pcclip_cli.main import main

def cached():
    store = cache_folder() / "embeddings.sqlite"
    return sqlite3.connect(store).execute("SELECT count(*) FROM embedding").fetchone()[0] if store.exists() else 0

def contract(kind, name="liar"):
    from pcclip.testing.checking import CONTRACTS, run
    # what a fresh interpreter imports is the same for each lie
    unchanged = {"name": name, "test_hooks_and_options_import_nothing_heavy": lambda self: None}
    return [o.status for o in run(type("Checked", (CONTRACTS[kind],), unchanged))]

for arguments, variables in json.load(sys.stdin):
    if arguments[0] == "contract":
        os.environ.update(variables)
        print(json.dumps([0, contract(*arguments[1:]), "", 0, None]))
        continue
    done = CliRunner().invoke(main, arguments, env=variables)
    failed = done.exception if not isinstance(done.exception, SystemExit) else None
    print(json.dumps([done.exit_code, done.stdout, done.stderr, cached(), repr(failed) if failed else None]))
"""


@dataclass(frozen=True)
class Done:
    """What a command ended in, and how many embeddings the cache then held."""

    code: int
    out: str
    err: str
    cached: int


@dataclass(frozen=True)
class Place:
    """A folder on the path where the plugins are installed, and one with 40 captioned pictures."""

    site: Path
    pictures: Path
    cache: Path

    def commands(self, *commands: tuple[Sequence[str | Path], Mapping[str, str]], **variables: str) -> list[Done]:
        """Run commands one after the other in one process."""
        given = json.dumps([([str(argument) for argument in arguments], more) for arguments, more in commands])
        place = {"PCCLIP_CACHE": str(self.cache), **variables}
        done = python(self.site, ["-c", DRIVER], self.pictures.parent, given, **place)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [failed for *_, failed in found] == [None] * len(commands), found
        return [Done(*row[:4]) for row in found]

    def lie(self, arguments: Sequence[str | Path], lies: Sequence[str]) -> list[Done]:
        """Run a command once for each lie."""
        return self.commands(*((arguments, {"LIE": lie}) for lie in lies))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("trust") / "site"
    install_package(site, "pcclip-honest", HONEST)
    install_package(site, "pcclip-liar", LIAR)
    install_package(site, "pcclip-broken", {"hooks": "import a_module_that_is_not_there"})
    install_package(site, "pcclip-quits", {"hooks": "raise SystemExit(3)"})
    install_package(site, "pcclip-slow", {"hooks": SPEC.format(name="slow", more="", before="import numpy.linalg")})
    install_package(
        site, "pcclip-naps", {"hooks": SPEC.format(name="naps", more="", before="import time; time.sleep(0.6)")}
    )
    for name in ("first", "second"):
        install_package(site, f"pcclip-{name}", {"hooks": SPEC.format(name="twin", more="", before="")})
    install_package(site, "pcclip-future", {"hooks": SPEC.format(name="future", more="api=2", before="")})
    unknown = SPEC.format(name="later", more="", before="").replace("pcclip_strategies():", "pcclip_weathers():")
    install_package(site, "pcclip-later", {"hooks": unknown})
    return site


@pytest.fixture
def place(installed: Path, tmp_path: Path) -> Place:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(40):
        Image.new("RGB", (9, 9), (number * 6, 255 - number * 6, number % 7 * 30)).save(pictures / f"{number:02}.png")
        (pictures / f"{number:02}.txt").write_text(f"A {'red' if number % 2 else 'blue'} thing of size {number}.")
    return Place(installed, pictures, tmp_path / "cache")


def names_the_liar(done: Done, kind: str, lie: str) -> None:
    assert done.code == 1, (lie, done)
    assert f"{kind} 'liar' of pcclip-liar 1.2" in done.err, (lie, done.err)
    assert "Traceback" not in done.err


def test_listing_says_what_is_wrong_with_whom(place: Place) -> None:
    listed = python(place.site, ["-m", "pcclip_cli", "plugins", "--json"], cwd=place.pictures)
    assert listed.returncode == 0, listed.stderr
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    status = {row["distribution"]: row["status"] for row in rows}
    assert "a_module_that_is_not_there" in status["pcclip-broken"]
    assert status["pcclip-broken"].startswith("broken: ModuleNotFoundError")
    assert status["pcclip-quits"].startswith("broken: SystemExit: 3")
    assert status["pcclip-later"].startswith("broken: ")
    assert "pcclip_weathers" in status["pcclip-later"]
    assert "slow: its hooks import numpy" in status["pcclip-slow"]
    assert "slow: its hooks do more than declare (0.6 s)" in status["pcclip-naps"]
    assert status["pcclip-first"] == status["pcclip-second"] == "conflict: twin"
    assert status["pcclip-future"] == "unusable: speaks plugin API 2, this pcclip speaks 1"
    assert status["pcclip-honest"] == status["pcclip-liar"] == status["pcclip"] == "ok"


def test_others_go_on_and_each_trouble_costs_a_line(place: Place) -> None:
    predict = ["predict", place.pictures, "--backbone", "hash", "--classes", "red,blue", "--format", "json"]
    plain, twin, future, strict, without = place.commands(
        (predict, {}),
        ([*predict, "--strategy", "twin"], {}),
        ([*predict, "--strategy", "future"], {}),
        (["plugins", "show", "zero-shot"], {}),
        ([*predict, "--strategy", "naps"], {}),
        PCCLIP_TRACE_PLUGINS="1",
    )
    assert plain.code == 0
    assert len(plain.out.splitlines()) == 40
    traced = [line for line in plain.err.splitlines() if line.startswith("pcclip plugins: ")]
    for words in (
        "pcclip-honest: imported pcclip_honest.hooks in ",
        "pcclip-honest: pcclip_embedders() declared hash in ",
        "pcclip-honest: pcclip_captioners() declared echo in ",
        "pcclip-honest: imported pcclip.testing:HashEmbedder in ",
        "pcclip-honest: made embedder 'hash' in ",
        "strategies: pcclip_strategies() declared zero-shot, ",
    ):
        assert any(words in line and line.endswith(" ms") for line in traced), (words, traced)
    lines = [line for line in plain.err.splitlines() if line not in traced]
    for distribution, cause in {
        "pcclip-broken 1.2": "a_module_that_is_not_there",
        "pcclip-quits 1.2": "SystemExit",
        "pcclip-later 1.2": "pcclip_weathers",
        "pcclip-naps 1.2": "slows down every command",
    }.items():
        (line,) = [line for line in lines if distribution in line]
        assert cause in line
    assert twin.code == 1
    assert "pcclip-first 1.2 and pcclip-second 1.2" in twin.err
    assert future.code == 1
    assert "strategy 'future' of pcclip-future 1.2 speaks plugin API 2, this pcclip speaks 1" in future.err
    assert "Upgrade pcclip." in future.err
    assert strict.code == without.code == 0


def test_an_author_s_own_mistake_is_said_where_the_plugin_is_missed(place: Place) -> None:
    check, show = place.commands((["plugins", "check", "broken"], {}), (["plugins", "show", "broken"], {}))
    for done in (check, show):
        assert done.code == 2
        assert "plugin 'pcclip-broken' of pcclip-broken 1.2 was left out: ModuleNotFoundError" in done.err
    future, twin = place.commands((["plugins", "check", "future"], {}), (["plugins", "check", "twin"], {}))
    assert future.code == twin.code == 1
    assert "speaks plugin API 2, this pcclip speaks 1 Upgrade pcclip." in future.out
    assert "pcclip-first 1.2 and pcclip-second 1.2" in twin.out


def test_a_name_to_leave_out_that_is_none_is_said(place: Place) -> None:
    embed = ["-m", "pcclip_cli", "embed", place.pictures, "--backbone", "hash", "--out", "z.npy"]
    done = python(
        place.site, embed, cwd=place.pictures.parent, PCCLIP_CACHE=str(place.cache),
        PCCLIP_DISABLE_PLUGINS="pcclip-slow,hash",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "PCCLIP_DISABLE_PLUGINS names 'hash', which is no entry point" in " ".join(done.stderr.split())
    assert "pcclip-slow 1.2" not in done.stderr


def test_a_slow_plugin_is_blamed_for_what_it_imports(place: Place) -> None:
    done = python(
        place.site, ["-m", "pcclip_cli", "data", "check", place.pictures], cwd=place.pictures,
        PCCLIP_CACHE=str(place.cache),
    )  # fmt: skip
    (line,) = [line for line in done.stderr.splitlines() if "pcclip-slow 1.2" in line]
    assert line.startswith(
        "warning: plugin 'pcclip-slow' of pcclip-slow 1.2 slows down every command: its hooks import numpy"
    )


def test_strict_and_disabled(place: Place) -> None:
    show = ["-m", "pcclip_cli", "plugins", "show", "hash"]
    done = python(place.site, show, cwd=place.pictures, PCCLIP_STRICT_PLUGINS="1")
    assert done.returncode == 1
    assert "pcclip-broken 1.2" in done.stderr
    assert "Traceback" not in done.stderr
    troubled = "pcclip-broken,pcclip-quits,pcclip-later"
    done = python(place.site, show, cwd=place.pictures, PCCLIP_STRICT_PLUGINS="1", PCCLIP_DISABLE_PLUGINS=troubled)
    assert done.returncode == 0, done.stderr
    done = python(place.site, show, cwd=place.pictures, PCCLIP_DISABLE_PLUGINS="pcclip-honest")
    assert done.returncode == 2
    assert "no plugin is called 'hash'" in done.stderr


def test_an_embedder_that_lies_about_pictures(place: Place) -> None:
    embed = ["embed", place.pictures, "--backbone", "liar", "--out", place.pictures.parent / "x.npy"]
    lies = ["shape", "count", "length", "list", "start"]
    *lied, failed, nan, honest, other = place.commands(
        *((embed, {"LIE": f"embedder:{lie}"}) for lie in [*lies, "raise", "nan"]),
        (embed, {}),
        (["embed", place.pictures, "--backbone", "hash", "--out", "y.npy"], {}),
    )
    for lie, done in zip(lies, lied, strict=True):
        names_the_liar(done, "embedder", lie)
        assert done.cached == 0
    names_the_liar(failed, "embedder", "raise")
    assert "RuntimeError: boom in the middle (lies.py, line" in failed.err
    assert failed.cached == 16, "the batch before the failure is kept"
    names_the_liar(nan, "embedder", "nan")
    assert "not finite" in nan.err
    assert nan.cached == 32, "no row of a lie is in the cache"
    assert honest.code == other.code == 0
    assert honest.cached == 40


def test_what_is_told_outside_of_the_work_is_a_plugins_fault_too(place: Place) -> None:
    """Properties and ``close`` are asked for all over the core: what they raise names the distribution as well."""
    embed = ["embed", place.pictures, "--backbone", "liar", "--out", place.pictures.parent / "x.npy"]
    store = place.pictures.parent / "store.sqlite"
    describe = ["describe", place.pictures, "--pairs", "16", "--captioner", "liar", "--out", store]
    tune = finetune(place, "told", "liar", "mse")
    told = {
        "embedder:dim": (embed, "failed in dim: LookupError: no width today"),
        "embedder:fingerprint": (embed, "no fingerprint today"),
        "embedder:fingerprint-none": (embed, "image_fingerprint None, which is no text"),
        "embedder:token-counting": (tune, "failed in token_count: LookupError: no counting today"),
        "embedder:trainable": (tune, "failed in trainable: LookupError: no training today"),
        "captioner:fingerprint": (describe, "no fingerprint today"),
        "captioner:fingerprint-number": (describe, "fingerprint 7, which is no text"),
        "captioner:label": (describe, "failed in label: LookupError: no label today"),
        "captioner:close": (describe, "failed in close: LookupError: no closing today"),
    }
    found = place.commands(*((arguments, {"LIE": lie}) for lie, (arguments, _) in told.items()))
    for (lie, (_, words)), done in zip(told.items(), found, strict=True):
        names_the_liar(done, lie.partition(":")[0], lie)
        assert words in done.err, (lie, done.err)
    with closing(sqlite3.connect(store)) as db:
        assert db.execute("SELECT count(*) FROM comparatives").fetchone()[0] == 16, "what was answered is kept"


def test_an_embedder_that_lies_about_texts(place: Place) -> None:
    rank: list[str | Path] = ["rank", "a large thing", place.pictures, "--backbone", "liar"]
    lies = ["tokens", "token-count", "text-shape", "text-nan"]
    for lie, done in zip(lies, place.lie(rank, [f"embedder:{lie}" for lie in lies]), strict=True):
        names_the_liar(done, "embedder", lie)


def test_a_captioner_that_lies(place: Place) -> None:
    store = place.pictures.parent / "store.sqlite"
    describe = ["describe", place.pictures, "--pairs", "56", "--out", store, "--captioner"]
    lies = ["raise", "count", "twice", "unasked", "text", "start"]
    for lie, done in zip(lies, place.lie([*describe, "liar"], [f"captioner:{lie}" for lie in lies]), strict=True):
        names_the_liar(done, "captioner", lie)
        if lie == "raise":
            assert "ValueError: boom in the middle (lies.py, line" in done.err
    with closing(sqlite3.connect(store)) as db:
        count = "SELECT count(*) FROM comparatives"
        # each of the first five runs answered one whole chunk before it lied in the next one
        assert db.execute(count).fetchone()[0] == 5 * 8
        assert db.execute(f"{count} WHERE first = 'nobody'").fetchone()[0] == 0
    predict = ["predict", place.pictures, "--backbone", "hash", "--classes", "red,blue", "--strategy", "descriptions"]
    about = ["class-count", "class-raise", "class-unasked", "class-twice", "class-empty"]
    *lied, described, honest, other = place.commands(
        *(([*predict, "--captioner", "liar"], {"LIE": f"captioner:{lie}"}) for lie in about),
        ([*predict, "--captioner", "liar"], {}),
        ([*describe, "liar"], {}),
        ([*describe, "echo"], {}),
    )
    for lie, done in zip(about, lied, strict=True):
        names_the_liar(done, "captioner", lie)
    assert described.code == honest.code == other.code == 0, described.err


def finetune(place: Place, out: str, backbone: str = "hash", loss: str = "liar") -> list[str]:
    return [
        "finetune", "--data", str(place.pictures), "--out", str(place.pictures.parent / out), "--backbone", backbone,
        "--captioner", "echo", "--loss", loss, "--pairs", "40", "--eval-pairs", "8", "--batch-size", "8",
        "--max-steps", "6", "--checkpoint-every", "2", "--threads", "1",
    ]  # fmt: skip


def test_a_loss_that_lies(place: Place) -> None:
    lies = ["raise", "shape", "nan", "number", "constant"]
    *lied, going_on, summed = place.commands(
        *((finetune(place, lie), {"LIE": f"loss:{lie}"}) for lie in lies),
        ([*finetune(place, "raise"), "-v"], {}),
        (finetune(place, "sum", loss="0.5*mse+liar"), {"LIE": "loss:nan"}),
    )
    for lie, done in zip(lies, lied, strict=True):
        names_the_liar(done, "loss", lie)
    for lie in lies[1:]:
        run = place.pictures.parent / lie
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000002"], "what was trained is kept"
        assert not (run / "model").exists()
    assert going_on.code == 0, going_on.err
    assert "going on from step 2 of 6" in going_on.err
    names_the_liar(summed, "loss", "nan in a sum")
    assert "'mse' of" not in summed.err
    metrics = (place.pictures.parent / "raise" / "metrics.jsonl").read_text()
    steps = [json.loads(line)["step"] for line in metrics.splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_an_embedder_that_lies_in_training(place: Place) -> None:
    nan, save, honest = place.commands(
        (finetune(place, "nan", "liar", "mse"), {"LIE": "embedder:text-nan-in-training"}),
        (finetune(place, "save", "liar", "mse"), {"LIE": "embedder:save"}),
        (finetune(place, "save", "liar", "mse"), {}),
    )
    names_the_liar(nan, "embedder", "nan")
    assert "training failed at step 1" in nan.err
    names_the_liar(save, "embedder", "save")
    assert honest.code == 0, honest.err
    assert (place.pictures.parent / "save" / "model" / "embedder.json").is_file()


def test_a_strategy_that_lies(place: Place) -> None:
    predict = ["predict", place.pictures, "--backbone", "hash", "--classes", "red,blue,green", "--strategy", "liar"]
    lies = ["raise", "late", "nothing", "classes", "shape", "count", "nan", "list"]
    *lied, honest, other = place.commands(
        *((predict, {"LIE": f"strategy:{lie}"}) for lie in lies), (predict, {}), ([*predict[:-1], "zero-shot"], {})
    )
    for lie, done in zip(lies, lied, strict=True):
        names_the_liar(done, "strategy", lie)
        assert not done.out
        assert done.cached == 40, "the embeddings are kept"
    assert honest.code == other.code == 0


def test_the_contract_finds_each_lie(place: Place) -> None:
    lies = {
        "embedder": ["nan", "shape", "count", "length", "list", "raise", "start", "tokens", "token-count", "text-shape",
                     "text-nan", "save", "text-nan-in-training", "dim", "fingerprint", "fingerprint-none",
                     "token-counting", "trainable"],
        "captioner": ["raise", "count", "twice", "unasked", "text", "start", "class-count", "class-raise",
                      "class-unasked", "class-twice", "class-empty", "fingerprint", "fingerprint-number", "label",
                      "close"],
        "loss": ["raise", "shape", "nan", "number", "constant"],
        "strategy": ["raise", "late", "nothing", "classes", "shape", "count", "nan", "list"],
    }  # fmt: skip
    told = [("", kind) for kind in lies] + [(f"{kind}:{lie}", kind) for kind, some in lies.items() for lie in some]
    found = place.commands(
        *((["contract", kind], {"LIE": lie}) for lie, kind in told),
        (["contract", "embedder", "hash"], {}),
        (["contract", "captioner", "echo"], {}),
        HONEST_CALLS="0",
    )
    *found, hash_, echo = found
    assert set(hash_.out) == set(echo.out) == {"ok"}
    for (lie, kind), done in zip(told, found, strict=True):
        assert ("failed" in done.out) == bool(lie), (lie, kind, done.out)
        assert lie or set(done.out) == {"ok"}


def test_a_failed_check_is_a_line_and_an_exit_code(place: Place) -> None:
    check = ["plugins", "check", "liar", "--kind", "strategy"]
    told, as_json, none, unmade = place.commands(
        (check, {"LIE": "strategy:nan"}),
        ([*check, "--json"], {"LIE": "strategy:nan"}),
        (["plugins", "check", "liar", "--kind", "strategy", "--option", "depth"], {}),
        (["plugins", "check", "liar", "--kind", "embedder"], {"LIE": "embedder:start"}),
    )
    assert told.code == as_json.code == unmade.code == 1
    assert "strategy liar (pcclip-liar 1.2)" in told.out
    assert "  FAILED   Scores are (n, k) and finite" in told.out
    assert "  ok       The plugin is found" in told.out
    rows = [json.loads(line) for line in as_json.out.splitlines()]
    assert {row["status"] for row in rows} == {"ok", "failed"}
    assert all(bool(row["detail"]) == (row["status"] == "failed") for row in rows)
    assert none.code == 2
    assert "KEY=VALUE" in none.err
    assert "no start today" in unmade.out
    assert unmade.out.count("FAILED") == 1
    assert "not run  Pictures" in unmade.out
