"""What every plugin promises, whatever its kind, and what the contracts of the kinds share.

A contract is a class whose methods ``test_*`` are the checks. pytest collects a subclass that names a
plugin; ``pcclip plugins check`` runs the same methods without pytest (:mod:`pcclip.testing.checking`).
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from pcclip.errors import UsageError
from pcclip.loading import HEAVY
from pcclip.plugins import Plugin, describe_validation, registry
from pcclip.specs import API_VERSION

# A fresh interpreter gets the pickled spec and options, as a worker would, and says what it had to import for them.
_WORKER = """
import pickle, sys
path, distribution, entry_point, kind, name, sent = pickle.load(sys.stdin.buffer)
sys.path[:] = path
from importlib.metadata import entry_points
from pcclip.plugins import GROUP, Registry
found = [e for e in entry_points(group=GROUP, name=entry_point) if e.dist and e.dist.name == distribution]
registry = Registry(found[:1], disabled=(), strict=True)
registry.options_model(kind, name)
heavy = sorted({module.partition(".")[0] for module in sys.modules})
spec, options = pickle.loads(sent)
same = registry.find(kind, name).spec == spec
if options is not None:
    same = same and registry.parse_options(kind, name, options) == options
pickle.dump((heavy, same), sys.stdout.buffer)
"""


class ContractError(AssertionError):
    """A plugin does not keep its contract."""


def require(condition: object, message: str) -> None:
    """Fail the check with ``message`` unless ``condition`` is true; unlike ``assert``, with ``python -O`` too."""
    if not condition:
        raise ContractError(message)


def fail(message: str) -> NoReturn:
    """Fail the check."""
    raise ContractError(message)


def require_array(found: object, shape: tuple[int, ...], what: str) -> None:
    """Fail unless ``found`` is a numpy array of ``shape`` and of finite numbers."""
    if not isinstance(found, np.ndarray):
        fail(f"{what}: a {type(found).__name__}, not a numpy array")
    require(found.shape == shape, f"{what}: shape {found.shape}, not {shape}")
    require(np.issubdtype(found.dtype, np.floating), f"{what}: dtype {found.dtype}, not a floating one")
    require(np.isfinite(found).all(), f"{what}: {int((~np.isfinite(found)).sum())} of {found.size} are not finite")


def require_equal(found: Any, expected: Any, what: str, tolerance: float = 0.0) -> None:
    """Fail unless two arrays of one shape agree within ``tolerance``."""
    found, expected = np.asarray(found), np.asarray(expected)
    require(found.shape == expected.shape, f"{what}: shape {found.shape} against {expected.shape}")
    apart = float(np.abs(found - expected).max(initial=0.0))
    require(apart <= tolerance, f"{what}: they differ by up to {apart:.3g}, more than {tolerance:g}")


class Contract:
    """What every plugin promises. A subclass of one of the four kinds names the plugin and inherits the rest.

    Attributes:
        name: what users write to choose the plugin.
        options: its options, where the defaults do not do for a test.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def plugin(cls) -> Plugin:
        """Return the declaration."""
        require(cls.name, f"{cls.__name__} names no plugin: name = 'my-{cls.kind}'")
        return registry().find(cls.kind, cls.name)

    @classmethod
    def make(cls) -> Any:
        """Make an instance of the plugin, with the seeds that a run would set."""
        torch.manual_seed(0)
        return registry().create(cls.kind, cls.name, cls.options)

    @classmethod
    def shared(cls) -> Any:
        """Return an instance that no check changes, made once a class."""
        if "_shared" not in cls.__dict__:
            cls._shared = cls.make()
        return cls._shared

    _shared: ClassVar[Any]

    @classmethod
    def teardown_class(cls) -> None:
        """Let go of the shared instance; pytest and ``pcclip plugins check`` call it after the last check."""
        if "_shared" in cls.__dict__:
            shared = cls._shared
            del cls._shared
            getattr(shared, "close", lambda: None)()

    def test_it_is_declared_for_this_version_of_the_plugin_api(self) -> None:
        """The plugin is found under its name, and speaks this version of the plugin API."""
        plugin = self.plugin()
        require(plugin.spec.api == API_VERSION, f"it speaks plugin API {plugin.spec.api}, not {API_VERSION}")
        require(plugin.spec.summary.strip(), "its spec has no summary, the line that listings show")

    def test_hooks_and_options_import_nothing_heavy(self) -> None:
        """Hooks and options import no library that computes, and a worker unpickles spec and options."""
        plugin = self.plugin()
        options = registry().parse_options(self.kind, self.name, self.options)
        sent = pickle.dumps((plugin.spec, options))
        job = (sys.path, plugin.distribution, plugin.entry_point, self.kind, self.name, sent)
        done = subprocess.run(
            [sys.executable, "-c", _WORKER], input=pickle.dumps(job), capture_output=True, check=False
        )
        require(not done.returncode, f"a fresh interpreter cannot use it: {_last_line(done.stderr)}")
        imported, same = pickle.loads(done.stdout)
        heavy = sorted(HEAVY & set(imported))
        require(not heavy, f"hooks or options import {', '.join(heavy)}; import them where they are used")
        require(same, "spec or options are others after they were pickled to another process")

    def test_options_are_valid_and_described(self) -> None:
        """The options are valid, frozen and described, and unknown ones are refused."""
        model = registry().options_model(self.kind, self.name)
        options = registry().parse_options(self.kind, self.name, self.options)
        if options is not None:
            self._require_valid(options)
        try:
            registry().parse_options(self.kind, self.name, {**self.options, "no_such_option": 1})
        except UsageError:
            pass
        else:
            fail('an unknown option is accepted; give the model extra="forbid"')
        if model is not None:
            require(model.model_config.get("frozen"), f"{model.__name__} is not frozen; give it frozen=True")
            bare = [name for name, field in model.model_fields.items() if not field.description]
            require(not bare, f"options without a description, which is their help text: {', '.join(bare)}")

    @staticmethod
    def _require_valid(options: BaseModel) -> None:
        """Fail unless defaults keep the bounds of their fields too; pydantic does not look at them by itself."""
        try:
            type(options).model_validate(options.model_dump())
        except ValidationError as error:
            fail(f"a default is not allowed by its own field: {describe_validation(error)}")

    def test_the_target_implements_its_interface(self) -> None:
        """The class behind the plugin is there, implements its interface, and can be made."""
        registry().target(self.kind, self.name)
        self.shared()


def _last_line(raw: bytes) -> str:
    lines = raw.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
