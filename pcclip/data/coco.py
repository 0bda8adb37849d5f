"""Reads COCO captions: a JSON file with ``images`` and ``annotations``, beside a folder of pictures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pcclip.data.collecting import Collector
from pcclip.data.dataset import Dataset
from pcclip.data.locating import picture_id, picture_path, picture_root
from pcclip.errors import DataError
from pcclip.progress import NoProgress, Progress


def read_coco(
    file: Path, content: Mapping[str, object], images: Path | None, progress: Progress | None = None
) -> Dataset:
    """Read the content of a COCO captions file (``images: id, file_name``; ``annotations: image_id, caption``).

    The pictures lie in ``images``, or in a folder beside the file or one above it: the one named
    by the end of the file's own name (``captions_val2017.json``: ``val2017``), ``images``, and so on.

    Raises:
        DataError: the annotations are not captions, or a list is missing.
    """
    pictures, annotations = content.get("images"), content.get("annotations")
    if not isinstance(pictures, list) or not isinstance(annotations, list):
        raise DataError(
            f"{str(file)!r} is not a COCO captions file: found the keys {', '.join(map(repr, content))}",
            "Expected the lists 'images' and 'annotations'",
        )
    if annotations and not any(isinstance(one, dict) and "caption" in one for one in annotations):
        raise DataError(
            f"{str(file)!r} has {len(annotations)} annotations and no caption among them",
            "Take the captions file of the data set, such as captions_train2017.json",
        )
    collector = Collector(file.name)
    known = {one["id"] for one in pictures if _is_picture(one)}
    captions: dict[int | str, list[str]] = defaultdict(list)
    for number, one in enumerate(annotations):
        where = f"{file.name}:annotation {number}"
        if not isinstance(one, dict) or not isinstance(one.get("caption"), str):
            collector.set_aside(where, "unreadable-row", "no text under 'caption'")
        elif not isinstance(one.get("image_id"), (int, str)) or one["image_id"] not in known:
            collector.set_aside(where, "unknown-image", f"image_id {one.get('image_id')!r} is not among the images")
        else:
            captions[one["image_id"]].append(one["caption"])
    names = [one["file_name"] for one in pictures if _is_picture(one)]
    root = picture_root(file, names, images, extra=_split_folders(file))
    with (progress or NoProgress()).task(f"reading {file.name}", len(pictures), "picture") as task:
        for number, one in enumerate(pictures):
            task.advance()
            if not _is_picture(one):
                collector.set_aside(f"{file.name}:image {number}", "unreadable-row", "no 'id' and 'file_name'")
                continue
            name = one["file_name"]
            if not captions[one["id"]]:
                collector.set_aside(picture_id(name), "missing-caption", f"no annotation for the id {one['id']!r}")
                continue
            collector.add(picture_id(name), picture_path(root, name), captions[one["id"]])
    return collector.finish()


def _is_picture(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), (int, str)) and isinstance(one.get("file_name"), str)


def _split_folders(file: Path) -> list[str]:
    match = re.search(r"(?:train|val|test|minival)\d*", file.stem)
    return [match.group()] if match else []
