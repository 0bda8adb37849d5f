"""The whole of it on the real small backbone: a short training shows in the measures that it is for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import pcclip
from pcclip.data import read
from pcclip.evaluation.document import Evaluation
from pcclip.suites import Attribute


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    out = tmp_path_factory.mktemp("mini") / "run"
    settings = {"captioner": "template", "pairs": 120, "eval_pairs": 20, "batch_size": 16, "max_steps": 8}
    pcclip.finetune(pcclip.make_config(data="scenes:60", backbone="mini", holdout=0.5, **settings), out)
    size = Attribute("size", "The first image shows larger shapes.", "The first image shows smaller shapes.", "large")
    return pcclip.evaluate(
        [out],
        data="scenes:60",
        attributes=[size],
        measures="difference,ranking,geometry,probe",
        seeds=2,
        pairs=60,
        resamples=300,
    )


def test_a_short_training_shows(evaluation: Evaluation) -> None:
    assert not evaluation.problems
    by = {(c.measure, c.part): c for c in evaluation.comparisons}
    for measure in ("difference_accuracy", "geometry_image_cosine", "geometry_caption_cosine"):
        change = by[measure, "captions"]
        assert change.difference > 0, measure
        assert change.low > 0
        assert change.p < 0.05
    assert by["probe_accuracy", "16-shot"].difference == 0
    assert ("ranking_spearman", "size") in by


def test_the_image_tower_is_the_same_without_the_cache(evaluation: Evaluation) -> None:
    path = evaluation.models[1].path
    assert path is not None
    images = [Image.open(example.image) for example in read("scenes:60").examples[:4]]
    tuned = pcclip.load(path).embedder.embed_images(images)
    original = pcclip.Model.from_backbone("mini").embedder.embed_images(images)
    assert np.abs(tuned - original).max() <= 1e-6
