"""What a strategy does not read is not taken in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import pcclip
from pcclip.interfaces import Classifier, Embedder, LinearClassifier, Strategy
from pcclip.knowledge import unread
from pcclip.testing import HashEmbedder, StrategyContract
from pcclip.types import ClassKnowledge
from pcclip_cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three pictures, and files about them."""
    for kind, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            colour = tuple(np.random.default_rng(3 * kind + number).integers(0, 255, 3).tolist())
            Image.new("RGB", (8, 8), colour).save(tmp_path / "pictures" / name / f"{number}.png")
    (tmp_path / "looks.csv").write_text("class,text\ncat,whiskers\ndog,a wet nose\n")
    (tmp_path / "differ.csv").write_text("first,second,text\ncat,dog,It meows.\n")
    return tmp_path


def test_sentences_name_what_is_given_and_who_would_read_it() -> None:
    (said,) = unread(["zero-shot"], ["descriptions"])
    assert said.startswith("descriptions are given, and the strategy 'zero-shot' does not read them; these do: ")
    assert {"cupl", "descriptions", "extended"} <= set(said.partition("do: ")[2].split(", "))
    assert unread(["zero-shot", "cupl"], ["descriptions"]) == []
    assert unread(["comparative"], ["comparatives", "support"]) == []
    assert "labelled pictures are given" in unread(["fudd"], ["support"])[0]


def test_predict_warns_of_a_file_that_is_not_read(folder: Path) -> None:
    def predict(*args: str | Path) -> str:
        call = ["predict", folder / "pictures", "--backbone", "mini", "--classes", "cat,dog", *args]
        done = CliRunner().invoke(main, list(map(str, call)))
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "warning: descriptions are given" in predict("--descriptions", folder / "looks.csv")
    assert "warning: differences are given" in predict("--differences", folder / "differ.csv")
    assert "warning: labelled pictures are given" in predict("--support", folder / "pictures")
    assert "warning" not in predict("--strategy", "cupl", "--descriptions", folder / "looks.csv")
    validated = ("--captioner", "template", "--confusable", "similar", "--support", folder / "pictures")
    assert "warning" not in predict("--strategy", "comparative", "--strategy-alpha", "auto", *validated)


def test_evaluate_warns_of_a_file_that_is_not_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"data": str(folder / "pictures"), "resamples": 100, "differences": folder / "differ.csv"}
    pcclip.evaluate(["mini"], measures="strategies", strategy="zero-shot", **settings)
    assert "differences are given, and the strategy 'zero-shot' does not read them" in caplog.text
    caplog.clear()
    pcclip.evaluate(["mini"], measures="zero-shot", **settings)
    assert "differences are given, and no strategy is taken" in caplog.text
    caplog.clear()
    pcclip.evaluate(["mini"], measures="strategies", **settings)
    assert "are given" not in caplog.text


def test_python_is_warned_too(caplog: pytest.LogCaptureFixture) -> None:
    knowledge = ClassKnowledge(("cat", "dog"), descriptions={"cat": ("whiskers",), "dog": ("a nose",)})
    with caplog.at_level(logging.WARNING):
        pcclip.Model(HashEmbedder()).fit(knowledge)
    assert "descriptions are given" in caplog.text


class _Sly(Strategy):
    """Takes the descriptions for its prompts where they are there, and does not say so."""

    def fit(self, embedder: Embedder, knowledge: ClassKnowledge) -> Classifier:
        texts = [knowledge.descriptions.get(name, (name,))[0] for name in knowledge.names]
        return LinearClassifier(knowledge.names, embedder.embed_texts(texts))


class _Open(_Sly):
    reads = frozenset({"descriptions"})


@pytest.mark.parametrize(("strategy", "keeps"), [(_Sly, False), (_Open, True)])
def test_a_strategy_that_reads_what_it_does_not_list_breaks_the_contract(strategy: type[Strategy], keeps: bool) -> None:
    class Of(StrategyContract):
        @classmethod
        def make(cls) -> Strategy:
            return strategy()

        shared = make

    def check() -> None:
        Of().test_what_it_does_not_list_changes_nothing()

    if keeps:
        check()
    else:
        with pytest.raises(AssertionError, match="scores without what it does not list in needs or reads"):
            check()
