"""Which folder the picture names in a file are relative to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from pcclip.errors import DataError

_USUAL_FOLDERS = ("images", "image", "imgs", "img", "pictures", "photos")
_TRIED_NAMES = 200


def picture_root(file: Path, names: Iterable[str], images: Path | None, extra: Sequence[str] = ()) -> Path:
    """Return the folder under which most of the named pictures exist.

    Args:
        file: the file that names the pictures.
        names: picture names as written in it; the first 200 are tried.
        images: the folder that the user gave, which is then the only choice.
        extra: further folder names to try beside the file, such as ``val2017``.

    Raises:
        DataError: ``images`` is not a folder.
    """
    if images is not None:
        if not images.is_dir():
            raise DataError(f"the image folder {str(images)!r} is not a folder", "Give --images an existing folder")
        return images
    here = file.parent
    tried = list(islice(names, _TRIED_NAMES))
    roots = [here, *(base / name for base in (here, here.parent) for name in (*extra, *_USUAL_FOLDERS)), here.parent]
    roots += [base / middle / name for base in (here, here.parent) for middle in _USUAL_FOLDERS for name in extra]
    best, most = here, 0
    for root in roots:
        if root.is_dir():
            found = sum(_exists(root, name) or _exists(root, name.replace("\\", "/")) for name in tried)
            if found > most:
                best, most = root, found
    return best


def picture_path(root: Path, name: str) -> Path:
    """Return where a named picture lies; backslashes are separators where only that finds a file."""
    if "\\" in name and not _exists(root, name):
        forward = name.replace("\\", "/")
        if _exists(root, forward):
            return root / forward
    return root / name


def picture_id(name: str) -> str:
    """Return the id of a picture named in a file: the name with forward slashes, without ``./``."""
    forward = name.replace("\\", "/") if "/" not in name else name
    while forward.startswith("./"):
        forward = forward[2:]
    return forward


def _exists(root: Path, name: str) -> bool:
    try:
        return (root / name).is_file()
    except (OSError, ValueError):
        return False
