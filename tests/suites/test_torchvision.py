"""torchvision's own classes read the same miniatures, and its downloads are asked for the right archives."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from miniatures import FINE
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, SUN397, EuroSAT, Flowers102, Food101

from pcclip import suites
from pcclip.errors import DataError
from pcclip.suites.published import flowers as flowers_module
from pcclip.suites.task import Task


@pytest.fixture(autouse=True)
def _cache(private_cache: Path) -> None: ...


def load(name: str, root: Path | None, *, download: bool = False) -> Task:
    source = next(source for source in suites.find("paper", download=download).sources if source.name == name)
    return source.load(root)


def read_both_sides(task: Task) -> Counter[tuple[Path, str]]:
    return Counter((e.image.resolve(), str(e.label)) for e in (*task.examples, *task.support))


def test_eurosat(eurosat: Path) -> None:
    root = eurosat.parent.rename(eurosat.parent.with_name("eurosat")).parent
    theirs = EuroSAT(root)
    files = Counter((Path(file).resolve(), theirs.classes[label]) for file, label in theirs.samples)
    assert read_both_sides(load("eurosat", root)) == files


def test_food(food: Path) -> None:
    for split in ("train", "test"):
        found: dict[str, list[str]] = {}
        for line in (food / "meta" / f"{split}.txt").read_text().split():
            found.setdefault(line.partition("/")[0], []).append(line)
        (food / "meta" / f"{split}.json").write_text(json.dumps(found))
    ours = load("food-101", food.parent)
    for split, side in (("test", ours.examples), ("train", ours.support)):
        theirs = Food101(food.parent, split=split)
        assert theirs.classes == sorted(ours.class_names)
        assert [(e.image, e.label) for e in side] == [
            (file, theirs.classes[label]) for file, label in zip(theirs._image_files, theirs._labels, strict=True)
        ]


def test_flowers(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.flowers102, "check_integrity", lambda *_: True)
    sets = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[10, 5, 6, 7, 8, 9]]}
    savemat(flowers / "setid.mat", {name: np.array(ids, np.uint16) for name, ids in sets.items()})
    ours = load("flowers-102", flowers.parent)

    def plain(names: Any) -> list[str]:
        return [name.replace("-", " ").replace(" and ", " ").rstrip("?") for name in names]

    if hasattr(Flowers102, "classes"):  # not yet in torchvision 0.21
        assert plain(Flowers102.classes) == plain(flowers_module.NAMES)  # two names are spelled otherwise
    for side, splits in ((ours.examples, ["test"]), (ours.support, ["train", "val"])):
        theirs = [Flowers102(flowers.parent, split=split) for split in splits]
        expected = [
            (file, flowers_module.NAMES[label])
            for one in theirs
            for file, label in zip(one._image_files, one._labels, strict=True)
        ]
        assert [(e.image, e.label) for e in side] == expected


def test_sun(sun: Path) -> None:
    theirs = SUN397(sun.parent)
    files = Counter(
        (file.resolve(), theirs.classes[label]) for file, label in zip(theirs._image_files, theirs._labels, strict=True)
    )
    ours = load("sun397", sun.parent)
    assert Counter({(file, label[3:]): n for (file, label), n in read_both_sides(ours).items()}) == files


@pytest.mark.parametrize("name", ["cifar-10", "cifar-100"])
def test_cifar(name: str, cifar10: Path, cifar100: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pickled version with the same bytes, written here, as torchvision reads it."""
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    root = cifar10.parent
    binary, kind, key, width = (cifar10, CIFAR10, "labels", 1) if name == "cifar-10" else (
        cifar100, CIFAR100, "fine_labels", 2
    )  # fmt: skip
    names = ["airplane", "cat"] if name == "cifar-10" else FINE
    folder = root / kind.base_folder
    folder.mkdir()
    for files, ending in ((kind.train_list, ""), (kind.test_list, "")):
        for file, _ in files:
            rows = np.fromfile(binary / f"{file}{ending}.bin", np.uint8).reshape(-1, width + 3072)
            content = {"data": rows[:, width:], key: rows[:, width - 1].tolist()}
            (folder / file).write_bytes(pickle.dumps(content))
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: names}))
    ours = load(name, root)
    theirs = kind(root, train=False)
    assert [names.index(str(e.label)) for e in ours.examples] == theirs.targets
    for example, pixels in zip(ours.examples, theirs.data, strict=True):
        with Image.open(example.image) as image:
            assert np.array_equal(np.asarray(image), pixels)


ARCHIVES = {
    "cifar-10": ("cifar10", ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]),
    "cifar-100": ("cifar100", ["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"]),
    "eurosat": ("eurosat", ["EuroSAT.zip"]),
    "flowers-102": ("flowers", ["102flowers.tgz", "imagelabels.mat", "setid.mat"]),
    "food-101": ("food", ["food-101.tar.gz"]),
    "sun397": ("sun", ["SUN397.tar.gz", "Partitions.zip"]),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_download_asks_for_these_archives_and_is_then_read(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fixture, archives = ARCHIVES[name]
    made: Path = request.getfixturevalue(fixture)
    for split in ("train", "test") if name == "food-101" else ():
        (made / "meta" / f"{split}.json").write_text("{}")
    root, asked = tmp_path / "new", []

    def unpack(url: str, download_root: str | Path, md5: str | None = None, **_: Any) -> None:
        asked.append(url)
        here = Path(download_root)
        if url.endswith("Partitions.zip"):
            shutil.copytree(made / "Partitions", here, dirs_exist_ok=True)
        elif name == "sun397":
            shutil.copytree(made, here / "SUN397", ignore=shutil.ignore_patterns("Partitions"))
        elif name == "flowers-102":
            shutil.copytree(made, here, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.mat"))
        else:
            shutil.copytree(made, here / made.name)

    def put(url: str, root: str | Path, **_: Any) -> None:
        asked.append(url)
        shutil.copy(made / url.rpartition("/")[2], root)

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", unpack)
    for module in ("eurosat", "flowers102", "food101", "sun397"):
        monkeypatch.setattr(getattr(torchvision.datasets, module), "download_and_extract_archive", unpack)
    monkeypatch.setattr(torchvision.datasets.flowers102, "download_url", put)
    monkeypatch.setattr(torchvision.datasets.flowers102, "check_integrity", lambda file, _: Path(file).is_file())
    task = load(name, root, download=True)
    assert len(task.examples) > 0
    assert [url.endswith(archive) for url, archive in zip(asked, archives, strict=True)] == [True] * len(archives)
    assert load(name, root, download=True).examples == task.examples  # and not fetched again
    assert len(asked) == len(archives)


def test_sun_from_torchvision_lacks_its_partitions_and_download_brings_them(
    sun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions = sun.parent.with_name("Partitions")
    (sun / "Partitions").rename(partitions)
    with pytest.raises(DataError, match=r"SUN397' lacks Testing_01\.txt, Training_01\.txt") as caught:
        load("sun397", sun.parent)
    assert "or have it fetched with --download" in str(caught.value.hint)

    def unpack(url: str, download_root: str, **_: Any) -> None:
        assert url.endswith("Partitions.zip")
        shutil.copytree(partitions, download_root, dirs_exist_ok=True)

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", unpack)
    assert len(load("sun397", sun.parent, download=True).examples) == 3


def test_captions_of_cub_with_odd_bytes_are_read(cub: Path) -> None:
    picture = "001.Black_footed_Albatross/Black_footed_Albatross_0001_1"
    (cub.parent / "text_c10" / f"{picture}.txt").write_bytes(
        b"a bird \xff with wings\na \xef\xbf\xbd\xef\xbf\xbd bird\n\n"
    )
    task = load("cub", cub.parent)
    assert task.examples[0].captions == ("a bird with wings", "a bird")
