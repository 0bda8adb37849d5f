from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pcclip.errors import DataError, UsageError
from pcclip.pairs import choose_pairs, hold_out, random_pairs, similar_pairs
from pcclip.types import Example, PairStrategy


@pytest.mark.parametrize("n", [2, 3, 4, 5, 17, 64])
def test_every_pair_comes_once(n: int) -> None:
    found = [frozenset(pair) for pair in random_pairs(n, seed=3)]
    assert sorted(map(sorted, found)) == [list(pair) for pair in itertools.combinations(range(n), 2)]


def test_no_items_give_no_pairs() -> None:
    assert list(random_pairs(0, 0)) == []
    assert list(random_pairs(1, 0)) == []


def test_order_and_direction_depend_on_the_seed() -> None:
    first, again, other = (list(random_pairs(40, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    forward = sum(i < j for i, j in first) / len(first)
    assert 0.4 < forward < 0.6


def examples(n: int, **fields: object) -> list[Example]:
    """Return n examples; a field given as a function is called with the number of each."""
    made = []
    for i in range(n):
        values = {name: value(i) if callable(value) else value for name, value in fields.items()}
        made.append(Example(**{"id": str(i), "image": Path("x.png"), "captions": (f"thing {i}",), **values}))
    return made


def unit_rows(n: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


LABELLED = examples(50, label=lambda i: "abc"[i % 3], attributes=lambda i: {"size": float(i % 4)})


@pytest.mark.parametrize("strategy", get_args(PairStrategy))
def test_every_strategy_is_seeded_lazy_and_gives_no_pair_twice(strategy: PairStrategy) -> None:
    def chosen(count: int, seed: int = 0) -> list[tuple[int, int]]:
        return list(choose_pairs(LABELLED, count, seed, strategy=strategy, embeddings=unit_rows(50), attribute="size"))

    everything = chosen(10_000)
    assert len({frozenset(pair) for pair in everything}) == len(everything) > 300
    assert chosen(30) == everything[:30]
    assert chosen(30) == chosen(30) != chosen(30, seed=1)
    assert 0.3 < sum(i < j for i, j in everything) / len(everything) < 0.7


@pytest.mark.parametrize("strategy", get_args(PairStrategy))
def test_pairs_with_the_same_caption_or_none_are_left_out(strategy: PairStrategy) -> None:
    captions = ["A dog.", "a  dog", "A cat.", "A cat.", ""]
    given = examples(
        5,
        captions=lambda i: (captions[i],) if captions[i] else (),
        label="x",
        attributes=lambda i: {"size": float(i)},
    )
    found = list(choose_pairs(given, 10, 0, strategy=strategy, embeddings=unit_rows(5), attribute="size"))
    assert sorted(map(sorted, found)) == [[0, 2], [0, 3], [1, 2], [1, 3]]


def test_similar_pairs_are_nearest_neighbours_first_and_all_come_once() -> None:
    rows = unit_rows(30)
    found = list(similar_pairs(rows, seed=0))
    assert sorted(map(sorted, found)) == [list(pair) for pair in itertools.combinations(range(30), 2)]
    cosines = rows @ rows.T - 2 * np.eye(30)
    nearest = {frozenset((i, int(cosines[i].argmax()))) for i in range(30)}
    assert {frozenset(pair) for pair in found[: len(nearest)]} == nearest


def test_similar_pairs_with_ties_still_come_once_and_copies_are_no_pair() -> None:
    rows = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)  # three copies of each of four pictures
    found = list(similar_pairs(rows, seed=0))
    expected = [list(pair) for pair in itertools.combinations(range(12), 2) if pair[0] // 3 != pair[1] // 3]
    assert sorted(map(sorted, found)) == expected


def test_pairs_by_label_share_it_and_take_the_classes_in_turn() -> None:
    found = list(choose_pairs(LABELLED, 9, 0, strategy="by-label"))
    labels = [(LABELLED[i].label, LABELLED[j].label) for i, j in found]
    assert all(one == other for one, other in labels)
    assert [one for one, _ in labels] == ["a", "b", "c"] * 3


def test_pairs_by_attribute_differ_in_it() -> None:
    found = list(choose_pairs(LABELLED, 50, 0, strategy="attribute", attribute="size"))
    assert all(LABELLED[i].attributes["size"] != LABELLED[j].attributes["size"] for i, j in found)


def test_a_strategy_that_lacks_something_says_what() -> None:
    plain = examples(5)
    with pytest.raises(UsageError, match="--backbone"):
        choose_pairs(plain, 5, 0, strategy="similar")
    with pytest.raises(UsageError, match="--pair-attribute"):
        choose_pairs(plain, 5, 0, strategy="attribute")
    with pytest.raises(DataError, match="no captioned picture has a label"):
        choose_pairs(plain, 5, 0, strategy="by-label")
    with pytest.raises(UsageError, match=r"(?s)'weight'.*There are: size"):
        choose_pairs(LABELLED, 5, 0, strategy="attribute", attribute="weight")


def test_a_million_items_need_no_more_memory_than_a_thousand() -> None:
    def peak(n: int) -> int:
        tracemalloc.start()
        list(itertools.islice(random_pairs(n, 0), 1000))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(1_000_000) < 1.5 * peak(1_000)


def test_hold_out_keeps_copies_together_and_covers_everything() -> None:
    groups = [str(i // 2) for i in range(40)]
    training, held = hold_out(groups, 0.25, seed=0)
    assert sorted(training + held) == list(range(40))
    assert not {groups[i] for i in training} & {groups[i] for i in held}
    assert len(held) == 10
    assert hold_out(groups, 0.25, seed=1)[1] != held


def test_too_few_pictures_to_hold_any_out() -> None:
    with pytest.raises(UsageError, match="too few"):
        hold_out(["a", "b", "c"], 0.5, 0)
