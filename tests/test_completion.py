"""Shell completion, asked for as shells do: in a real bash and fish where there is one, else by click's protocol."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcclip_cli.main import COMMANDS, main

SCRIPTS = sysconfig.get_path("scripts")
ENVIRONMENT = {**os.environ, "PATH": os.pathsep.join([SCRIPTS, os.environ["PATH"]])}

# in bash "=" ends a word: what stands behind it is completed alone
CASES = [
    (["fin"], {"finetune"}),
    (["finetune", "--captioner", "ll"], {"llama"}),
    (["finetune", "--captioner", "=", "ll"], {"llama"}),
    (["finetune", "--backbone", "vit-b-32-q"], {"vit-b-32-quickgelu"}),
    (["predict", "--strategy", "comp"], {"comparative"}),
    (["predict", "--strategy", "comparative", "--strategy-a"], {"--strategy-alpha"}),
    (["finetune", "--captioner", "=", "llama", "--captioner-n-pa"], {"--captioner-n-parallel"}),
    (["finetune", "--loss", "contrastive+re"], {"contrastive+retain"}),
    (["finetune", "--loss", "contrastive+0.5*r"], {"contrastive+0.5*retain"}),
    (["finetune", "--loss", "contrastive+c"], set()),
    (["finetune", "--loss", "mse+retain", "--loss-retain-t"], {"--loss-retain-target", "--loss-retain-temperature"}),
    (["finetune", "--pair-strategy", ""], {"random", "similar", "by-label", "attribute"}),
    (["finetune", "--data", "sc"], {"scenes"}),
    (["finetune", "--train", "l"], {"last-1", "lora"}),
    (["evaluate", "--measures", "z"], {"zero-shot"}),
    (["evaluate", "--suite", "pa"], {"paper"}),
    (["plugins", "show", "templ"], {"template"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
]  # fmt: skip


def ask(shell: str, words: list[str], current: str) -> list[str]:
    """Return the lines that the program answers a shell's script with."""
    asked = {"_PCCLIP_COMPLETE": f"{shell}_complete", "COMP_WORDS": shlex.join(words), "COMP_CWORD": current}
    done = subprocess.run(
        [sys.executable, "-m", "pcclip_cli"], env=ENVIRONMENT | asked, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def in_bash(tmp_path_factory: pytest.TempPathFactory) -> list[set[str]]:
    """What bash's completion function leaves in COMPREPLY for each case; one bash asks for all."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    lines = ['eval "$(pcclip completion bash)"', "complete -p pcclip"]
    for words, _ in CASES:
        lines.append(f"COMP_WORDS=({shlex.join(['pcclip', *words])}); COMP_CWORD={len(words)}; COMPREPLY=()")
        lines.append('_pcclip_completion pcclip; printf "%s\\n" "${COMPREPLY[*]}"')
    script = tmp_path_factory.mktemp("bash") / "ask.sh"
    script.write_text("\n".join(lines))
    done = subprocess.run([bash, "--norc", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    registered, *answers = done.stdout.splitlines()
    assert "-F _pcclip_completion pcclip" in registered
    assert len(answers) == len(CASES)
    return [set(answer.split()) for answer in answers]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[" ".join(words) for words, _ in CASES])
def test_bash_offers_what_can_follow(in_bash: list[set[str]], case: int) -> None:
    assert in_bash[case] == CASES[case][1]


def test_flags_of_plugins_that_are_not_chosen_are_not_offered() -> None:
    assert ask("bash", ["pcclip", "finetune", "--captioner", "template", "--captioner-n"], "4") == []


def test_paths_are_left_to_the_shell() -> None:
    for words in (["finetune", "--out", "ru"], ["rank", "large", "pho"], ["finetune", "--captioner-prompt", "p"]):
        (answer,) = ask("bash", ["pcclip", *words], str(len(words)))
        assert answer.startswith("file,")


@pytest.mark.parametrize(
    "words",
    [
        ["nonesuch", "x"],
        ["finetune", "--captioner", "nonesuch", "--captioner-"],
        ["finetune", "--recipe", "nonesuch.toml", "--captioner-n-p"],
        ["finetune", "--loss", "contrastive+", "--loss-"],
        ["predict", "--strategy"],
    ],
    ids=" ".join,
)
def test_mistakes_on_the_line_are_no_errors_yet(words: list[str]) -> None:
    ask("bash", ["pcclip", *words], str(len(words)))


def test_a_plugin_that_cannot_be_imported_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options are not offered; those of the command are."""
    (tmp_path / "odd_hooks.py").write_text(
        "from pcclip import hookimpl\nfrom pcclip.specs import StrategySpec\n@hookimpl\ndef pcclip_strategies():\n"
        "    yield StrategySpec(name='odd', target='odd:Odd', options='odd_options:Options')\n"
    )
    (tmp_path / "odd_options.py").write_text("1 / 0\n")
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pcclip]\nodd = odd_hooks\n")
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert ask("bash", ["pcclip", "predict", "--strategy", "od"], "3") == ["plain,odd"]
    assert ask("bash", ["pcclip", "predict", "--strategy", "odd", "--cl"], "4") == ["plain,--classes"]


def test_zsh_shows_what_a_plugin_is() -> None:
    lines = ask("zsh", ["pcclip", "finetune", "--captioner", "tem"], "3")
    assert lines[:2] == ["plain", "template"]
    assert "no language model" in lines[2]


def test_fish_is_answered_by_click_s_protocol() -> None:
    (line,) = ask("fish", ["pcclip", "finetune", "--captioner", "tem"], "tem")
    value, _, description = line.partition("\t")
    assert value == "plain,template"
    assert "no language model" in description


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_itself_completes(tmp_path: Path) -> None:
    line = "pcclip finetune --captioner llama --captioner-n-pa"
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"pcclip completion fish | source; complete -C '{line}'"],
        env={**ENVIRONMENT, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\t")[0].strip() == "--captioner-n-parallel"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_takes_the_script(tmp_path: Path) -> None:
    script = 'autoload -U compinit; compinit -u; eval "$(pcclip completion zsh)"; print ${_comps[pcclip]}'
    done = subprocess.run(
        ["zsh", "-f", "-c", script],
        env={**ENVIRONMENT, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "_pcclip_completion"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_how_to_install_it(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_PCCLIP_COMPLETE={shell}_complete" in done.stdout
    assert "# To install: " in done.stdout.splitlines()[-1 if shell != "bash" else -2]


def test_every_command_is_offered_without_being_imported() -> None:
    code = (
        "import sys\nfrom pcclip_cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
        "loaded = [m for m in sys.modules if m.startswith('pcclip_cli.') and m.partition('.')[2] in "
        f"{list(COMMANDS)!r}]\nsys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**ENVIRONMENT, "_PCCLIP_COMPLETE": "bash_complete", "COMP_WORDS": "pcclip ", "COMP_CWORD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"plain,{name}" for name in COMMANDS]
