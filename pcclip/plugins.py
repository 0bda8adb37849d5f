"""Find plugins, name their troubles, and make instances of them.

The façade over pluggy: everything else asks a :class:`Registry`, never pluggy itself. Finding
plugins runs their hooks, which only return specs; :meth:`Registry.create` is the first moment a
plugin's own code is imported.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcclip import hookspecs
from pcclip.errors import MissingDependencyError, PcclipError, PluginError, UsageError
from pcclip.faults import blaming, claim, described
from pcclip.loading import HOOKS, load, trace
from pcclip.specs import API_VERSION, OLDEST_API, RESERVED, PluginSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pcclip.interfaces import Captioner, Embedder, Loss, Strategy

GROUP = hookspecs.PROJECT
KINDS: Mapping[str, type[PluginSpec]] = dict(HOOKS.values())


@dataclass(frozen=True, slots=True)
class Plugin:
    """A spec and where it came from."""

    spec: PluginSpec
    distribution: str
    version: str
    entry_point: str = ""

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def origin(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def outdated(self) -> str | None:
        """Why it cannot be used with this pcclip, or None: it speaks another version of the plugin API."""
        if OLDEST_API <= self.spec.api <= API_VERSION:
            return None
        spoken = str(API_VERSION) if OLDEST_API == API_VERSION else f"{OLDEST_API} to {API_VERSION}"
        return f"speaks plugin API {self.spec.api}, this pcclip speaks {spoken}"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """An entry point that could not be used, and why."""

    entry_point: str
    distribution: str
    version: str
    cause: str

    def __str__(self) -> str:
        return f"plugin {self.entry_point!r} of {self.distribution} {self.version} was left out: {self.cause}"


@dataclass(frozen=True, slots=True)
class SlowPlugin:
    """An entry point that makes every command slower, and by what."""

    entry_point: str
    distribution: str
    version: str
    cause: str

    def __str__(self) -> str:
        return (
            f"plugin {self.entry_point!r} of {self.distribution} {self.version} slows down every command: {self.cause}"
        )


@dataclass(frozen=True, slots=True)
class AgeingPlugin:
    """An entry point written for a version of the plugin API that is served, but not for much longer."""

    entry_point: str
    distribution: str
    version: str
    api: int

    def __str__(self) -> str:
        return (
            f"plugin {self.entry_point!r} of {self.distribution} {self.version} speaks plugin API {self.api}, which "
            f"goes in a later release: upgrade {self.distribution}, or ask its authors for API {API_VERSION}"
        )


class Registry:
    """The plugins that are installed.

    Attributes:
        broken: entry points that could not be used.
        slow: entry points that import heavily before anybody uses them.
        ageing: entry points that speak an older plugin API, which is still served.
        unknown: what was to be left out and is no entry point.

    Args:
        entry_points: what to load; by default the installed entry points of group ``pcclip``.
        disabled: entry-point names to leave out; by default ``PCCLIP_DISABLE_PLUGINS``, comma-separated.
        strict: raise on a broken plugin instead of noting it; by default ``PCCLIP_STRICT_PLUGINS=1``.

    Raises:
        PluginError: ``strict`` and a plugin is broken.
    """

    def __init__(
        self,
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
        *,
        disabled: Iterable[str] | None = None,
        strict: bool | None = None,
    ) -> None:
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=GROUP)
        if disabled is None:
            disabled = os.environ.get("PCCLIP_DISABLE_PLUGINS", "").split(",")
        if strict is None:
            strict = os.environ.get("PCCLIP_STRICT_PLUGINS", "") not in ("", "0")
        self.broken: list[BrokenPlugin] = []
        self.slow: list[SlowPlugin] = []
        self.ageing: list[AgeingPlugin] = []
        self._plugins: dict[str, dict[str, list[Plugin]]] = {kind: {} for kind in KINDS}
        self._strict = strict
        left_out = {name.strip() for name in disabled}
        entry_points = sorted(entry_points, key=lambda e: e.name)
        self.unknown = sorted(left_out - {"", *(entry_point.name for entry_point in entry_points)})
        for entry_point in entry_points:
            if entry_point.name not in left_out:
                self._add(entry_point)

    def _add(self, entry_point: importlib.metadata.EntryPoint) -> None:
        distribution = entry_point.dist.name if entry_point.dist else "unknown distribution"
        version = entry_point.dist.version if entry_point.dist else ""
        try:
            loaded = load(entry_point)
        except (Exception, SystemExit) as error:
            broken = BrokenPlugin(entry_point.name, distribution, version, described(error))
            if self._strict:
                raise PluginError(str(broken), "Unset PCCLIP_STRICT_PLUGINS to go on without it.") from error
            self.broken.append(broken)
            return
        if loaded.cost:
            self.slow.append(SlowPlugin(entry_point.name, distribution, version, loaded.cost))
        old = [spec.api for spec in loaded.specs if OLDEST_API <= spec.api < API_VERSION]
        if old:
            self.ageing.append(AgeingPlugin(entry_point.name, distribution, version, min(old)))
        for plugin in (Plugin(spec, distribution, version, entry_point.name) for spec in loaded.specs):
            for name in plugin.spec.names:
                self._plugins[plugin.kind].setdefault(name, []).append(plugin)

    def plugins(self, kind: str | None = None) -> list[Plugin]:
        """Return every plugin once, of one kind or of all, in the order of kinds and names."""
        kinds = KINDS if kind is None else [kind]
        found: dict[Plugin, None] = {}
        for one in kinds:
            for _, plugins in sorted(self._plugins[one].items()):
                found.update(dict.fromkeys(plugins))
        return list(found)

    def names(self, kind: str) -> list[str]:
        """Return what users can write to choose a plugin of ``kind``."""
        return sorted(self._plugins[kind])

    def conflicts(self, kind: str) -> dict[str, list[Plugin]]:
        """Return the names that more than one plugin of ``kind`` claims."""
        return {name: plugins for name, plugins in self._plugins[kind].items() if len(plugins) > 1}

    def find(self, kind: str, name: str) -> Plugin:
        """Return the plugin that users call ``name``.

        Raises:
            UsageError: no plugin has that name; the message lists the names there are.
            PluginError: two plugins have it; the message names both distributions.
        """
        plugins = self._plugins[kind].get(name, [])
        if len(plugins) == 1:
            return plugins[0]
        if plugins:
            owners = " and ".join(plugin.origin for plugin in plugins)
            out = " or ".join(f"PCCLIP_DISABLE_PLUGINS={plugin.entry_point}" for plugin in plugins)
            raise PluginError(
                f"two plugins are called {name!r} ({kind}): {owners}",
                f"Uninstall one of them, or leave one out: {out}",
            )
        names = self.names(kind)
        close = difflib.get_close_matches(name, names, n=3)
        listed = ", ".join(close) if close else _shorten(names)
        hint = f"Did you mean: {listed}?" if close else f"There are: {listed}"
        if self.broken:
            hint += "\n" + "\n".join(map(str, self.broken))
        raise UsageError(f"no {kind} is called {name!r}", hint)

    def options_model(self, kind: str, name: str) -> type[BaseModel] | None:
        """Return the pydantic model of a plugin's options, or None where it has none.

        Raises:
            PluginError: it cannot be imported, is no pydantic model, has an option whose flag is taken, or the plugin
                speaks another API version.
        """
        plugin = self.find(kind, name)
        if plugin.spec.options is None:
            return None
        model = _resolve(plugin, name, plugin.spec.options)
        if not (isinstance(model, type) and hasattr(model, "model_validate")):
            raise PluginError(f"{_who(plugin, name)}: its options {plugin.spec.options} are no pydantic model")
        found: type[BaseModel] = model
        reserved = sorted(RESERVED.get(kind, frozenset()) & found.model_fields.keys())
        if reserved:
            flag = f"--{kind}-{reserved[0].replace('_', '-')}"
            raise PluginError(
                f"{_who(plugin, name)}: its option {reserved[0]!r} would be the flag {flag}, which pcclip has already",
                "Its authors have to rename it.",
            )
        return found

    def target(self, kind: str, name: str) -> type[Any]:
        """Import and return the class behind a plugin.

        Raises:
            MissingDependencyError: an import failed; the hint is the command that brings it.
            PluginError: the class does not implement the interface of its kind, or speaks another API version.
        """
        from pcclip import interfaces

        plugin = self.find(kind, name)
        interface = {
            "embedder": interfaces.Embedder,
            "captioner": interfaces.Captioner,
            "loss": interfaces.Loss,
            "strategy": interfaces.Strategy,
        }[kind]
        target = _resolve(plugin, name, plugin.spec.target)
        if not (isinstance(target, type) and issubclass(target, interface)):
            raise PluginError(f"{_who(plugin, name)}: {plugin.spec.target} is no {interface.__name__}")
        claim(target, _who(plugin, name))
        return target

    def create(self, kind: str, name: str, options: Mapping[str, Any] | BaseModel | None = None) -> Any:
        """Make an instance of a plugin.

        Args:
            options: an instance of the plugin's options model, or a mapping that is validated into one.

        Raises:
            UsageError: an option is unknown or out of bounds.
            PluginError: the plugin cannot be imported or does not fit its interface.
        """
        plugin = self.find(kind, name)
        parsed = self.parse_options(kind, name, options or {})
        arguments = [] if parsed is None else [parsed]
        target = self.target(kind, name)
        variant = {"variant": name} if plugin.spec.variants else {}
        started = time.perf_counter()
        with blaming(_who(plugin, name), "starting"):
            try:
                made = target(*arguments, **variant)
            except ImportError as error:
                raise _missing(plugin, error) from error
        trace(plugin.entry_point, f"made {kind} {name!r}", started)
        return made

    def parse_options(self, kind: str, name: str, options: Mapping[str, Any] | BaseModel) -> BaseModel | None:
        """Validate ``options`` into the plugin's model, None where it has none. Imports nothing that computes.

        Raises:
            UsageError: there is no such plugin, or an option is unknown or out of bounds.
        """
        from pydantic import ValidationError

        model = self.options_model(kind, name)
        if model is None:
            if options:
                raise UsageError(f"{kind} {name!r} takes no options, got {options}")
            return None
        if isinstance(options, model):
            return options
        values = options if isinstance(options, Mapping) else options.model_dump()
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            raise UsageError(f"{kind} {name!r}: {describe_validation(error)}") from None

    def embedder(self, name: str, options: Mapping[str, Any] | BaseModel | None = None) -> Embedder:
        """Make the embedder ``name``; see :meth:`create`."""
        embedder: Embedder = self.create("embedder", name, options)
        return embedder

    def captioner(self, name: str, options: Mapping[str, Any] | BaseModel | None = None) -> Captioner:
        """Make the captioner ``name``; see :meth:`create`."""
        captioner: Captioner = self.create("captioner", name, options)
        return captioner

    def loss(self, name: str, options: Mapping[str, Any] | BaseModel | None = None) -> Loss:
        """Make the loss ``name``; see :meth:`create`."""
        loss: Loss = self.create("loss", name, options)
        return loss

    def strategy(self, name: str, options: Mapping[str, Any] | BaseModel | None = None) -> Strategy:
        """Make the strategy ``name``; see :meth:`create`."""
        strategy: Strategy = self.create("strategy", name, options)
        return strategy


@functools.cache
def registry() -> Registry:
    """Return the registry of what is installed, found once per process."""
    return Registry()


def describe_validation(error: Any) -> str:
    """Put a pydantic ValidationError in one line: each field, what is wrong with it, and its value."""
    parts = []
    for item in error.errors(include_url=False):
        field = ".".join(map(str, item["loc"])) or "options"
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown option {field!r}")
        else:
            parts.append(f"{field}: {item['msg'].lower()}, got {item['input']!r}")
    return "; ".join(parts)


def _who(plugin: Plugin, name: str) -> str:
    return f"{plugin.kind} {name!r} of {plugin.origin}"


def _resolve(plugin: Plugin, name: str, path: str) -> Any:
    """Import what a spec names."""
    if plugin.outdated:
        newer = plugin.spec.api > API_VERSION
        raise PluginError(
            f"{_who(plugin, name)} {plugin.outdated}", f"Upgrade {'pcclip' if newer else plugin.distribution}."
        )
    module, _, attribute = path.partition(":")
    started = time.perf_counter()
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise _missing(plugin, error) from error
    except AttributeError as error:
        raise PluginError(f"{_who(plugin, name)}: there is no {path}") from error
    except PcclipError:
        raise
    except Exception as error:
        raise PluginError(f"{_who(plugin, name)} cannot start: importing {module} raised {described(error)}") from error
    trace(plugin.entry_point, f"imported {path}", started)
    return found


def _missing(plugin: Plugin, error: ImportError) -> MissingDependencyError:
    hint = f"Install it: {plugin.spec.install_hint}" if plugin.spec.install_hint else None
    return MissingDependencyError(f"{plugin.kind} {plugin.spec.name!r} of {plugin.origin} cannot start: {error}", hint)


def _shorten(names: list[str], limit: int = 20) -> str:
    shown = ", ".join(names[:limit]) or "none"
    return f"{shown} and {len(names) - limit} more (pcclip plugins)" if len(names) > limit else shown
