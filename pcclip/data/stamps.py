"""The data set ``stamps``: captioned pictures from Debian's package ``tuxpaint-stamps-default``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from pcclip.data.cache import made_once
from pcclip.data.collecting import Collector
from pcclip.data.dataset import Dataset
from pcclip.data.debian import fetch_package, unpack_package
from pcclip.data.pictures import picture_digest
from pcclip.data.walking import relative_id, walk
from pcclip.errors import DataError
from pcclip.files import cache_folder
from pcclip.progress import NoProgress, Progress

PACKAGE = "tuxpaint-stamps-default"
INSTALLED = Path("/usr/share/tuxpaint/stamps")

LEFT_OUT_FOLDERS = frozenset(("symbols", "flags", "roadsigns"))
"""Folders of signs, not of things: letters, digits, chess, coins and notes (in ``symbols``), flags, road signs."""

MAX_WORDS = 7
_NOT_ONE_PHRASE = re.compile(r"[!?…]|\.\s")

LABELS: dict[str, str | None] = {
    "animals/birds": "bird",
    "animals/fish": "fish",
    "animals/fish/lobster": "shellfish",
    "animals/fish/shrimp": "shellfish",
    "animals/insects": "insect",
    "animals/insects/Brown_slug": None,
    "animals/insects/cartoon/snail": None,
    "animals/insects/cartoon/snail2": None,
    "animals/insects/Woodlouse": None,
    "animals/mammals": "mammal",
    "animals/mammals/bears/cartoon": "toy",
    "animals/mammals/bears/toys": "toy",
    "animals/marsupials": "mammal",
    "animals/shellfish": "shellfish",
    "clothes": "piece of clothing",
    "clothes/button": None,
    "clothes/clothespin_new": None,
    "clothes/clothespin_old": None,
    "food/dessert": "dessert",
    "food/fruit": "fruit",
    "food/nuts": "nut",
    "food/spices": "vegetable",
    "food/vegetables": "vegetable",
    "hobbies/music": "musical instrument",
    "household/arttools": "tool",
    "household/dishes": "piece of kitchenware",
    "household/kettle": "piece of kitchenware",
    "household/rubberduck": "toy",
    "household/tools": "tool",
    "military/fireman240a": "person",
    "military/paratrooper": "person",
    "military/vehicles/bradley": "vehicle",
    "military/vehicles/f22_raptor": "vehicle",
    "military/vehicles/infantry-stryker": "vehicle",
    "people": "person",
    "people/body_parts": None,
    "people/cartoon/snowman": None,
    "people/toys": "toy",
    "plants/eggplant": "vegetable",
    "plants/flowers": "flower",
    "plants/mushrooms": "mushroom",
    "food/vegetables/mushroom": "mushroom",
    "plants/trees": "tree",
    "plants/trees/pinecone": None,
    "plants/trees/holly_leaves": None,
    "seasonal/christmas/Christmas_Tree_photo": "tree",
    "seasonal/christmas/Christmas_pudding": "dessert",
    "seasonal/christmas/santahat": "piece of clothing",
    "seasonal/christmas/tree": "tree",
    "seasonal/easter/bluebird": "bird",
    "seasonal/easter/bunny": "mammal",
    "seasonal/easter/bunny-egg": "mammal",
    "seasonal/easter/bunny-head": "mammal",
    "seasonal/easter/butterfly": "insect",
    "seasonal/easter/chick": "bird",
    "seasonal/easter/chick-hatched": "bird",
    "seasonal/easter/chick-in-egg": "bird",
    "seasonal/easter/daffodil": "flower",
    "seasonal/halloween/bat_left": "mammal",
    "seasonal/halloween/blackcat": "mammal",
    **{f"seasonal/halloween/grave-{letter}": "gravestone" for letter in "abcdefghij"},
    "space/moon": "planet or moon",
    "space/planets": "planet or moon",
    "space/planets/0_sun": None,
    "sports": "piece of sports equipment",
    "sports/trophy_cup": None,
    "town/cartoon": "building",
    "town/cartoon/fountain": None,
    "town/cartoon/shipwreck": None,
    "town/houses": "building",
    "town/houses/cartoon/cave_entrance": None,
    "vehicles": "vehicle",
    "vehicles/7spoke256": None,
    "vehicles/wheel_tractor": None,
    "vehicles/emergency/sedan_police": None,
    "vehicles/locomotive/cartoon/trainSign": None,
}
"""The label by folder, or by the picture's path without its ending; the longest entry that fits counts.

A picture without an entry, or with None, has no label: no single everyday word fits it and ten others.
"""


def read_stamps(folder: Path | None = None, *, all_folders: bool = False, progress: Progress | None = None) -> Dataset:
    """Read the stamps, fetching them on first use (160 MB, no root needed).

    The caption is the first line of ``NAME.txt``, the picture ``NAME.png``, the id its path. By
    default only pictures of things with a caption that is one plain phrase are taken: none in
    :data:`LEFT_OUT_FOLDERS`, and no caption of more than seven words, with an exclamation or
    question mark, or with a second sentence. Stamps that exist only as SVG and mirrored ones
    without a caption are left out, and one of two files with the same content. The notes of the data
    set say how many of each.

    Args:
        folder: a stamps folder, in place of the installed or fetched one.
        all_folders: take every captioned PNG picture.
        progress: where to report to.

    Raises:
        DataError: they are not installed and cannot be fetched.
    """
    folder = stamps_folder(progress) if folder is None else folder
    found = walk(folder)
    files = frozenset(found.files)
    collector = Collector("stamps")
    skipped: Counter[str] = Counter()
    digests: set[bytes] = set()
    pictures = [file for file in found.files if file.suffix == ".png"]
    with (progress or NoProgress()).task("reading stamps", len(pictures), "picture") as task:
        for picture in pictures:
            task.advance()
            id, text = relative_id(picture, folder), picture.with_suffix(".txt")
            if text not in files:
                skipped["have no caption (mirrored copies)"] += 1
                continue
            try:
                caption = (text.read_bytes().decode("utf-8-sig").splitlines() or [""])[0].strip()
            except UnicodeDecodeError as error:
                collector.set_aside(id, "not-utf8", f"{text.name!r}, byte {error.start}: {error.reason}")
                continue
            if not all_folders and LEFT_OUT_FOLDERS.intersection(id.split("/")):
                skipped["show symbols, coins, flags or road signs"] += 1
            elif not all_folders and caption and not is_plain_phrase(caption):
                skipped["have a caption that is not one plain phrase"] += 1
            elif (digest := picture_digest(picture)) in digests:
                skipped["are the same file as another"] += 1
            else:
                digests.add(digest)
                collector.add(id, picture, [caption], label=label_of(id))
    svg = sum(file.suffix == ".svg" and file.with_suffix(".png") not in files for file in found.files)
    if svg:
        skipped["exist only as SVG"] += svg
    if skipped:
        listed = ", ".join(f"{number} that {what}" for what, number in skipped.items())
        collector.notes.append(f"Left out of the stamps: {listed}.")
    return collector.finish()


def is_plain_phrase(caption: str) -> bool:
    """Say whether a caption is one phrase of at most seven words, without exclamation or question."""
    return len(caption.split()) <= MAX_WORDS and not _NOT_ONE_PHRASE.search(caption)


def label_of(id: str) -> str | None:
    """Return the label of a stamp by its id, such as ``bird`` for ``animals/birds/owl.png``, or None."""
    parts = id.removesuffix(".png").split("/")
    for length in range(len(parts), 0, -1):
        key = "/".join(parts[:length])
        if key in LABELS:
            return LABELS[key]
    return None


def stamps_folder(progress: Progress | None = None) -> Path:
    """Return the folder with the stamps: the installed one, or the fetched one in the cache.

    Raises:
        DataError: they are not installed and cannot be fetched.
    """
    if INSTALLED.is_dir():
        return INSTALLED

    def make(scratch: Path) -> Path:
        package = fetch_package(PACKAGE, scratch, progress=progress)
        with (progress or NoProgress()).task("unpacking stamps", 1, "package") as task:
            folder = unpack_stamps(package, scratch)
            task.advance()
        return folder

    try:
        return made_once(cache_folder() / "stamps", make)
    except DataError as error:
        raise DataError(
            f"the data set stamps is not installed and cannot be fetched: {error.message}",
            f"{error.hint + '. Or i' if error.hint else 'I'}nstall the Debian package {PACKAGE}, or use --data scenes, "
            "which needs no network",
        ) from error


def unpack_stamps(package: Path, scratch: Path) -> Path:
    """Unpack the package's file and return the folder with its pictures, captions and copyright, without the sounds.

    Raises:
        DataError: it cannot be unpacked, or holds no stamps.
    """
    content = scratch / "content"
    content.mkdir()
    unpack_package(package, content)
    stamps = content / "usr/share/tuxpaint/stamps"
    if not any(stamps.rglob("*.png")):
        raise DataError(f"{package.name!r} holds no stamps")
    for file in stamps.rglob("*"):
        if file.suffix in (".ogg", ".wav", ".dat"):
            file.unlink()
    copyright = content / "usr/share/doc" / PACKAGE / "copyright"
    if copyright.is_file():
        copyright.rename(stamps / "copyright")
    return stamps
