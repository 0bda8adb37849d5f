"""Whose fault it is: what a plugin let out, as an error that names the plugin, its distribution and the place."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcclip.errors import PcclipError, PluginError

_OWNERS: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
_PACKAGES: dict[str, str] = {}  # top-level package of a plugin in use → what messages call the plugin
_KEPT = "What was finished before is kept: the same command goes on there. Tell the plugin's authors."


def claim(target: type, who: str) -> None:
    """Remember what messages call the plugin that a class belongs to: ``captioner 'echo' of pcclip-echo 1.2``."""
    _OWNERS[target] = who
    if not target.__module__.startswith("pcclip."):  # a target may be a class of the core's
        _PACKAGES[_package(target.__module__)] = who


def who(kind: str, made: object) -> str:
    """Return what messages call a plugin's object; of one that no registry made, its kind and class."""
    return _OWNERS.get(type(made)) or f"{kind} {type(made).__name__}"


@contextmanager
def blaming(who: str, doing: str) -> Iterator[None]:
    """Turn whatever the block raises into a PluginError that says who failed in what, and where in its code.

    Errors that are raised on purpose pass as they are.

    Args:
        doing: what was asked of it: ``describing 8 pairs``.
    """
    try:
        yield
    except PcclipError:
        raise
    except Exception as error:
        raise PluginError(
            f"{who} failed in {doing}: {described(error)}",
            _KEPT,
        ) from error


def blame(error: Exception) -> PluginError | None:
    """Return the error that names the plugin through whose code an exception came, or None where it came through none.

    The net below :mod:`pcclip.boundary`: a property or ``close`` may raise wherever it is asked for.
    """
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        who = _PACKAGES.get(_package(frame.f_globals.get("__name__", "")))
        if who is not None:
            return PluginError(f"{who} failed in {frame.f_code.co_name}: {described(error)}", _KEPT)
        trace = trace.tb_next
    return None


def _package(module: str) -> str:
    return module.partition(".")[0]


def described(error: BaseException) -> str:
    """Return an exception in one line: its class, its message, and the last line of code that it came through."""
    import traceback  # only where something went wrong

    cause = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {cause}{place}"
