"""``read``: chooses the reader by what the user names as data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from pcclip.data.coco import read_coco
from pcclip.data.dataset import Dataset
from pcclip.data.folders import read_folder
from pcclip.data.tables import Columns, read_csv, read_json_list, read_jsonl
from pcclip.errors import DataError, UsageError
from pcclip.progress import Progress

BUILTIN_NAMES = ("stamps", "scenes")
"""The data sets that come with pcclip."""

_BUILTIN = re.compile(r"(stamps|scenes)(?::(.*))?", re.DOTALL)
_KINDS = "a COCO captions JSON, a CSV, TSV or JSONL file, a folder of pictures, or stamps or scenes"


def read(
    source: str | Path,
    *,
    images: Path | None = None,
    caption_column: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read captioned pictures; pictures are looked at, not decoded.

    Args:
        source: ``stamps``, ``stamps:all``, ``scenes``, ``scenes:200`` (so many), a COCO captions
            JSON, a CSV, TSV, JSON or JSONL file, or a folder (see ``folders.read_folder``). A
            folder that is called like a built-in is named ``./stamps``, or given as a Path.
        images: the folder that picture names in a file are relative to; found beside it otherwise.
        caption_column, image_column, label_column: names of columns of a table; guessed otherwise.
        limit: keep at most so many examples, spread evenly over the data.
        progress: where to report to.

    Raises:
        DataError: the source does not exist, cannot be told or read, or holds no usable example.
        UsageError: ``limit`` is less than 1.
    """
    columns = Columns(image_column, caption_column, label_column)
    dataset = read_all(source, images=images, columns=columns, progress=progress)
    return spread(dataset, limit).require(1.0)


def read_all(
    source: str | Path, *, images: Path | None = None, columns: Columns | None = None, progress: Progress | None = None
) -> Dataset:
    """Read like :func:`read`, all of it, and return it also where no example is usable."""
    columns = columns or Columns()
    builtin = _BUILTIN.fullmatch(source) if isinstance(source, str) else None
    if builtin:
        return _read_builtin(builtin[1], builtin[2], progress)
    path = _expanded(source)
    images = None if images is None else _expanded(images)
    try:
        if path.is_dir():
            return read_folder(path, lambda file: _read_file(file, columns, images, progress), progress)
        if path.is_file():
            return _read_file(path, columns, images, progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read {str(path)!r}: {reason}", f"--data is {_KINDS}") from error
    raise DataError(f"there is no data at {str(path)!r}", f"--data is {_KINDS}")


def spread(dataset: Dataset, limit: int | None) -> Dataset:
    """Return at most ``limit`` examples of a data set, evenly spread over it and in its order."""
    if limit is None:
        return dataset
    if limit < 1:
        raise UsageError(f"limit is at least 1, not {limit}")
    if limit >= dataset.n:
        return dataset
    return replace(dataset, examples=tuple(dataset.examples[i * dataset.n // limit] for i in range(limit)))


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # "~name" of a user that is not there is a file name like any other
        return Path(path)


def _read_builtin(name: str, option: str | None, progress: Progress | None) -> Dataset:
    if name == "stamps":
        from pcclip.data.stamps import read_stamps

        if option not in (None, "all"):
            raise UsageError(f"there is no data 'stamps:{option}'", "Choose stamps or stamps:all")
        return read_stamps(all_folders=option == "all", progress=progress)
    from pcclip.data.scenes import DEFAULT_NUMBER, read_scenes

    if option is not None and not (re.fullmatch(r"\d{1,6}", option, re.ASCII) and int(option)):
        raise UsageError(f"there is no data 'scenes:{option}'", "Say how many pictures to draw: scenes:200")
    return read_scenes(int(option or DEFAULT_NUMBER), progress=progress)


def _read_file(file: Path, columns: Columns, images: Path | None, progress: Progress | None) -> Dataset:
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return read_csv(file, columns, images, progress)
    if suffix in (".jsonl", ".ndjson"):
        return read_jsonl(file, columns, images, progress)
    if suffix == ".json":
        try:
            content = json.loads(file.read_bytes().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise DataError(f"{str(file)!r} is not UTF-8: {error.reason} at byte {error.start}") from error
        except RecursionError as error:
            raise DataError(f"{str(file)!r} is nested too deeply to be a table or COCO captions") from error
        except json.JSONDecodeError as error:
            raise DataError(
                f"{str(file)!r} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
                "One object a line is JSON lines: name such a file .jsonl",
            ) from error
        if isinstance(content, list):
            return read_json_list(file, content, columns, images, progress)
        if isinstance(content, dict):
            return read_coco(file, content, images, progress)
        raise DataError(f"{str(file)!r} is neither a JSON object nor a list", f"--data is {_KINDS}")
    ending = f"the ending {suffix!r}" if suffix else "no ending"
    raise DataError(f"cannot tell what {str(file)!r} is: it has {ending}", f"--data is {_KINDS}")
