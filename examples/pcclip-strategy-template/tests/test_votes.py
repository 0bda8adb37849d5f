from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from pcclip import registry
from pcclip.errors import UsageError
from pcclip.testing import HashEmbedder, StrategyContract
from pcclip.types import ClassComparative, ClassKnowledge

NAMES = ("cat", "dog", "cow")


class TestContract(StrategyContract):
    """What every strategy promises; the checks are inherited."""

    name = "votes"


class TestSoftContract(StrategyContract):
    name = "votes"
    options: ClassVar = {"soft": True, "weight": 0.5}


def test_it_is_found_and_its_options_are_checked() -> None:
    assert registry().find("strategy", "votes").distribution == "pcclip-strategy-template"
    with pytest.raises(UsageError, match="weight"):
        registry().strategy("votes", {"weight": -1})


def test_weight_zero_is_zero_shot() -> None:
    embedder = HashEmbedder()
    knowledge = ClassKnowledge(NAMES, (ClassComparative("cat", "dog", "cats are smaller"),))
    pictures = embedder.embed_texts(["one", "two", "three"])
    np.testing.assert_allclose(
        registry().strategy("votes", {"weight": 0}).fit(embedder, knowledge).scores(pictures),
        registry().strategy("zero-shot").fit(embedder, knowledge).scores(pictures),
        atol=1e-6,
    )


def test_a_vote_moves_both_classes_of_its_pair_and_no_other() -> None:
    embedder = HashEmbedder()
    knowledge = ClassKnowledge(NAMES, (ClassComparative("cat", "dog", "cats are smaller"),))
    picture = embedder.embed_texts(["cats are smaller"])
    with_votes, without = (
        registry().strategy("votes", {"weight": w}).fit(embedder, knowledge).scores(picture)[0] for w in (0.5, 0)
    )
    np.testing.assert_allclose(with_votes - without, [0.5, -0.5, 0], atol=1e-6)


def test_a_soft_vote_counts_as_much_as_it_is_sure() -> None:
    embedder = HashEmbedder()
    knowledge = ClassKnowledge(NAMES, (ClassComparative("cat", "dog", "cats are smaller"),))
    pictures = embedder.embed_texts(["cats are smaller", "cats maybe are smaller than that"])
    scores, without = (
        registry().strategy("votes", {"soft": True, "weight": w}).fit(embedder, knowledge).scores(pictures)
        for w in (1, 0)
    )
    sure, less_sure = (scores - without)[:, 0]
    assert sure > less_sure > 0


def test_it_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="described pairs"):
        registry().strategy("votes").fit(HashEmbedder(), ClassKnowledge(NAMES))
