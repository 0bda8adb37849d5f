from __future__ import annotations

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcclip.config import FinetuneConfig, make_config
from pcclip.errors import RunError, UsageError
from pcclip.runs import open_run
from pcclip_cli.main import main


def test_the_paper_recipe_is_the_papers() -> None:
    config = make_config("paper", data="x")
    assert (config.backbone, config.backbone_options) == ("vit-l-14", {"pretrained": "datacomp_xl_s13b_b90k"})
    assert (config.learning_rate, config.decay, config.schedule, config.optimizer) == (1e-8, 0.9, "exponential", "adam")
    assert (config.batch_size, config.epochs, config.alpha, config.train) == (512, 20, 0.5, "blocks")
    assert config.loss_options == {"temperature": 1.0}
    assert (config.weight_decay, config.warmup_steps, config.clip_grad_norm, config.max_steps) == (0, 0, None, None)
    assert config.limit is not None
    training = config.limit - round(config.limit * config.holdout)
    assert training == 1000
    assert config.pairs == training * (training - 1) // 2
    assert not config.reversals


def test_every_setting_is_a_flag() -> None:
    from pcclip_cli.finetune import command

    flags = {parameter.name for parameter in command.params}
    assert {name for name in FinetuneConfig.model_fields if not name.endswith("_options")} <= flags


def test_a_run_can_be_fed_back_as_a_recipe(tmp_path: Path) -> None:
    given = config(
        captioner="template",
        backbone="vit-b-32",
        backbone_options={"pretrained": "w.pt", "image_batch_size": 4},
        loss="contrastive",
        loss_options={"temperature": 0.2},
        images=tmp_path / "pictures",
        alpha="auto",
        sweep_alpha="1,0.5",
        threads=3,
        checkpoint_every=7,
        clip_grad_norm=1.5,
        seed=5,
    )
    with open_run(tmp_path / "run", given):
        pass
    for recipe in (tmp_path / "run" / "run.json", tmp_path / "run"):
        assert make_config(str(recipe)) == given
    changed = make_config(str(tmp_path / "run"), pairs=7, loss_options={"learn_temperature": True})
    assert changed == given.model_copy(
        update={"pairs": 7, "loss_options": {"temperature": 0.2, "learn_temperature": True}}
    )


@pytest.mark.parametrize("content", ["{", "[1]", '{"schema": 1}', '{"config": 3}', '{"config": ["ab"]}', '"text"'])
def test_json_that_is_no_run_is_no_recipe(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"cannot read the recipe .*run\.json"):
        make_config(str(tmp_path / "run.json"))
    with pytest.raises(UsageError, match="no recipe is called"):
        make_config(str(tmp_path / "gone.json"))
    with pytest.raises(UsageError, match="no recipe is called"):
        make_config(str(tmp_path.parent))


def test_the_alphas_of_a_sweep() -> None:
    assert config().swept_alphas == ()
    assert config(sweep_alpha="1, 0.5").swept_alphas == (0, 0.5, 1)
    assert config(sweep_alpha=0.5).swept_alphas == (0, 0.5, 1)
    assert config(sweep_alpha=[0.5], alpha=0.75).swept_alphas == (0, 0.5, 0.75)
    assert config(alpha="auto").swept_alphas == (0, 0.25, 0.5, 0.75, 1)
    assert config(alpha="auto", sweep_alpha=(0.3,)).swept_alphas == (0, 0.3)


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
        ({"alpha": 0}, ["alpha", "above 0", "got 0"]),
        ({"alpha": "most"}, ["alpha", "auto or a number", "'most'"]),
        ({"alpha": "nan"}, ["alpha", "auto or a number"]),
        ({"sweep_alpha": "0,2"}, ["sweep_alpha", "from 0 to 1", "'0,2'"]),
        ({"sweep_alpha": "half"}, ["sweep_alpha", "numbers from 0 to 1", "'half'"]),
        ({"sweep_alpha": {}}, ["sweep_alpha", "{}"]),
        ({"learning_rate": math.inf}, ["learning_rate", "finite", "inf"]),
        ({"loss": "siglip", "loss_options": {"bias": math.nan}}, ["loss_options", "not finite", "nan"]),
        ({"loss": 3}, ["loss: it is a name, got 3"]),
        ({"loss_options": 3}, ["loss_options: it is a table of options, got 3"]),
        ({"backbone": ["mini"]}, ["backbone: it is a name"]),
        ({"backbone_options": "x"}, ["backbone_options: it is a table"]),
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


@pytest.mark.parametrize("line", ["backbone = 3", "backbone_options = 3", "loss = 3", "loss_options = [1]"])
def test_a_recipe_with_a_value_of_another_kind_is_refused_on_the_command_line(tmp_path: Path, line: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'data = "d"\n{line}\n')
    result = CliRunner().invoke(main, ["finetune", "--recipe", str(recipe), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert f"settings: {line.split()[0]}: it is a" in result.output


def config(**settings: object) -> FinetuneConfig:
    return make_config(data="d", **settings)


def test_a_run_refuses_other_settings_and_names_them(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", config(pairs=10)) as run:
        run.stage("read", "done")
    with pytest.raises(RunError, match="pairs: 10 before, 20 now"), open_run(tmp_path / "run", config(pairs=20)):
        pass
    with open_run(tmp_path / "run", config(pairs=10, threads=1, checkpoint_every=3)) as run:
        assert run.record["config"]["pairs"] == 10


def test_a_run_without_a_stage_begins_anew(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", config(backbone="one")) as run:
        run.fingerprint("text tower", "a" * 32)
    with open_run(tmp_path / "run", config(backbone="two")) as run:
        run.fingerprint("text tower", "b" * 32)
        assert run.record["config"]["backbone"] == "two"


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
