"""EuroSAT: ten kinds of land seen by a satellite (Helber et al. 2019), in the version with three colours."""

from __future__ import annotations

from pathlib import Path

from pcclip.progress import Progress
from pcclip.suites.published.downloads import fetch_eurosat
from pcclip.suites.published.layout import (
    SUPPORT_A_CLASS,
    Layout,
    Listed,
    gather,
    notes_on_classes,
    pictures_below,
    require_pictures,
)
from pcclip.suites.splitting import split_by_name
from pcclip.suites.task import Task
from pcclip.types import Quarantined

WORDS = {
    "AnnualCrop": "annual crop land",
    "Forest": "forest",
    "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway or road",
    "Industrial": "industrial area",
    "Pasture": "pasture land",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential area",
    "River": "river",
    "SeaLake": "sea or lake",
}
"""Words for the folders' names."""

LAYOUT = Layout(
    "EuroSAT",
    ("eurosat/2750", "EuroSAT/2750", "EuroSAT_RGB", "2750", "EuroSAT", "eurosat"),
    tuple(WORDS),
    "EuroSAT_RGB.zip (94 MB) from https://zenodo.org/records/7711810",
    fetch_eurosat,
)


def read_eurosat(folder: Path, progress: Progress | None = None) -> Task:
    """Read EuroSAT. It has no split: 32 pictures of each class, drawn by name, are beside the test.

    Raises:
        DataError: there is no picture.
    """
    examples, aside = gather(
        Listed(f"{name}/{file.name}", file, name) for name in WORDS for file in pictures_below(folder / name)
    )
    aside += [
        Quarantined(other.name, "read", "unknown-class", "a folder that is no class of EuroSAT")
        for other in sorted(folder.iterdir())
        if other.is_dir() and other.name not in WORDS and not other.name.startswith(".")
    ]
    require_pictures("EuroSAT", folder, examples, aside)
    test, support = split_by_name(examples, SUPPORT_A_CLASS)
    return Task(
        "eurosat",
        ("zero-shot", "strategies", "probe"),
        test,
        support,
        tuple(aside),
        class_names=WORDS,
        source=str(folder),
        notes=notes_on_classes(WORDS, examples),
    )
