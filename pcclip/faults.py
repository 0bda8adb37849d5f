"""Whose fault it is: what a plugin let out, as an error that names the plugin, its distribution and the place."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcclip.errors import PcclipError, PluginError

_OWNERS: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()


def claim(target: type, who: str) -> None:
    """Remember what messages call the plugin that a class belongs to: ``captioner 'echo' of pcclip-echo 1.2``."""
    _OWNERS[target] = who


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
            "What was finished before is kept: the same command goes on there. Tell the plugin's authors.",
        ) from error


def described(error: BaseException) -> str:
    """Return an exception in one line: its class, its message, and the last line of code that it came through."""
    import traceback  # only where something went wrong

    cause = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {cause}{place}"
