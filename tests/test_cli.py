from __future__ import annotations

import csv
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pcclip.specs import RESERVED
from pcclip_cli.main import COMMANDS, main

HEAVY = "{'torch', 'numpy', 'sklearn', 'open_clip', 'llama_cpp', 'PIL', 'transformers', 'timm', 'scipy'}"


def pcclip(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["finetune", "--captioner", "llama", "--backbone", "mini", "--loss", "contrastive", "--help"],
        ["predict", "--strategy", "comparative", "--captioner", "template", "--help"],
        ["data", "check", "--help"],
        ["plugins", "--json"],
        ["plugins", "show", "openclip"],
        ["plugins", "new", "--help"],
        ["plugins", "check", "--help"],
    ],
    ids=" ".join,
)
def test_help_and_listings_import_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\nfrom pcclip_cli.main import main\n"
        f"try: main({args!r}, prog_name='pcclip')\n"
        f"except SystemExit as e: assert not e.code, e.code\nheavy = {HEAVY} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_bare_help_does_not_even_look_for_plugins() -> None:
    code = (
        "import sys\nfrom pcclip_cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(str({'pluggy', 'pydantic', 'rich'} & set(sys.modules)) if "
        "{'pluggy', 'pydantic', 'rich'} & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_flags_of_the_chosen_plugin_carry_bounds_defaults_and_descriptions() -> None:
    text = pcclip("finetune", "--captioner", "llama", "--backbone", "mini", "--help").stdout
    assert "Options of the captioner llama" in text
    assert "--captioner-n-parallel" in text
    assert "default: 16" in text
    assert "--captioner-n-parallel" not in pcclip("finetune", "--captioner", "template", "--help").stdout


@pytest.mark.parametrize(
    "args",
    [
        *([name] for name in COMMANDS),
        ["finetune", "--captioner", "chat", "--backbone", "vit-b-32", "--loss", "contrastive+siglip+retain"],
        ["predict", "--strategy", "comparative", "--captioner", "llama", "--backbone", "mini"],
        ["demo", "--captioner", "chat"],
    ],
    ids=" ".join,
)
def test_help_fits_into_80_columns(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = pcclip(*args, "--help").stdout.splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert all(line.strip().startswith("--") and "/ --no-" in line for line in wide), wide


def test_every_command_shows_the_options_of_the_plugins_it_is_given() -> None:
    for args, flag in (
        (["finetune", "--loss", "mse+siglip"], "--loss-siglip-bias"),
        (["demo", "--captioner", "chat"], "--captioner-base-url"),
        (["describe", "--captioner", "chat"], "--captioner-base-url"),
        (["predict", "--strategy", "comparative"], "--strategy-alpha"),
        *(
            ([name, "--backbone", "mini"], "--backbone-image-batch-size")
            for name in ("compare", "rank", "search", "embed")
        ),
    ):
        assert flag in pcclip(*args, "--help").stdout


def test_flags_that_plugins_cannot_have_are_reserved() -> None:
    """A command's own flag behind the name of a choosing flag would hide a plugin's option of that name."""
    taken: dict[str, set[str]] = {}
    for name in COMMANDS:
        command = importlib.import_module(f"pcclip_cli.{name}").command
        own = {flag for param in click.Command.get_params(command, click.Context(command)) for flag in param.opts}
        for choice in getattr(command, "choices", ()):
            before = f"--{choice.flag}-"
            found = {flag.removeprefix(before).replace("-", "_") for flag in own if flag.startswith(before)}
            taken.setdefault(choice.kind, set()).update(found)
    assert {kind: names for kind, names in taken.items() if names} == RESERVED


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers_have_the_same_names_in_every_help_text(name: str) -> None:
    text = pcclip(name, "--help").stdout
    assert " RANGE" not in text
    assert not re.search(r"--[\w-]+ FLOAT", text)


def test_a_switch_that_is_neither_on_nor_off_shows_no_default() -> None:
    text = pcclip("finetune", "--backbone", "vit-b-32", "--captioner", "llama", "--help").stdout
    quick_gelu = text.partition("--no-backbone-quick-gelu")[2].partition("--backbone-device")[0]
    assert "default: o" not in quick_gelu
    assert "[default: on]" in text.partition("--no-captioner-use-mmap")[2].partition("--captioner-use-mlock")[0]


def test_a_recipe_chooses_the_plugins_whose_flags_are_there(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('captioner = "template"\nbackbone = "mini"\nloss = "mse"\n')
    text = pcclip("finetune", "--recipe", recipe, "--help").stdout
    assert "--captioner-n-parallel" not in text
    assert "--loss-temperature" not in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fintune"], "Did you mean 'finetune'"),
        (["finetune", "--out", "x", "--data", "d", "--captioner", "lama"], "Did you mean: llama"),
        (["finetune", "--out", "x", "--data", "d", "--captioner-n-paralel", "3"], "--captioner-n-parallel"),
        (["finetune", "--out", "x", "--data", "d", "--captioner-n-parallel", "0"], "1<=x<=240"),
        (["finetune", "--out", "x"], "--data"),
        (["demo", "--pairs", "many"], "'many' is not a valid integer"),
        (["search", "a.png", "dark", "b.png", "--backbone", "mini", "--weight", "nan"], "'nan' is not a valid number"),
        (["finetune", "--out", "x", "--data", "d", "--learning-rate", "inf"], "'inf' is not a valid number"),
        (["finetune", "--out", "x", "--data", "d", "--pairs", "0"], "x>=1"),
        (["predict", "a.png", "--classes", "a,b"], "--model RUN"),
        (["predict", "a.png", "--classes", "a", "--backbone", "mini"], "at least two"),
        (["predict", "a.png", "--classes", "a,b,a", "--backbone", "mini"], "twice: 'a'"),
        (["predict", "a.png", "--classes", "@nofile.txt", "--backbone", "mini"], "nofile.txt"),
        (
            ["predict", "a.png", "--classes", "a,b", "--backbone", "mini", "--captioner", "template",
             "--differences", "d.csv"],
            "not both",
        ),
        (["embed", "a.png", "--backbone", "mini", "--out", "x.txt"], ".npy"),
        (["plugins", "show", "nonesuch"], "there are"),
        (["plugins", "check", "comparative", "-o", "alfa=0.5"], "unknown option 'alfa'"),
        (["plugins", "check", "contrastive", "-o", "temperature=-1"], "temperature: input should be greater than"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_says_what_is_right(args: list[str], words: str) -> None:
    done = pcclip(*args)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_plugins_as_json_name_kind_distribution_and_status() -> None:
    rows = [json.loads(line) for line in pcclip("plugins", "--json").stdout.splitlines()]
    llama = next(row for row in rows if row["name"] == "llama")
    assert llama["kind"] == "captioner"
    assert llama["distribution"] == "pcclip"
    assert llama["status"] == "ok"
    assert all({"kind", "name", "distribution", "version", "status"} <= set(row) for row in rows)


def test_a_disabled_built_in_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "PCCLIP_DISABLE_PLUGINS": "llama"}
    done = subprocess.run(
        [sys.executable, "-m", "pcclip_cli", "plugins", "--json"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"llama"' not in done.stdout
    assert '"template"' in done.stdout


def picture(path: Path, colour: tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), colour).save(path)
    return path


def test_data_check_names_what_is_set_aside(tmp_path: Path) -> None:
    picture(tmp_path / "ok.png", (200, 0, 0)).with_suffix(".txt").write_text("A red square.")
    picture(tmp_path / "blue\nsquare é.png", (0, 0, 200)).with_suffix(".txt").write_text("A blue square.")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "bad.txt").write_text("Broken.")
    picture(tmp_path / "empty.png", (0, 200, 0)).with_suffix(".txt").write_text("  \n")
    out = tmp_path / "q.csv"
    done = pcclip("data", "check", tmp_path, "--json", "--out", out)
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["examples"] == 2
    with out.open(newline="") as file:
        rows = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert rows == {"bad.png": "not-a-picture", "empty.png": "empty-caption"}


def test_describe_prints_and_keeps_answers(tmp_path: Path, private_cache: Path) -> None:
    store = tmp_path / "deep" / "c.sqlite"
    args = ["describe", "scenes:20", "--captioner", "template", "--pairs", "5", "--out", store, "--format", "json"]
    first, again = pcclip(*args), pcclip(*args)
    assert first.exit_code == 0, first.output
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert len(rows) == 5
    assert all(row["text"].startswith("The first image shows") and row["rejected"] is None for row in rows)
    assert again.stdout == first.stdout


def test_describe_reports_exports_and_imports(tmp_path: Path, private_cache: Path) -> None:
    store, copy, lines = tmp_path / "a.sqlite", tmp_path / "b.sqlite", tmp_path / "a.jsonl"
    done = pcclip(
        "describe", "scenes:20", "--captioner", "template", "--pairs", "5", "-o", store, "--report", "--export", lines,
        "--pair-strategy", "attribute", "--pair-attribute", "colour",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "template (template-" in done.stdout
    assert "100.0%" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(lines.read_text().splitlines()) == 5
    done = pcclip("describe", "-o", copy, "--import", lines, "--report", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["accepted"] == 5
    assert "5 new answers" in done.stderr
    nothing = pcclip("describe", "-o", copy)
    assert nothing.exit_code == 2
    assert "Name DATA" in nothing.stderr


def test_describe_names_what_it_set_aside_and_overwrites_nothing_that_it_reads(
    tmp_path: Path, private_cache: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "b.png")
    data = tmp_path / "data.csv"
    data.write_text("image,caption\na.png,A dog.\nb.png,A cat.\nc.png,A fox.\na.png,A \x07bird\u202e.\n")
    args = ["describe", data, "--captioner", "template", "-o", tmp_path / "s.sqlite"]
    stopped = pcclip(*args)
    assert stopped.exit_code == 1
    assert "--max-bad-fraction" in stopped.stderr
    done = pcclip(*args, "--max-bad-fraction", "0.5", "--pairs", "9")
    assert done.exit_code == 1, done.output
    assert "missing-file" in done.stderr
    assert "accepted" in done.stderr
    assert "only" in done.stderr
    for target in (data, tmp_path / "s.sqlite"):
        refused = pcclip(*args, "--max-bad-fraction", "0.5", "--export", target)
        assert refused.exit_code == 2
        assert "would overwrite" in refused.stderr
    report = pcclip("describe", "-o", tmp_path / "s.sqlite", "--report")
    assert report.exit_code == 0
    assert "\x07" not in report.stdout


def test_a_file_that_is_a_device_stays_one(tmp_path: Path, private_cache: Path) -> None:
    store = tmp_path / "s.sqlite"
    assert pcclip("describe", "scenes:20", "--captioner", "template", "--pairs", "3", "-o", store).exit_code == 0
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        done = pcclip("describe", "-o", store, "--export", pipe)
        assert reader.stdout is not None
        assert len(reader.stdout.read().splitlines()) == 3
    assert done.exit_code == 0, done.output
    assert pipe.is_fifo()
    printed = pcclip("describe", "-o", store, "--export", "-")
    assert printed.exit_code == 0, printed.output
    assert len([json.loads(line) for line in printed.stdout.splitlines()]) == 3


def test_a_model_that_is_not_there_ends_with_1(tmp_path: Path) -> None:
    done = pcclip("rank", "a dog", "x.png", "--model", tmp_path / "gone")
    assert done.exit_code == 1
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.output
