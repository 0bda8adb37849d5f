"""Each data set of the paper, read from its published layout in miniature."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from miniatures import FINE, cifar_bytes
from PIL import Image

from pcclip import suites
from pcclip.errors import DataError
from pcclip.suites.published import awa2 as awa2_module
from pcclip.suites.published import cifar
from pcclip.suites.published import flowers as flowers_module
from pcclip.suites.published.cub import bird_words
from pcclip.suites.published.eurosat import WORDS
from pcclip.suites.published.sun import scene_words
from pcclip.suites.task import Task

NAMES = (
    *("awa2", "cub", "cifar-100-size", "flowers-102-colour", "cifar-10", "cifar-100", "sun397", "eurosat"),
    *("flowers-102", "food-101"),
)


def load(name: str, folder: Path) -> Task:
    """Load a task of the paper from the folder that holds a data set's folder."""
    source = next(source for source in suites.find("paper").sources if source.name == name)
    return source.load(next(parent for parent in folder.parents if parent.name == "sets"))


@pytest.fixture(autouse=True)
def _cache(private_cache: Path) -> None: ...


def test_the_paper_has_its_ten_tasks() -> None:
    assert tuple(source.name for source in suites.find("paper").sources) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_says_what_was_looked_for_and_where_to_get_it(name: str, tmp_path: Path) -> None:
    source = next(source for source in suites.find("paper").sources if source.name == name)
    with pytest.raises(DataError) as caught:
        source.load(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert source.layout.folders[0] in caught.value.message  # type: ignore[attr-defined]
    assert source.layout.holds[0] in caught.value.message  # type: ignore[attr-defined]
    assert "https://" in str(caught.value.hint)
    with pytest.raises(DataError, match="datasets"):  # of the cache
        source.load(None)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("awa2", part) for part in ("JPEGImages", "classes.txt", "predicates.txt", "predicate-matrix-binary.txt")),
        *(("cub", part) for part in ("images", "images.txt", "image_class_labels.txt", "train_test_split.txt")),
        *(("cifar10", part) for part in ("data_batch_3.bin", "test_batch.bin", "batches.meta.txt")),
        *(("cifar100", part) for part in ("test.bin", "fine_label_names.txt")),
        *(("flowers", part) for part in ("jpg", "imagelabels.mat", "setid.mat")),
        *(("food", part) for part in ("images", "meta/test.txt")),
        ("sun", "ClassName.txt"),
        ("sun", "Partitions/Testing_01.txt"),
        ("eurosat", "SeaLake"),
    ],
)
def test_a_part_that_is_missing_is_named(name: str, part: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    gone = folder / part
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    task = {"cifar10": "cifar-10", "cifar100": "cifar-100", "flowers": "flowers-102", "food": "food-101"}
    with pytest.raises(DataError, match=Path(part).name):
        load(task.get(name, "sun397" if name == "sun" else name), folder)


def test_awa2_says_how_visible_attributes_differ(awa2: Path) -> None:
    task = load("awa2", awa2)
    assert task.class_difference is not None
    assert task.class_difference("polar+bear", "mouse") == (
        "The first image has attributes of white, big, while the second image has attributes of small, a tail."
    )
    assert task.class_difference("mouse", "giraffe") == (
        "The first image has attributes of small, while the second image has attributes of big, a long neck."
    )
    assert task.class_difference("mouse", "mouse") is None
    assert task.class_difference("mouse", "cat") is None
    assert task.class_names["polar+bear"] == "polar bear"
    assert task.labels == ("giraffe", "mouse", "polar+bear")
    assert (len(task.examples), len(task.support)) == (6, 6)
    assert not {e.id for e in task.examples} & {e.id for e in task.support}
    assert (task.protocol.seeds, task.protocol.pictures, task.protocol.pairs) == (5, 100, None)


def test_awa2_without_the_pictures_of_a_class_reads_the_others(awa2: Path) -> None:
    shutil.rmtree(awa2 / "JPEGImages" / "mouse")
    (awa2 / "JPEGImages" / "unicorn").mkdir()
    (awa2 / "JPEGImages" / "giraffe" / "giraffe_10001.jpg").write_bytes(b"")
    task = load("awa2", awa2)
    assert "1 classes have no picture: mouse." in task.notes
    assert {(row.id, row.reason) for row in task.quarantined} == {
        ("unicorn", "unknown-class"),
        ("giraffe/giraffe_10001.jpg", "empty-file"),
    }
    assert len(task.examples) + len(task.support) == 7


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("predicate-matrix-binary.txt", "1 1 0\n0 0 1\n0 1 0\n", "line 1: 3 values for the 8 attributes"),
        ("predicate-matrix-binary.txt", "1 1 0 0 0 1 0 1\n", "1 rows for the 3 classes"),
        (
            "predicate-matrix-binary.txt",
            "1 1 0 0 0 1 0 1\n0 2 1 0 1 1 1 0\n0 1 0 1 1 0 1 0\n",
            "line 2: '2' is neither",
        ),
        ("classes.txt", "1 polar+bear\ntwo mouse\n", "line 2: expected a number and a text, found 'two mouse'"),
        ("classes.txt", "1 polar+bear\n3 mouse\n", "holds 2 numbers, but not 2"),
        ("classes.txt", "1 mouse\n1 mouse\n", "the number 1 comes twice"),
        ("classes.txt", "1 mouse\n2 mouse\n", "names 'mouse' twice"),
        ("classes.txt", "", "is empty"),
    ],
)
def test_awa2_with_a_damaged_list(file: str, text: str, message: str, awa2: Path) -> None:
    (awa2 / file).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load("awa2", awa2)
    assert file in str(caught.value)


def test_awa2_leaves_out_attributes_that_it_names_and_nothing_twice() -> None:
    left_out = [name for names in awa2_module.UNSEEN.values() for name in names]
    assert len(left_out) == len(set(left_out)) == 39
    assert {"smelly", "fast", "fish", "group"} <= set(left_out)
    assert not {"black", "furry", "horns", "ocean", "big"} & set(left_out)


def test_cub_reads_split_captions_and_sizes(cub: Path) -> None:
    task = load("cub", cub)
    assert [e.id[-6:] for e in task.examples] == ["_1.jpg", "_3.jpg"] * 2
    assert len(task.support) == 4
    assert task.examples[0].captions == ("this bird has wing number 1", "a bird of shade 1")
    assert {e.label: e.attributes["inches"] for e in task.examples} == {
        "001.Black_footed_Albatross": 38.0,  # half of (16 + 32) / 2, half of (32 + 72) / 2
        "002.House_Wren": 4.75,  # a quarter of 7, three quarters of 4
    }
    assert task.class_names["001.Black_footed_Albatross"] == "Black footed Albatross"
    assert task.protocol.pictures is None
    assert task.protocol.pairs is not None
    assert task.protocol.seeds * task.protocol.pairs == 5000
    assert "retrieval" in task.measures
    assert "ranking" in task.measures


def test_cub_without_captions_and_attributes_says_so(cub: Path) -> None:
    shutil.rmtree(cub.parent / "text_c10")
    shutil.rmtree(cub / "attributes")
    task = load("cub", cub)
    assert any("text_c10" in note for note in task.notes)
    assert any("no sizes" in note for note in task.notes)
    assert not {"retrieval", "ranking", "difference", "geometry"} & set(task.measures)
    assert all(not e.captions and not e.attributes for e in task.examples)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("image_class_labels.txt", "1 3\n", "has '3' for picture 1; allowed is 1 to 2"),
        ("image_class_labels.txt", "1 1\n", "nothing for 7 pictures of images.txt, such as 2"),
        ("image_class_labels.txt", "99 1\n", "speaks of picture 99"),
        ("train_test_split.txt", "1 yes\n", "has 'yes' for picture 1"),
        ("attributes/class_attribute_labels_continuous.txt", "1 2\n1 2\n", "line 1: no number for each attribute"),
        ("attributes/class_attribute_labels_continuous.txt", "1 2\n", "1 rows for the 2 classes"),
    ],
)
def test_cub_with_a_damaged_list(file: str, text: str, message: str, cub: Path) -> None:
    (cub / file).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load("cub", cub)
    assert Path(file).name in str(caught.value)


def test_cifar100_gives_its_pixels(cifar100: Path) -> None:
    task = load("cifar-100", cifar100)
    assert [e.label for e in task.examples] == FINE * 2
    assert len(task.support) == 30
    assert task.class_names["aquarium_fish"] == "aquarium fish"
    with Image.open(task.examples[13].image) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (32, 32, 3)
    assert pixels[2, 5].tolist() == [69, 13, 7]  # red counts up along rows, green is the picture's number
    with Image.open(task.support[29].image) as image:
        assert image.getpixel((0, 0)) == (0, 129, 7)
    stamp = task.examples[0].image.stat().st_mtime_ns
    assert load("cifar-100", cifar100).examples[0].image.stat().st_mtime_ns == stamp


def test_cifar10_has_one_label_byte_and_five_batches(cifar10: Path) -> None:
    task = load("cifar-10", cifar10)
    assert [e.label for e in task.examples] == ["airplane", "cat", "cat"]
    assert [e.label for e in task.support] == ["airplane", "cat"] * 5
    with Image.open(task.support[-1].image) as image:
        assert image.getpixel((3, 0)) == (3, 51, 7)


def test_cifar100_size_is_of_eight_animals(cifar100: Path) -> None:
    task = load("cifar-100-size", cifar100)
    assert set(task.labels) == {*cifar.LARGE, *cifar.SMALL}
    assert {e.label for e in task.examples if e.attributes["large"] == 1} == set(cifar.LARGE)
    assert (len(task.examples), len(task.support)) == (16, 24)
    assert task.attributes[0].more.startswith("The first image contains a larger animal")
    assert task.attributes[0].less.startswith("The first image contains a smaller animal")


def test_cifar_that_is_cut_off_or_has_a_label_out_of_range(cifar100: Path) -> None:
    file = cifar100 / "test.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"test\.bin.*cut off"):
        load("cifar-100", cifar100)
    file.write_bytes(whole + cifar_bytes([10], 2))
    with pytest.raises(DataError, match=r"test\.bin', picture 20: the label 10 is out of range, there are 10 names"):
        load("cifar-100", cifar100)
    (cifar100 / "fine_label_names.txt").write_text("apple\n")
    with pytest.raises(DataError, match="does not name camel, leopard"):
        load("cifar-100-size", cifar100)


def test_the_pickled_version_of_cifar_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "test").write_bytes(b"\x80\x04}.")
    with pytest.raises(DataError, match="binary version") as caught:
        load("cifar-100", folder / "test")
    assert "pickles, which are never read" in str(caught.value.hint)


def test_flowers_reads_the_mat_files(flowers: Path) -> None:
    task = load("flowers-102", flowers)
    assert [(e.id, e.label) for e in task.examples][:2] == [
        ("image_00004.jpg", "sunflower"),
        ("image_00005.jpg", "grape hyacinth"),
    ]
    assert [e.label for e in task.support] == ["monkshood", "daffodil", "rose"]
    assert len(task.class_names) == len(flowers_module.NAMES) == len(set(flowers_module.NAMES)) == 102
    assert any("97 classes have no picture" in note for note in task.notes)


def test_flowers_by_colour(flowers: Path) -> None:
    task = load("flowers-102-colour", flowers)
    assert {e.label: e.attributes["blue"] for e in task.examples} == {
        "sunflower": 0,
        "grape hyacinth": 1,
        "monkshood": 1,
        "daffodil": 0,
    }
    assert task.attributes[0].more == "The first flower is blue, while the second is yellow."
    assert not set(flowers_module.BLUE) & set(flowers_module.YELLOW)
    assert {*flowers_module.BLUE, *flowers_module.YELLOW} <= set(flowers_module.NAMES)


def _labels(values: list[int]) -> Callable[[Path], None]:
    from scipy.io import savemat

    return lambda folder: savemat(folder / "imagelabels.mat", {"labels": np.array([values], np.int16)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_labels([9, 103, 1, 1, 1, 1, 1, 1, 1, 1]), "picture 2: the label 103 is not in 1 to 102"),
        (_labels([0] * 10), "picture 1: the label 0 is not"),
        (_labels([1, 2, 3]), r"tstid: there is no picture 4, labels are of 1 to 3"),
        (lambda folder: (folder / "setid.mat").write_bytes(b"not a mat file at all"), r"cannot read .*setid\.mat"),
        (lambda folder: shutil.copy(folder / "imagelabels.mat", folder / "setid.mat"), "holds no 'trnid'"),
    ],
)
def test_flowers_with_damaged_mat_files(damage: Callable[[Path], object], message: str, flowers: Path) -> None:
    damage(flowers)
    with pytest.raises(DataError, match=message):
        load("flowers-102", flowers)


def test_eurosat_is_split_by_name(eurosat: Path) -> None:
    task = load("eurosat", eurosat)
    assert (len(task.examples), len(task.support)) == (20, 20)
    assert task.class_names == WORDS
    assert load("eurosat", eurosat).support == task.support


def test_food_and_a_line_that_names_no_class(food: Path) -> None:
    task = load("food-101", food)
    assert [(e.id, e.label) for e in task.examples] == [
        ("apple_pie/21", "apple_pie"),
        ("miso_soup/22", "miso_soup"),
        ("miso_soup/23", "miso_soup"),
    ]
    assert [e.id for e in task.support] == ["apple_pie/11", "miso_soup/12"]
    assert task.class_names["miso_soup"] == "miso soup"
    (food / "meta" / "test.txt").write_text("apple_pie/21\nsoup/1\n")
    with pytest.raises(DataError, match=r"meta/test\.txt', line 2: 'soup/1'"):
        load("food-101", food)


def test_food_with_missing_pictures(food: Path) -> None:
    (food / "images" / "miso_soup" / "23.jpg").unlink()
    task = load("food-101", food)
    assert [(row.id, row.reason) for row in task.quarantined] == [("miso_soup/23", "missing-file")]
    shutil.rmtree(food / "images")
    (food / "images").mkdir()
    with pytest.raises(DataError, match="holds no picture; 3 are listed, such as 'apple_pie/21'"):
        load("food-101", food)


def test_sun_takes_partition_one(sun: Path) -> None:
    task = load("sun397", sun)
    assert [e.label for e in task.examples] == ["/a/abbey", "/a/apse/indoor", "/t/temple/east_asia"]
    assert [e.id for e in task.support] == ["a/abbey/sun_d.jpg", "a/apse/indoor/sun_e.jpg"]
    assert task.class_names["/t/temple/east_asia"] == "East Asian temple"
    (sun / "Partitions" / "Testing_01.txt").write_text("/b/beach/sun_x.jpg\n")
    with pytest.raises(DataError, match=r"Testing_01\.txt', line 1: '/b/beach/sun_x.jpg'"):
        load("sun397", sun)


def test_words_for_classes() -> None:
    assert scene_words("/a/abbey") == "abbey"
    assert scene_words("/a/apse/indoor") == "indoor apse"
    assert scene_words("/t/theater/indoor_procenium") == "indoor procenium theater"
    assert bird_words("123.Prothonotary_Warbler") == "Prothonotary Warbler"


def test_download_puts_the_data_where_it_is_then_read(monkeypatch: pytest.MonkeyPatch, eurosat: Path) -> None:
    import torchvision

    wanted = []

    def download(root: Path, download: bool) -> None:
        wanted.append(download)
        shutil.copytree(eurosat, root / "eurosat" / "2750")

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", download)
    (source,) = (source for source in suites.find("paper", download=True).sources if source.name == "eurosat")
    assert len(source.load(None).examples) == 20
    assert len(source.load(None).examples) == 20
    assert wanted == [True]


def test_a_download_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torchvision

    def download(root: Path, download: bool) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", download)
    (source,) = (source for source in suites.find("paper", download=True).sources if source.name == "eurosat")
    with pytest.raises(DataError, match="EuroSAT cannot be fetched: Network is unreachable") as caught:
        source.load(tmp_path / "new")
    assert "by hand" in str(caught.value.hint)


def test_what_no_program_can_fetch_is_asked_for(tmp_path: Path) -> None:
    (source,) = (source for source in suites.find("paper", download=True).sources if source.name == "awa2")
    with pytest.raises(DataError, match="AwA2: no folder"):
        source.load(tmp_path)
