"""Each formula of the method against a computation written again from the paper's symbols."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from pcclip.errors import UsageError
from pcclip.interfaces import LinearClassifier, LossBatch
from pcclip.plugins import registry
from pcclip.testing import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.03])
def test_contrastive_is_the_symmetric_cross_entropy(temperature: float) -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(7, 5))
    texts = rng.normal(size=(7, 5))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    scores = texts @ (differences / np.linalg.norm(differences, axis=1, keepdims=True)).T / temperature
    rows = -np.mean([log_softmax(scores[k])[k] for k in range(7)])
    columns = -np.mean([log_softmax(scores[:, k])[k] for k in range(7)])
    loss = registry().loss("contrastive", {"temperature": temperature})
    value = loss(LossBatch(torch.tensor(differences), torch.tensor(texts)))
    assert value.item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_mse_is_not_normalised() -> None:
    differences = torch.tensor([[0.5, 0.0], [0.0, 2.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert registry().loss("mse")(LossBatch(differences, texts)).item() == pytest.approx((0.25 + 1.0) / 4, abs=1e-6)


def test_the_contrastive_temperature_is_positive() -> None:
    with pytest.raises(UsageError, match="temperature"):
        registry().loss("contrastive", {"temperature": 0})


def test_zero_shot_is_the_cosine_with_the_prompt() -> None:
    embedder = HashEmbedder()
    classifier = registry().strategy("zero-shot").fit(embedder, ClassKnowledge(("cat", "big_dog")))
    pictures = embedder.embed_texts(["something", "else"])
    expected = pictures @ embedder.embed_texts(["This is a photo of a cat", "This is a photo of a big dog"]).T
    np.testing.assert_allclose(classifier.scores(pictures), expected, atol=1e-6)


def test_comparative_prompting_is_the_papers_formula() -> None:
    embedder = HashEmbedder()
    names = ("cat", "dog", "horse")
    described = (
        ClassComparative("cat", "dog", "cats are smaller"),
        ClassComparative("horse", "dog", "horses are larger"),
        ClassComparative("dog", "horse", "dogs bark"),
    )
    alpha = 0.8
    classifier = registry().strategy("comparative", {"alpha": alpha}).fit(embedder, ClassKnowledge(names, described))
    assert isinstance(classifier, LinearClassifier)
    e = {name: embedder.embed_texts([f"This is a photo of a {name}"])[0].astype(np.float64) for name in names}
    g = {(d.first, d.second): embedder.embed_texts([d.text])[0].astype(np.float64) for d in described}
    v_dog = ((e["cat"] - g["cat", "dog"]) + (e["horse"] - g["horse", "dog"])) / 2
    v_horse = e["dog"] - g["dog", "horse"]
    moved_dog = alpha * e["dog"] + (1 - alpha) * v_dog
    moved_horse = alpha * e["horse"] + (1 - alpha) * v_horse
    expected = np.stack([e["cat"], moved_dog / np.linalg.norm(moved_dog), moved_horse / np.linalg.norm(moved_horse)])
    np.testing.assert_allclose(classifier.weights, expected, atol=1e-6)


def test_comparative_prompting_without_differences_says_how_to_bring_them() -> None:
    with pytest.raises(UsageError) as caught:
        registry().strategy("comparative").fit(HashEmbedder(), ClassKnowledge(("cat", "dog")))
    assert "--differences" in str(caught.value)
    assert "--captioner" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [(("cat",), "at least two"), (("cat", "cat"), "twice"), (("cat", " "), "empty"), ((), "at least two")],
)
def test_a_bad_class_list_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClassKnowledge(names)


def test_a_template_needs_a_label() -> None:
    with pytest.raises(UsageError, match=r"\{label\}"):
        registry().strategy("zero-shot", {"template": "a photo"})
