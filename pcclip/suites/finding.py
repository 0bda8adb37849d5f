"""``find``: a suite by its name, or from its file."""

from __future__ import annotations

import difflib
from pathlib import Path

from pcclip.errors import UsageError
from pcclip.suites.task import Suite

NAMES = {
    "paper": "the data sets of arXiv:2409.09721 with its protocols, from local folders",
    "stamps": "captioned pictures of everyday things, fetched on first use",
    "scenes": "drawn shapes with known attributes, drawn on first use",
}
"""The suites that come with pcclip, with a line on each."""


def find(name_or_path: str | Path, *, download: bool = False) -> Suite:
    """Return a suite; nothing of its data is read yet.

    Args:
        name_or_path: one of :data:`NAMES`, or a TOML file (see :mod:`pcclip.suites.file`). A file
            that is called like a suite is named ``./paper``, or given as a Path.
        download: whether sources may fetch what is missing and can be fetched without a pickle.

    Raises:
        UsageError: there is neither such a suite nor such a file, or the file is no suite.
    """
    if name_or_path == "stamps":
        from pcclip.suites.stamps import StampsSource

        return Suite("stamps", (StampsSource(),))
    if name_or_path == "scenes":
        from pcclip.suites.scenes import ScenesSource

        return Suite("scenes", (ScenesSource(),))
    if name_or_path == "paper":
        from pcclip.suites.published.paper import sources

        return Suite("paper", sources(download=download))
    path = Path(name_or_path)
    if not path.is_file():
        close = difflib.get_close_matches(str(name_or_path), NAMES, n=1)
        raise UsageError(
            f"no suite is called {str(name_or_path)!r}, and no such file exists",
            (f"Did you mean {close[0]}? " if close else "")
            + f"There are: {', '.join(NAMES)}; or name a TOML file with [[task]] tables",
        )
    from pcclip.suites.file import read_suite

    return read_suite(path)
