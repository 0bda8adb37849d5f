"""The errors that pcclip raises on purpose.

Every one says what was wrong, with which value, and (in ``hint``) what to do next. The command
line prints them without a traceback; anything else that escapes is a bug.
"""

from __future__ import annotations


class PcclipError(Exception):
    """Base of every error pcclip raises on purpose.

    Args:
        message: what is wrong, naming the file, plugin or value.
        hint: the next step for the user, or None.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """Message and hint in one line, for tables and lists of what went wrong."""
        if not self.hint:
            return self.message
        return f"{self.message}{'' if self.message.endswith(('.', '!', '?')) else '.'} {self.hint}"

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(PcclipError):
    """The call itself is wrong: an unknown name, a value out of bounds, options that exclude each other."""

    exit_code = 2


class DataError(PcclipError):
    """What the user brought cannot be read, or too much of it is bad."""


class PluginError(PcclipError):
    """A plugin is broken, duplicated, outdated, or breaks its interface's contract."""


class MissingDependencyError(PluginError):
    """A plugin needs a package or file that is not installed; the hint is the command that brings it."""


class RunError(PcclipError):
    """A run folder cannot be used: other settings, another process at work, a damaged file."""
