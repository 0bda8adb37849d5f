"""Each strategy against its formula, computed again by hand: three classes, three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from sklearn.linear_model import LogisticRegression

from pcclip.errors import DataError, UsageError
from pcclip.interfaces import Classifier, LinearClassifier
from pcclip.plugins import registry
from pcclip.testing import HashEmbedder
from pcclip.types import ClassComparative, ClassKnowledge, FloatArray, LabelledEmbeddings

NAMES = ("cat", "dog", "big_cow")
ROWS = np.array([[0.8, 0.6, 0], [0, 0.28, 0.96], [0.48, 0.64, 0.6]], np.float32)


class Table(HashEmbedder):
    """Known texts have known embeddings in three dimensions; no other text may be asked for."""

    def __init__(self, rows: Mapping[str, Sequence[float]]) -> None:
        super().__init__(dim=3)
        self.rows = {text: np.asarray(row, np.float32) / np.linalg.norm(row) for text, row in rows.items()}

    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> FloatArray:
        return np.stack([self.rows[text] for text in texts]).astype(np.float32)


PROMPTS = {
    "This is a photo of a cat": [1, 0, 0],
    "This is a photo of a dog": [0, 1, 0],
    "This is a photo of a big cow": [0, 0, 1],
}


def fit(name: str, embedder: HashEmbedder, knowledge: ClassKnowledge, **options: Any) -> Classifier:
    return registry().strategy(name, options).fit(embedder, knowledge)


def n(row: Sequence[float]) -> np.ndarray:
    return np.asarray(row, np.float64) / np.linalg.norm(row)


def test_zero_shot_of_one_template() -> None:
    found = fit("zero-shot", Table(PROMPTS), ClassKnowledge(NAMES))
    np.testing.assert_allclose(found.scores(ROWS), ROWS, atol=1e-6)


def test_zero_shot_of_templates_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a {label}\n\none {label}, {label}.\n")
    table = {"a cat": [1, 0, 0], "one cat, cat.": [0, 1, 0], "a dog": [0, 0, 1], "one dog, dog.": [0, 3, 4]}
    found = fit("zero-shot", Table(table), ClassKnowledge(NAMES[:2]), templates=str(tmp_path / "t.txt"))
    expected = np.stack([n([0.5, 0.5, 0]), n([0, 0.3, 0.9])])
    np.testing.assert_allclose(found.scores(ROWS), ROWS @ expected.T, atol=1e-6)


def test_the_80_imagenet_templates_are_clips() -> None:
    embedder = HashEmbedder()
    found = fit("zero-shot", embedder, ClassKnowledge(NAMES), templates="imagenet")
    assert isinstance(found, LinearClassifier)
    assert len(open_clip.OPENAI_IMAGENET_TEMPLATES) == 80
    mean = np.mean([embedder.embed_texts([t("big cow")])[0] for t in open_clip.OPENAI_IMAGENET_TEMPLATES], axis=0)
    np.testing.assert_allclose(found.weights[2], n(mean), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [("a photo\n", r"'a photo' lacks \{label\}"), ("\n", "no template"), (b"\xff", "cannot read")],
)
def test_bad_templates_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    (tmp_path / "t.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((UsageError, DataError), match=message):
        fit("zero-shot", HashEmbedder(), ClassKnowledge(NAMES), templates=str(tmp_path / "t.txt"))


def test_templates_that_are_no_set_and_no_file() -> None:
    with pytest.raises(UsageError, match="no templates 'imagenett'"):
        fit("zero-shot", HashEmbedder(), ClassKnowledge(NAMES), templates="imagenett")
    with pytest.raises(UsageError, match="not both"):
        registry().strategy("zero-shot", {"templates": "imagenet", "template": "a {label}"})


DESCRIBED = {"cat": ("whiskers", "It purrs."), "dog": ("a long snout",), "big_cow": ("horns", "spots")}
FEATURES = {
    "cat, which has whiskers": [1, 0, 0],
    "It purrs.": [0, 1, 0],
    "dog, which has a long snout": [0, 3, 4],
    "big cow, which has horns": [0, 0, 1],
    "big cow, which has spots": [0.6, 0, 0.8],
}


def test_descriptions_are_the_mean_of_cosines() -> None:
    knowledge = ClassKnowledge(NAMES, descriptions=DESCRIBED)
    table = Table(FEATURES)
    by_hand = [
        (ROWS @ table.rows["cat, which has whiskers"] + ROWS @ table.rows["It purrs."]) / 2,
        ROWS @ table.rows["dog, which has a long snout"],
        (ROWS @ table.rows["big cow, which has horns"] + ROWS @ table.rows["big cow, which has spots"]) / 2,
    ]
    np.testing.assert_allclose(fit("descriptions", table, knowledge).scores(ROWS), np.stack(by_hand, 1), atol=1e-6)


def test_extended_prompts() -> None:
    knowledge = ClassKnowledge(NAMES, descriptions={"cat": ("A", "B {label}"), "dog": ("C",), "big_cow": ("D",)})
    table = {
        "This is a photo of a cat. A": [1, 0, 0],
        "This is a photo of a cat. B {label}": [0, 0, 1],
        "This is a photo of a dog. C": [0, 1, 0],
        "This is a photo of a big cow. D": [0, 3, 4],
    }
    expected = np.stack([n([1, 0, 1]), [0, 1, 0], [0, 0.6, 0.8]])
    np.testing.assert_allclose(fit("extended", Table(table), knowledge).scores(ROWS), ROWS @ expected.T, atol=1e-6)


def test_cupl_with_and_without_templates(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a {label}\n")
    knowledge = ClassKnowledge(NAMES[:2], descriptions={"cat": ("A cat purrs.", "Whiskers."), "dog": ("It barks.",)})
    table = Table(
        {
            "A cat purrs.": [1, 0, 0],
            "Whiskers.": [0, 1, 0],
            "It barks.": [0, 0, 1],
            "a cat": [0, 1, 0],
            "a dog": [1, 0, 0],
        }
    )
    expected = np.stack([n([1, 1, 0]), [0, 0, 1]])
    np.testing.assert_allclose(fit("cupl", table, knowledge).scores(ROWS), ROWS @ expected.T, atol=1e-6)
    with_templates = np.stack([n([1, 2, 0]), n([1, 0, 1])])
    found = fit("cupl", table, knowledge, templates=str(tmp_path / "t.txt"))
    np.testing.assert_allclose(found.scores(ROWS), ROWS @ with_templates.T, atol=1e-6)


def test_waffle_has_the_same_random_features_for_every_class() -> None:
    class Remembering(HashEmbedder):
        texts: list[str]

        def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> FloatArray:
            self.texts = list(texts)
            return super().embed_texts(texts, batch_size)

    embedder = Remembering()
    pictures = HashEmbedder().embed_texts(["one", "two"])
    found = fit("waffle", embedder, ClassKnowledge(NAMES), seed=3)
    asked = embedder.texts
    features = [text.removeprefix("cat, which has ") for text in asked if text.startswith("cat,")]
    assert len(set(features)) == 30
    assert sorted(asked) == sorted(f"{c}, which has {f}" for c in ("cat", "dog", "big cow") for f in features)
    cosines = [
        np.mean([pictures @ HashEmbedder().embed_texts([f"{c}, which has {f}"])[0] for f in features], axis=0)
        for c in ("cat", "dog", "big cow")
    ]
    np.testing.assert_allclose(found.scores(pictures), np.stack(cosines, axis=1), atol=1e-6)
    again = fit("waffle", HashEmbedder(), ClassKnowledge(NAMES), seed=3)
    np.testing.assert_array_equal(again.scores(pictures), found.scores(pictures))
    other = fit("waffle", HashEmbedder(), ClassKnowledge(NAMES), seed=4)
    assert not np.allclose(other.scores(pictures), found.scores(pictures))


@pytest.mark.parametrize("strategy", ["extended", "descriptions", "cupl"])
def test_a_class_without_description_is_named(strategy: str) -> None:
    with pytest.raises(UsageError, match="'big_cow' has none"):
        fit(strategy, HashEmbedder(), ClassKnowledge(NAMES, descriptions={"cat": ("x",), "dog": ("y",)}))
    with pytest.raises(UsageError, match="'cat', 'dog', 'big_cow' have none") as caught:
        fit(strategy, HashEmbedder(), ClassKnowledge(NAMES))
    assert "--descriptions FILE" in str(caught.value)


DIFFERENCES = (
    ClassComparative("cat", "dog", "The first image shows whiskers, while the second image shows a snout."),
    ClassComparative("cat", "big_cow", "Cats are small."),
    ClassComparative("big_cow", "dog", "Cows have horns."),
    ClassComparative("big_cow", "dog", "Cows have hooves."),
)
DIFFERENTIAL = PROMPTS | {
    "This is a photo of a cat. whiskers": [0.8, 0, 0.6],
    "This is a photo of a dog. a snout": [0, 0.6, 0.8],
    "This is a photo of a cat. Cats are small.": [0.6, 0.8, 0],
    "This is a photo of a big cow. Cows have horns.": [0, 0.8, 0.6],
    "This is a photo of a big cow. Cows have hooves.": [0.6, 0, 0.8],
}


def test_fudd_looks_again_at_the_nearest_classes_only() -> None:
    found = fit("fudd", Table(DIFFERENTIAL), ClassKnowledge(NAMES, DIFFERENCES), top=2)
    g = {text: n(row) for text, row in DIFFERENTIAL.items()}
    whiskers, snout = g["This is a photo of a cat. whiskers"], g["This is a photo of a dog. a snout"]
    cows = n(g["This is a photo of a big cow. Cows have horns."] + g["This is a photo of a big cow. Cows have hooves."])
    f0, f1, f2 = ROWS.astype(np.float64)
    expected = [
        [f0 @ whiskers, f0 @ snout, f0[2] - 2],  # nearest: cat, dog
        [f1[0] - 2, f1[1], f1 @ cows],  # nearest: cow, dog; nothing sets dogs apart from cows
        [f2[0] - 2, f2[1], f2 @ cows],  # nearest: dog, cow
    ]
    np.testing.assert_allclose(found.scores(ROWS), expected, atol=1e-6)


def test_fudd_over_all_classes_is_one_mean_each() -> None:
    found = fit("fudd", Table(DIFFERENTIAL), ClassKnowledge(NAMES, DIFFERENCES), top=99)
    g = {text: n(row) for text, row in DIFFERENTIAL.items()}
    cat = n(g["This is a photo of a cat. whiskers"] + g["This is a photo of a cat. Cats are small."])
    cow = n(g["This is a photo of a big cow. Cows have horns."] + g["This is a photo of a big cow. Cows have hooves."])
    weights = np.stack([cat, g["This is a photo of a dog. a snout"], cow])
    np.testing.assert_allclose(found.scores(ROWS), ROWS @ weights.T, atol=1e-6)
    assert found.baseline is not None
    np.testing.assert_allclose(found.baseline.scores(ROWS), ROWS, atol=1e-6)


def test_fudd_against_a_loop_over_pictures() -> None:
    embedder = HashEmbedder()
    names = tuple(f"c{i}" for i in range(7))
    pairs = [(a, b) for a in names for b in names if a < b and (a, b) != ("c1", "c4")]
    knowledge = ClassKnowledge(names, tuple(ClassComparative(a, b, f"{a} is no {b}") for a, b in pairs))
    pictures = embedder.embed_texts([f"picture {i}" for i in range(300)])
    prompts = embedder.embed_texts([f"This is a photo of a {c}" for c in names])
    scores = fit("fudd", embedder, knowledge, top=3).scores(pictures)
    for f, row in zip(pictures, scores, strict=True):
        top = sorted(np.argsort(-(prompts @ f), kind="stable")[:3])
        for c in range(7):
            others = [o for o in top if o != c and (names[c], names[o]) in pairs]
            texts = [f"This is a photo of a {names[c]}. {names[c]} is no {names[o]}" for o in others]
            if c not in top:
                expected = prompts[c] @ f - 2
            elif texts:
                expected = n(embedder.embed_texts(texts).sum(axis=0)) @ f
            else:
                expected = prompts[c] @ f
            assert row[c] == pytest.approx(expected, abs=1e-6)


def test_fudd_needs_differences() -> None:
    with pytest.raises(UsageError, match=r"fudd.*differences"):
        fit("fudd", HashEmbedder(), ClassKnowledge(NAMES))


def support(per_class: int, names: Sequence[str] = NAMES, seed: int = 0) -> LabelledEmbeddings:
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.eye(3)[i] + rng.normal(scale=0.5, size=(per_class, 3)) for i in range(len(names))])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return LabelledEmbeddings(rows, tuple(name for name in names for _ in range(per_class)))


@pytest.mark.parametrize("k", [2, 3])
def test_the_probe_is_scikit_learns(k: int) -> None:
    names = NAMES[:k]
    shown = support(20, names)
    model = LogisticRegression(C=2.0, max_iter=1000).fit(shown.embeddings.astype(np.float64), shown.labels)
    found = fit("probe", HashEmbedder(dim=3), ClassKnowledge(names, support=shown), c=2.0)
    scores = found.scores(ROWS).astype(np.float64)
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    order = [list(model.classes_).index(name) for name in names]
    np.testing.assert_allclose(softmax, model.predict_proba(ROWS.astype(np.float64))[:, order], atol=1e-4)
    predicted = [names[i] for i in found.predict(shown.embeddings).indices[:, 0]]
    assert predicted == model.predict(shown.embeddings.astype(np.float64)).tolist()


def test_the_probe_of_k_shots_is_drawn_by_its_seed() -> None:
    knowledge = ClassKnowledge(NAMES, support=support(20))
    one, same, other = (fit("probe", HashEmbedder(), knowledge, shots=2, seed=s).scores(ROWS) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_one_picture_of_each_of_many_classes_is_no_reason_to_warn() -> None:
    names = tuple(f"c{i}" for i in range(30))
    rows = HashEmbedder().embed_texts(names)
    found = fit("probe", HashEmbedder(), ClassKnowledge(names, support=LabelledEmbeddings(rows, names)))
    np.testing.assert_array_equal(found.predict(rows).indices[:, 0], np.arange(30))


def test_the_probe_names_a_class_with_too_few_pictures() -> None:
    with pytest.raises(UsageError, match="1 labelled picture of each class, and 'big_cow' has 0"):
        fit("probe", HashEmbedder(), ClassKnowledge(NAMES, support=support(4, NAMES[:2])))
    with pytest.raises(UsageError, match="5 labelled pictures of each class, and 'cat' has 4"):
        fit("probe", HashEmbedder(), ClassKnowledge(NAMES, support=support(4)), shots=5)
    with pytest.raises(UsageError, match="--support DATA"):
        fit("probe", HashEmbedder(), ClassKnowledge(NAMES))


def test_alpha_is_chosen_on_labelled_pictures() -> None:
    # without the difference the picture at 50 degrees, a cat, is nearer to the dog
    table = Table(PROMPTS | {"cats differ": [-1, 0, 0]})
    described = (ClassComparative("big_cow", "dog", "cats differ"),)
    angle = np.radians(50)
    shown = LabelledEmbeddings(np.array([[np.cos(angle), np.sin(angle), 0]], np.float32), ("cat",))
    right = []
    for alpha in np.arange(21) / 20:
        dog = n(alpha * np.array([0, 1, 0]) + (1 - alpha) * (np.array([0, 0, 1]) - np.array([-1, 0, 0])))
        weights = np.stack([[1, 0, 0], dog, [0, 0, 1]])
        right.append(int(np.argmax(weights @ shown.embeddings[0]) == 0))
    expected = max(a for a, good in zip(np.arange(21) / 20, right, strict=True) if good == max(right))
    assert max(right) == 1
    assert expected < 1
    found = fit("comparative", table, ClassKnowledge(NAMES, described, support=shown), alpha="auto")
    set_ = fit("comparative", table, ClassKnowledge(NAMES, described), alpha=expected)
    np.testing.assert_allclose(found.scores(ROWS), set_.scores(ROWS), atol=1e-6)
    assert f"alpha {expected:g} has the best accuracy on 1 labelled pictures: 1.000, and 0.000" in found.notes[0]


def test_of_equal_alphas_the_largest_is_taken() -> None:
    table = Table(PROMPTS | {"same": [0, 0, 1]})
    described = (ClassComparative("cat", "dog", "same"),)
    shown = LabelledEmbeddings(np.array([[0, 1, 0]], np.float32), ("dog",))
    found = fit("comparative", table, ClassKnowledge(NAMES, described, support=shown), alpha="auto")
    assert found.notes[0].startswith("alpha 1 has")


def test_alpha_needs_labelled_pictures_or_a_number() -> None:
    described = ClassKnowledge(NAMES, (ClassComparative("cat", "dog", "x"),))
    with pytest.raises(UsageError, match=r"labelled pictures(.|\n)*--support"):
        fit("comparative", HashEmbedder(), described, alpha="auto")
    for wrong in ("best", 1.5, -0.1, float("nan")):
        with pytest.raises(UsageError, match="auto or a number from 0 to 1"):
            registry().strategy("comparative", {"alpha": wrong})


def test_a_class_whose_halves_cancel_out_keeps_its_prompt() -> None:
    table = Table(PROMPTS | {"all of it": [1, 1, 0]})
    table.rows["all of it"] = np.array([1, 1, 0], np.float32)  # e_cat - g = -e_dog
    described = (ClassComparative("cat", "dog", "all of it"),)
    found = fit("comparative", table, ClassKnowledge(NAMES, described), alpha=0.5)
    np.testing.assert_allclose(found.scores(ROWS), ROWS, atol=1e-6)


@pytest.mark.parametrize("strategy", ["zero-shot", "comparative", "fudd"])
def test_what_descriptions_differ_by_is_compared_with_plain_prompts(strategy: str) -> None:
    found = fit(strategy, HashEmbedder(), ClassKnowledge(NAMES, DIFFERENCES))
    assert (found.baseline is None) == (strategy == "zero-shot")
    if found.baseline is not None:
        plain = fit("zero-shot", HashEmbedder(), ClassKnowledge(NAMES))
        rows = HashEmbedder().embed_texts(["a", "b"])
        np.testing.assert_allclose(found.baseline.scores(rows), plain.scores(rows), atol=1e-6)
