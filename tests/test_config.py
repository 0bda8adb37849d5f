from __future__ import annotations

from pathlib import Path

import pytest

from pcclip.config import FinetuneConfig, make_config
from pcclip.errors import RunError, UsageError
from pcclip.runs import open_run


def test_the_paper_recipe_is_the_papers() -> None:
    config = make_config("paper", data="x")
    assert (config.backbone, config.backbone_options) == ("vit-l-14", {"pretrained": "datacomp_xl_s13b_b90k"})
    assert (config.learning_rate, config.decay, config.schedule, config.optimizer) == (1e-8, 0.9, "exponential", "adam")
    assert (config.batch_size, config.epochs, config.alpha, config.train) == (512, 20, 0.5, "blocks")
    assert config.loss_options == {"temperature": 1.0}


def test_settings_override_a_recipe_and_options_are_merged(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('captioner = "llama"\npairs = 50\n[captioner_options]\nn_parallel = 8\nmodel = "x.gguf"\n')
    config = make_config(str(recipe), data="d", pairs=60, captioner_options={"n_parallel": 4})
    assert config.pairs == 60
    assert config.captioner_options == {"n_parallel": 4, "model": "x.gguf"}
    other = make_config(str(recipe), data="d", captioner="template", captioner_options={})
    assert other.captioner_options == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairs": 0}, ["pairs", "0"]),
        ({"holdout": 1.5}, ["holdout", "1.5"]),
        ({"batchsize": 3}, ["unknown option 'batchsize'"]),
        ({"schedule": "linear"}, ["schedule", "linear"]),
    ],
)
def test_wrong_settings_name_the_field_and_the_value(settings: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(data="d", **settings)
    assert all(word in str(caught.value) for word in words)


def test_missing_and_broken_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Recipes: default, demo, paper"):
        make_config("nonesuch", data="d")
    broken = tmp_path / "broken.toml"
    broken.write_text("pairs = = 3")
    with pytest.raises(UsageError, match=r"broken\.toml"):
        make_config(str(broken), data="d")


def config(**settings: object) -> FinetuneConfig:
    return make_config(data="d", **settings)


def test_a_run_refuses_other_settings_and_names_them(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", config(pairs=10)):
        pass
    with pytest.raises(RunError, match="pairs: 10 before, 20 now"), open_run(tmp_path / "run", config(pairs=20)):
        pass
    with open_run(tmp_path / "run", config(pairs=10, threads=1, checkpoint_every=3)) as run:
        assert run.record["config"]["pairs"] == 10


def test_a_run_refuses_changed_inputs(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", config()) as run:
        run.fingerprint("captioner", "a" * 32)
        run.fingerprint("captioner", "a" * 32)
        with pytest.raises(RunError, match="another captioner"):
            run.fingerprint("captioner", "b" * 32)


def test_two_processes_cannot_be_at_work_in_one_run(tmp_path: Path) -> None:
    with (
        open_run(tmp_path / "run", config()),
        pytest.raises(RunError, match="another process"),
        open_run(tmp_path / "run", config()),
    ):
        pass


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="not empty"), open_run(tmp_path, config()):
        pass
    assert [p.name for p in tmp_path.iterdir() if p.name != ".lock"] == ["thesis.tex"]
