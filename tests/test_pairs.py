from __future__ import annotations

import itertools
import tracemalloc

import pytest

from pcclip.errors import UsageError
from pcclip.pairs import choose_pairs, hold_out, random_pairs


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


def test_a_longer_choice_begins_with_the_shorter_one() -> None:
    captions = [f"thing {i}" for i in range(50)]
    assert choose_pairs(captions, 100, 0)[:30] == choose_pairs(captions, 30, 0)


def test_pairs_with_the_same_caption_are_left_out() -> None:
    captions = ["A dog.", "a  dog", "A cat.", "A cat."]
    found = choose_pairs(captions, 10, 0)
    assert len(found) == 4
    assert all({i, j} not in ({0, 1}, {2, 3}) for i, j in found)


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
