from __future__ import annotations

import pytest
import torch

from pcclip import registry
from pcclip.interfaces import LossBatch
from pcclip.testing import LossContract


class TestContract(LossContract):
    """What every loss promises; the checks are inherited."""

    name = "hardest"


def test_a_kept_margin_costs_nothing_and_the_hardest_negative_counts() -> None:
    loss = registry().loss("hardest", {"margin": 0.3})
    text = torch.eye(3)
    assert loss(LossBatch(image_differences=2 * text, text=text)).item() == 0
    near = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0, 1.0]])  # text 1 is 0.8 of difference 0, 0.6 of its own
    rows = (0.3 - 0.6 + 0.8) / 3  # text 1 against difference 0
    columns = (0.3 - 1.0 + 0.8) / 3  # difference 0 against text 1
    assert loss(LossBatch(image_differences=text, text=near)).item() == pytest.approx(rows + columns, abs=1e-6)


def test_false_negatives_do_not_count() -> None:
    near = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [0, 0, 1.0]])
    false = torch.zeros(3, 3, dtype=torch.bool)
    false[1, 0] = True
    loss = registry().loss("hardest")
    assert loss(LossBatch(image_differences=torch.eye(3), text=near, false_negatives=false)).item() == 0
