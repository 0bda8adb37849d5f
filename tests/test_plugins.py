"""Finding and loading plugins, with real packages on the path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from pcclip.errors import MissingDependencyError, PluginError, UsageError
from pcclip.plugins import GROUP, Registry
from pcclip.specs import PluginSpec, StrategySpec

HOOKS = """
from pcclip import hookimpl
from pcclip.specs import StrategySpec

@hookimpl
def pcclip_strategies():
    yield StrategySpec(name={name!r}, target={target!r}, options={options!r}, install_hint={hint!r}, api={api})
"""
STRATEGY = """
from pcclip.interfaces import Strategy

class Mine(Strategy):
    def __init__(self, options=None): self.options = options
    def fit(self, embedder, knowledge): raise AssertionError

class NoStrategy: pass
"""
OPTIONS = """
from pydantic import BaseModel, ConfigDict, Field

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    depth: int = Field(3, ge=1, le=9, description="how deep")
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lay a distribution out as pip does, in a folder on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    before = set(sys.modules)

    def lay_out(package: str, hooks: str | None = None, **spec: object) -> Path:
        module = package.replace("-", "_")
        values = {"name": package, "target": f"{module}_impl:Mine", "options": None, "hint": "", "api": 1, **spec}
        (site / f"{module}_hooks.py").write_text(hooks if hooks is not None else HOOKS.format(**values))
        (site / f"{module}_impl.py").write_text(STRATEGY)
        (site / f"{module}_options.py").write_text(OPTIONS)
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{package} = {module}_hooks\n")
        return site

    yield lay_out
    for name in set(sys.modules) - before:
        if name.endswith(("_hooks", "_impl", "_options")):
            del sys.modules[name]


def found(site: Path, **settings: object) -> Registry:
    entry_points = [e for d in distributions(path=[str(site)]) for e in d.entry_points if e.group == GROUP]
    return Registry(entry_points, **settings)  # type: ignore[arg-type]


def test_a_strangers_plugin_is_found_and_made_with_options(install: Install) -> None:
    site = install("near", options="near_options:Options")
    registry = found(site)
    plugin = registry.find("strategy", "near")
    assert plugin.origin == "dist-near 1.2"
    assert registry.create("strategy", "near").options.depth == 3
    assert registry.create("strategy", "near", {"depth": 5}).options.depth == 5
    assert "near_impl" in sys.modules


def test_options_are_validated_with_names_and_values(install: Install) -> None:
    registry = found(install("near2", options="near2_options:Options"))
    with pytest.raises(UsageError, match=r"depth.*less than or equal to 9.*10"):
        registry.create("strategy", "near2", {"depth": 10})
    with pytest.raises(UsageError, match="unknown option 'dept'"):
        registry.create("strategy", "near2", {"dept": 1})


def test_a_plugin_without_options_takes_none(install: Install) -> None:
    with pytest.raises(UsageError, match="takes no options"):
        found(install("bare")).create("strategy", "bare", {"x": 1})


def test_a_broken_plugin_is_noted_and_the_others_go_on(install: Install) -> None:
    install("broken", hooks="import a_module_that_is_not_there")
    site = install("whole")
    registry = found(site)
    assert registry.names("strategy") == ["whole"]
    (broken,) = registry.broken
    assert "dist-broken 1.2" in str(broken)
    assert "a_module_that_is_not_there" in str(broken)
    with pytest.raises(UsageError, match="a_module_that_is_not_there"):
        registry.find("strategy", "broken")
    with pytest.raises(PluginError, match="dist-broken"):
        found(site, strict=True)


@pytest.mark.parametrize(
    ("hooks", "cause"),
    [
        ("from pcclip import hookimpl\n@hookimpl\ndef pcclip_strategies():\n    return [42]", "42"),
        ("from pcclip import hookimpl\n@hookimpl\ndef pcclip_strategies():\n    raise RuntimeError('boom')", "boom"),
        ("from pcclip import hookimpl\n@hookimpl\ndef pcclip_strategy():\n    return []", "pcclip_strategy"),
        ("", "declares nothing"),
    ],
)
def test_wrong_hooks_are_named(install: Install, hooks: str, cause: str) -> None:
    (broken,) = found(install("odd", hooks=hooks)).broken
    assert cause in broken.cause


def test_two_plugins_with_one_name_name_both_distributions(install: Install) -> None:
    install("first", name="twin")
    registry = found(install("second", name="twin"))
    with pytest.raises(PluginError, match=r"dist-first 1\.2 and dist-second 1\.2"):
        registry.find("strategy", "twin")
    assert set(registry.conflicts("strategy")) == {"twin"}
    with pytest.raises(PluginError, match="PCCLIP_DISABLE_PLUGINS=first or PCCLIP_DISABLE_PLUGINS=second"):
        registry.find("strategy", "twin")


def test_disabled_plugins_are_left_out(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("kept")
    site = install("dropped")
    monkeypatch.setenv("PCCLIP_DISABLE_PLUGINS", "dropped, other")
    assert found(site).names("strategy") == ["kept"]
    assert found(site).unknown == ["other"]


def test_another_api_version_is_named(install: Install) -> None:
    registry = found(install("future", api=2))
    with pytest.raises(PluginError, match=r"dist-future.*API 2.*speaks 1"):
        registry.create("strategy", "future")


def test_an_older_version_is_served_and_named(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the policy of docs/plugin-api.md promises of the release that brings version 3 and still serves 2."""
    monkeypatch.setattr("pcclip.plugins.API_VERSION", 3)
    monkeypatch.setattr("pcclip.plugins.OLDEST_API", 2)
    install("newest", api=3)
    install("older", api=2)
    registry = found(install("oldest", api=1))
    assert type(registry.create("strategy", "newest")).__name__ == "Mine"
    assert type(registry.create("strategy", "older")).__name__ == "Mine"
    assert registry.find("strategy", "older").outdated is None
    (ageing,) = map(str, registry.ageing)
    assert "dist-older 1.2 speaks plugin API 2, which goes in a later release: upgrade dist-older" in ageing
    assert not registry.broken
    with pytest.raises(PluginError, match=r"dist-oldest.*API 1.*speaks 2 to 3\nUpgrade dist-oldest"):
        registry.create("strategy", "oldest")


@pytest.mark.parametrize("api", [0, -1, "2", 1.0, True, None])
def test_a_version_that_is_none_is_named(install: Install, api: object) -> None:
    (broken,) = found(install("odd", api=repr(api))).broken
    assert "is no version of the plugin API" in broken.cause


def test_an_option_whose_flag_is_taken_is_named(install: Install) -> None:
    """``--loss-learning-rate`` is a flag of finetune: a loss with such an option would never get its value."""
    hooks = HOOKS.replace("StrategySpec", "LossSpec").replace("pcclip_strategies", "pcclip_losses")
    values = {"name": "steep", "target": "steep_impl:Mine", "options": "steep_options:Options", "hint": "", "api": 1}
    site = install("steep", hooks=hooks.format(**values))
    options = site / "steep_options.py"
    options.write_text(options.read_text().replace("depth", "learning_rate"))
    with pytest.raises(PluginError, match=r"dist-steep 1\.2: its option 'learning_rate' .* --loss-learning-rate"):
        found(site).options_model("loss", "steep")


def test_a_target_that_is_no_strategy_is_named(install: Install) -> None:
    registry = found(install("wrong", target="wrong_impl:NoStrategy"))
    with pytest.raises(PluginError, match="NoStrategy is no Strategy"):
        registry.create("strategy", "wrong")


def test_a_missing_package_prints_how_to_install_it(install: Install) -> None:
    registry = found(install("needy", target="not_installed_at_all:Mine", hint="pip install needy[all]"))
    with pytest.raises(MissingDependencyError) as caught:
        registry.create("strategy", "needy")
    assert caught.value.hint == "Install it: pip install needy[all]"


def test_an_unknown_name_suggests_close_ones(install: Install) -> None:
    registry = found(install("nearest"))
    with pytest.raises(UsageError, match="Did you mean: nearest"):
        registry.find("strategy", "neerest")
    with pytest.raises(UsageError, match="There are: nearest"):
        registry.find("strategy", "zzz")


def test_specs_refuse_names_and_paths_that_cannot_work() -> None:
    with pytest.raises(ValueError, match="lower-case"):
        StrategySpec(name="Upper", target="a:B")
    with pytest.raises(ValueError, match=r"package\.module:Name"):
        StrategySpec(name="a", target="a.b")
    assert PluginSpec(name="a", target="a:B", variants=("x", "y")).names == ("x", "y")


def test_all_built_ins_come_through_the_entry_points_of_strangers() -> None:
    registry = Registry()
    assert not registry.broken
    assert {p.spec.name for p in registry.plugins()} >= {
        "openclip", "mini", "llama", "chat", "template", "contrastive", "mse", "zero-shot", "comparative",
    }  # fmt: skip
    assert "vit-b-32" in registry.names("embedder")
    for plugin in registry.plugins():
        registry.target(plugin.kind, plugin.spec.names[0])


def test_finding_plugins_imports_nothing_heavy() -> None:
    code = (
        "import sys, pcclip; r = pcclip.registry(); [p.spec for p in r.plugins()]; "
        "r.options_model('captioner', 'llama'); r.options_model('embedder', 'vit-b-32');"
        "heavy = {'torch', 'numpy', 'sklearn', 'open_clip', 'llama_cpp', 'PIL', 'transformers'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_offers_functions_even_after_their_modules_were_imported() -> None:
    code = (
        "import pcclip, importlib, pkgutil\n"
        "for m in pkgutil.iter_modules(pcclip.__path__): importlib.import_module('pcclip.' + m.name)\n"
        "for name in pcclip.__all__:\n"
        "    value = getattr(pcclip, name)\n"
        "    assert type(value).__name__ != 'module', name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
