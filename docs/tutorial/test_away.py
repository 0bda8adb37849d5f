from __future__ import annotations

from pcclip import registry
from pcclip.testing import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge

NAMES = ("cat", "dog", "cow")
KNOWLEDGE = ClassKnowledge(NAMES, (ClassComparative("cat", "dog", "cats are smaller"),))


def test_the_class_that_a_text_is_told_from_moves_away_from_it() -> None:
    embedder = HashEmbedder()
    towards = embedder.embed_texts(["cats are smaller"])
    near, far = (
        registry().strategy("two-sided", {"away": away}).fit(embedder, KNOWLEDGE).scores(towards)[0]
        for away in (0, 0.5)
    )
    assert far[1] < near[1]
    assert far[0] == near[0]
