"""Which pairs are no negatives, and batches of hard ones."""

from __future__ import annotations

import numpy as np
import torch

from pcclip.config import FinetuneConfig
from pcclip.form import compose
from pcclip.negatives import FalseNegatives, HardNegatives
from pcclip.schedule import Schedule

PICTURES = torch.eye(8)[[0, 1, 2, 3, 4, 5, 6, 0]]  # the last one is a copy of the first
ROWS = [
    (0, 1, compose("a red cat", "a dog")),
    (1, 0, compose("a dog", "a red cat")),  # the reversal of the first
    (7, 2, compose("a red cat", "a house")),  # a copy of the first's first picture, in the same role
    (3, 7, compose("a tree", "a cat that is red")),  # the same picture in the other role
    (4, 5, compose("A red cat,", "a  DOG")),  # the first's text on other pictures
    (5, 6, "Quite different"),
    (6, 4, "quite different!"),
    (2, 3, compose(" ".join(f"w{i}" for i in range(19)), "x")),
    (4, 6, compose(" ".join(f"w{i}" for i in range(18)) + " v", "x")),  # 19 words of 21 in common: over nine in ten
    (6, 5, compose(" ".join(f"w{i}" for i in range(16)) + " u v s", "x")),
]


def false_negatives() -> FalseNegatives:
    first, second, texts = zip(*ROWS, strict=True)
    return FalseNegatives(PICTURES, torch.tensor(first), torch.tensor(second), texts)


def test_shared_pictures_and_near_identical_texts_are_no_negatives_and_reversals_are() -> None:
    mask = false_negatives().mask(torch.arange(len(ROWS)))
    found = {(i, j) for i, j in np.argwhere(mask.numpy()).tolist() if i < j}
    by_text = {(0, 4), (5, 6), (7, 8)}
    by_picture = {(0, 2), (1, 3), (4, 8), (4, 9), (5, 8), (6, 9)}
    assert found == by_text | by_picture
    assert torch.equal(mask, mask.T)
    assert not mask.diagonal().any()


def test_rows_may_come_in_any_order_and_number() -> None:
    whole = false_negatives().mask(torch.arange(len(ROWS)))
    rows = torch.tensor([4, 0, 8])
    part = false_negatives().mask(rows)
    assert torch.equal(part, whole[rows][:, rows])


def schedule(n: int, hard: HardNegatives | None, batch_size: int = 8) -> Schedule:
    config = FinetuneConfig.model_validate({"data": "x", "batch_size": batch_size, "epochs": 2})
    return Schedule.of(config, n, hard)


def test_hard_batches_see_each_pair_once_an_epoch_and_hold_nearer_texts() -> None:
    n = 200
    generator = torch.Generator().manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(n, 6, generator=generator), dim=-1)
    pictures = torch.randn(2 * n, 4, generator=generator)
    false = FalseNegatives(pictures, torch.arange(n), torch.arange(n) + n, [f"text {i}" for i in range(n)])
    hard, plain = schedule(n, HardNegatives(texts, 0.5, false)), schedule(n, None)

    def nearest(plan: Schedule) -> float:
        found = []
        for step in range(plan.steps_per_epoch):
            rows = plan.rows(step)
            cosines = texts[rows] @ texts[rows].T - 2 * torch.eye(len(rows))
            found.append(cosines.max(dim=1).values.mean().item())
        return float(np.mean(found))

    seen = torch.cat([hard.rows(step) for step in range(hard.steps_per_epoch)]).tolist()
    assert len(seen) == len(set(seen)) == 200
    assert nearest(hard) > nearest(plain) + 0.1
    again = schedule(n, HardNegatives(texts, 0.5, false))
    assert all(torch.equal(hard.rows(step), again.rows(step)) for step in (3, 0, hard.steps - 1))
    assert hard.rows(0).tolist() != hard.rows(hard.steps_per_epoch).tolist()


def test_hard_negatives_are_no_false_ones() -> None:
    n = 64
    # pairs 2k and 2k + 1 have the same text: nearest of all, and never to be put together on purpose
    texts = torch.nn.functional.normalize(torch.randn(n // 2, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    texts = texts.repeat_interleave(2, dim=0)
    pictures = torch.randn(2 * n, 4, generator=torch.Generator().manual_seed(1))
    false = FalseNegatives(pictures, torch.arange(n), torch.arange(n) + n, [f"text {i // 2}" for i in range(n)])
    plan = schedule(n, HardNegatives(texts, 0.5, false), batch_size=8)
    rows = plan.rows(0)
    anchors, added = rows[:4], rows[4:]
    assert not set((anchors // 2).tolist()) & set((added // 2).tolist())
