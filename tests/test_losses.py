"""Each loss against its formula, written again from the papers' symbols; and sums of losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.special import expit, log_softmax
from torch import Tensor

from pcclip.config import make_config
from pcclip.errors import PluginError, UsageError
from pcclip.interfaces import Loss, LossBatch
from pcclip.objective import LossSum, make_loss, values_of
from pcclip.plugins import registry
from pcclip.terms import Term, parse_terms
from pcclip_cli.main import main

B, DIM = 7, 5


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def batch(seed: int = 0) -> tuple[LossBatch, dict[str, NDArray[np.float64]]]:
    """A batch that holds everything, in double precision, and its arrays."""
    rng = np.random.default_rng(seed)
    arrays = {
        "image_differences": rng.normal(size=(B, DIM)),
        "text": unit(rng.normal(size=(B, DIM))),
        "reversed_text": unit(rng.normal(size=(4, DIM))),
        "captions": unit(rng.normal(size=(6, DIM))),
        "original_captions": unit(rng.normal(size=(6, DIM))),
        "caption_images": unit(rng.normal(size=(6, DIM))),
    }
    tensors: dict[str, Tensor] = {name: torch.tensor(array) for name, array in arrays.items()}
    tensors["text"].requires_grad_()
    false = torch.zeros(B, B, dtype=torch.bool)
    false[0, 1] = false[1, 0] = false[2, 6] = false[6, 2] = True
    reversible = torch.tensor([True, False, True, True, False, False, True])
    return LossBatch(false_negatives=false, reversible=reversible, **tensors), arrays


def cross_entropies(scores: NDArray[np.float64]) -> float:
    count = len(scores)
    rows = -np.mean([log_softmax(scores[k])[k] for k in range(count)])
    columns = -np.mean([log_softmax(scores[:, k])[k] for k in range(count)])
    return float((rows + columns) / 2)


def test_contrastive_leaves_false_negatives_out() -> None:
    found, arrays = batch()
    scores = arrays["text"] @ unit(arrays["image_differences"]).T / 0.1
    for k, m in ((0, 1), (1, 0), (2, 6), (6, 2)):
        scores[k, m] = -np.inf
    value = registry().loss("contrastive", {"temperature": 0.1})(found)
    assert value.item() == pytest.approx(cross_entropies(scores), abs=1e-6)
    value.backward()
    assert found.text.grad is not None
    assert torch.isfinite(found.text.grad).all()


def test_a_learned_temperature_starts_where_it_is_told_and_has_a_gradient() -> None:
    found, _ = batch()
    fixed, learned = make_loss("contrastive"), make_loss("contrastive", {"learn_temperature": True})
    assert not list(fixed.parameters())
    assert learned(found).item() == pytest.approx(fixed(found).item(), abs=1e-6)
    learned(found).backward()
    (scale,) = learned.parameters()
    assert scale.grad is not None
    assert scale.grad.abs() > 0


@pytest.mark.parametrize("masked", [True, False])
def test_siglip_is_the_papers(masked: bool) -> None:
    found, arrays = batch()
    if not masked:
        found = LossBatch(found.image_differences, found.text)
    logits = arrays["text"] @ unit(arrays["image_differences"]).T / 0.1 - 10
    z = 2 * np.eye(B) - 1
    each = -np.log(expit(z * logits))
    if masked:
        each[[0, 1, 2, 6], [1, 0, 6, 2]] = 0
    loss = make_loss("siglip", {"temperature": 0.1, "bias": -10})
    assert loss(found).item() == pytest.approx(each.sum() / B, abs=1e-6)
    assert len([p for p in loss.parameters() if p.requires_grad]) == 2
    assert not [p for p in make_loss("siglip", {"learn": False}).parameters() if p.requires_grad]


def test_antisymmetry_is_zero_for_opposites_and_counts_reversible_rows_only() -> None:
    found, arrays = batch()
    cosines = (arrays["text"][[0, 2, 3, 6]] * arrays["reversed_text"]).sum(axis=1)
    loss = make_loss("antisymmetry")
    assert loss(found).item() == pytest.approx(1 + cosines.mean(), abs=1e-6)
    opposite = LossBatch(
        found.image_differences, found.text, reversible=torch.ones(B, dtype=torch.bool), reversed_text=-found.text
    )
    assert loss(opposite).item() == pytest.approx(0, abs=1e-6)
    none = LossBatch(
        found.image_differences, found.text, reversible=torch.zeros(B, dtype=torch.bool), reversed_text=found.text[:0]
    )
    value = loss(none)
    value.backward()
    assert value.item() == 0


def test_retain_keeps_captions_near_their_start_or_their_pictures() -> None:
    found, arrays = batch()
    kept = 1 - (arrays["captions"] * arrays["original_captions"]).sum(axis=1).mean()
    still = make_loss("retain", {"target": "text"})
    assert still(found).item() == pytest.approx(kept, abs=1e-6)
    scores = arrays["captions"] @ arrays["caption_images"].T / 0.05
    near = make_loss("retain", {"temperature": 0.05})
    assert near(found).item() == pytest.approx(cross_entropies(scores), abs=1e-6)
    assert still.needs == {"captions", "original_captions"}
    assert near.needs == {"captions", "caption_images"}


def test_a_sum_is_the_weighted_sum_and_tells_its_terms() -> None:
    found, _ = batch()
    options = {"contrastive": {"temperature": 0.2}, "retain": {"target": "images"}}
    loss = make_loss("contrastive + 0.5*retain+2e-1 * antisymmetry", options)
    value, terms = values_of(loss, found)
    assert list(terms) == ["contrastive", "retain", "antisymmetry"]
    alone = make_loss("contrastive", {"temperature": 0.2})(found).item()
    assert terms["contrastive"].item() == pytest.approx(alone, abs=1e-9)
    expected = alone + 0.5 * terms["retain"].item() + 0.2 * terms["antisymmetry"].item()
    assert value.item() == pytest.approx(expected, abs=1e-9)
    assert value.item() == pytest.approx(loss(found).item(), abs=1e-9)
    assert loss.needs == {"captions", "caption_images", "reversible", "reversed_text"}
    assert isinstance(make_loss("0.5*mse"), LossSum)
    assert not isinstance(make_loss("mse"), LossSum)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("mse", (Term("mse"),)),
        (" contrastive+0.5*retain ", (Term("contrastive"), Term("retain", 0.5))),
        ("2*a.b+.5*c-d+1e+1*e", (Term("a.b", 2), Term("c-d", 0.5), Term("e", 10))),
    ],
)
def test_sums_are_read(text: str, terms: tuple[Term, ...]) -> None:
    assert parse_terms(text) == terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("contrastive+", "nothing"),
        ("contrastive retain", "'retain'"),
        ("contrastive-0.5*retain", "'*retain'"),
        ("0*mse", "weight"),
        ("-1*mse", "'-1*mse'"),
        ("mse+2*mse", "mse twice"),
        ("contrastive*0.5", "'*0.5'"),
    ],
)
def test_what_is_no_sum_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_terms(text)
    assert words in str(caught.value)
    with pytest.raises(UsageError, match="loss"):
        make_config(data="d", loss=text)


def test_a_misspelt_loss_or_option_of_a_sum_is_named() -> None:
    with pytest.raises(UsageError, match="Did you mean: retain"):
        make_loss("contrastive+0.5*retian")
    with pytest.raises(UsageError, match=r"loss 'retain': target"):
        make_loss("contrastive+retain", {"retain": {"target": "pictures"}})
    with pytest.raises(UsageError, match="not 'temperature'"):
        make_loss("contrastive+retain", {"temperature": 0.1})


def test_a_loss_that_asks_for_what_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = registry().loss("mse")
    loss.needs = frozenset({"pixels"})
    monkeypatch.setattr(type(registry()), "loss", lambda *_: loss)
    with pytest.raises(PluginError, match=r"'mse' needs pixels"):
        make_loss("mse")


def test_a_third_partys_loss_is_short() -> None:
    class Cosine(Loss):
        def forward(self, batch: LossBatch) -> Tensor:
            return 1 - torch.nn.functional.cosine_similarity(batch.text, batch.image_differences).mean()

    found, arrays = batch()
    expected = 1 - (arrays["text"] * unit(arrays["image_differences"])).sum(axis=1).mean()
    assert values_of(Cosine(), found)[0].item() == pytest.approx(expected, abs=1e-9)


def test_recipe_options_stay_with_the_losses_that_stay() -> None:
    config = make_config(
        "paper", data="d", loss="contrastive+0.5*retain", loss_options={"retain": {"target": "images"}}
    )
    assert config.loss_options == {"contrastive": {"temperature": 1.0}, "retain": {"target": "images"}}
    assert make_config("paper", data="d", loss="mse").loss_options == {}
    assert make_config("paper", data="d").loss_options == {"temperature": 1.0}
    assert make_config(None, **config.model_dump()).loss_options == config.loss_options


def test_the_flags_of_a_sum_carry_the_name_of_the_loss() -> None:
    shown = CliRunner().invoke(main, ["finetune", "--loss", "contrastive+0.5*retain", "--help"]).stdout
    assert "--loss-contrastive-temperature" in shown
    assert "Options of the loss retain" in shown
    assert "--loss-retain-target" in shown
    single = CliRunner().invoke(main, ["finetune", "--loss", "0.5*contrastive", "--help"]).stdout
    assert "--loss-temperature" in single
    wrong = CliRunner().invoke(main, ["finetune", "--data", "d", "--out", "x", "--loss", "contrastive+0.5*retian"])
    assert wrong.exit_code == 2
    assert "Did you mean: retain" in wrong.stderr


def test_flags_of_a_sum_reach_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    import pcclip.finetuning

    seen = []

    def stop(config: object, *_: object, **__: object) -> None:
        seen.append(config)
        raise UsageError("seen")

    monkeypatch.setattr(pcclip.finetuning, "finetune", stop)
    args = [
        "--loss",
        "contrastive+0.5*retain",
        "--loss-contrastive-temperature",
        "0.2",
        "--loss-retain-target",
        "images",
    ]
    CliRunner().invoke(main, ["finetune", "--data", "d", "--out", "x", *args])
    assert seen[0].loss_options == {"contrastive": {"temperature": 0.2}, "retain": {"target": "images"}}
    assert math.isclose(parse_terms(seen[0].loss)[1].weight, 0.5)
