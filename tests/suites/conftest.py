"""Published data sets in miniature: their folders and lists as published, with pictures of a few pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from miniatures import FINE, cifar_bytes, draw, write

from pcclip.suites.published.eurosat import WORDS


@pytest.fixture
def awa2(tmp_path: Path) -> Path:
    """Three animals of four pictures; attributes written for this test."""
    folder = tmp_path / "sets" / "Animals_with_Attributes2"
    write(folder / "classes.txt", "     1\tpolar+bear\n     2\tmouse\n     3\tgiraffe\n")
    names = ["white", "big", "small", "longneck", "tail", "smelly", "fast", "meat"]
    write(folder / "predicates.txt", "".join(f"{n:6d}\t{name}\n" for n, name in enumerate(names, 1)))
    write(folder / "predicate-matrix-binary.txt", "1 1 0 0 0 1 0 1\n0 0 1 0 1 1 1 0\n0 1 0 1 1 0 1 0\n")
    for kind, name in enumerate(("polar+bear", "mouse", "giraffe")):
        for number in range(4):
            draw(folder / "JPEGImages" / name / f"{name}_1000{number}.jpg", kind * 4 + number)
    return folder


@pytest.fixture
def cub(tmp_path: Path) -> Path:
    """Two birds of four pictures, two of each for training, with captions and sizes."""
    folder = tmp_path / "sets" / "CUB_200_2011"
    birds = ("001.Black_footed_Albatross", "002.House_Wren")
    files = [f"{bird}/{bird[4:]}_000{n}_{n}.jpg" for bird in birds for n in range(4)]
    write(folder / "classes.txt", "".join(f"{n} {bird}\n" for n, bird in enumerate(birds, 1)))
    write(folder / "images.txt", "".join(f"{n} {file}\n" for n, file in enumerate(files, 1)))
    write(folder / "image_class_labels.txt", "".join(f"{n} {1 + (n > 4)}\n" for n in range(1, 9)))
    write(folder / "train_test_split.txt", "".join(f"{n} {n % 2}\n" for n in range(1, 9)))
    write(
        folder.parent / "attributes.txt",
        "1 has_bill_shape::dagger\n2 has_size::large_(16_-_32_in)\n3 has_size::small_(5_-_9_in)\n"
        "4 has_size::very_large_(32_-_72_in)\n5 has_size::medium_(9_-_16_in)\n6 has_size::very_small_(3_-_5_in)\n",
    )
    write(
        folder / "attributes" / "class_attribute_labels_continuous.txt",
        "10.0 50.0 0.0 50.0 0.0 0.0\n0.0 0.0 25.0 0.0 0.0 75.0\n",
    )
    for number, file in enumerate(files):
        draw(folder / "images" / file, number)
        captions = f"this bird has wing number {number}\n\na bird of shade {number}\n"
        write(folder.parent / "text_c10" / Path(file).with_suffix(".txt"), captions)
    return folder


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    """The binary version with ten of its classes, two pictures of each to test and three to train."""
    folder = tmp_path / "sets" / "cifar-100-binary"
    write(folder / "fine_label_names.txt", "\n".join(FINE) + "\n\n")
    (folder / "test.bin").write_bytes(cifar_bytes([*range(10)] * 2, 2))
    (folder / "train.bin").write_bytes(cifar_bytes([*range(10)] * 3, 2, 100))
    return folder


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """The binary version with two classes."""
    folder = tmp_path / "sets" / "cifar-10-batches-bin"
    write(folder / "batches.meta.txt", "airplane\ncat\n\n")
    (folder / "test_batch.bin").write_bytes(cifar_bytes([0, 1, 1], 1))
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(cifar_bytes([0, 1], 1, 10 * number))
    return folder


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Five labels of pictures 1 to 10: monkshood (9), daffodil (42), rose (74), sunflower (54), grape hyacinth (25)."""
    from scipy.io import savemat

    folder = tmp_path / "sets" / "flowers-102"
    folder.mkdir(parents=True)
    labels = [9, 42, 74, 54, 25] * 2
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    sets = {"trnid": [[1, 2]], "valid": [[3]], "tstid": [[4, 5, 6, 7, 8, 9, 10]]}
    savemat(folder / "setid.mat", {name: np.array(ids, np.uint16) for name, ids in sets.items()})
    for number in range(1, 11):
        draw(folder / "jpg" / f"image_{number:05d}.jpg", number)
    return folder


@pytest.fixture
def eurosat(tmp_path: Path) -> Path:
    """Four pictures of each kind of land."""
    folder = tmp_path / "sets" / "EuroSAT" / "2750"
    for kind, name in enumerate(WORDS):
        for number in range(4):
            draw(folder / name / f"{name}_{number}.jpg", kind * 4 + number)
    return folder


@pytest.fixture
def food(tmp_path: Path) -> Path:
    """Two dishes."""
    folder = tmp_path / "sets" / "food-101"
    write(folder / "meta" / "classes.txt", "apple_pie\nmiso_soup\n")
    write(folder / "meta" / "train.txt", "apple_pie/11\nmiso_soup/12\n")
    write(folder / "meta" / "test.txt", "apple_pie/21\nmiso_soup/22\nmiso_soup/23\n")
    for file in ("apple_pie/11", "miso_soup/12", "apple_pie/21", "miso_soup/22", "miso_soup/23"):
        draw(folder / "images" / f"{file}.jpg", int(file[-2:]))
    return folder


@pytest.fixture
def sun(tmp_path: Path) -> Path:
    """Three scenes, and partition 1 in a folder of its own."""
    folder = tmp_path / "sets" / "SUN397"
    write(folder / "ClassName.txt", "/a/abbey\n/a/apse/indoor\n/t/temple/east_asia\n")
    test = ["/a/abbey/sun_a.jpg", "/a/apse/indoor/sun_b.jpg", "/t/temple/east_asia/sun_c.jpg"]
    training = ["/a/abbey/sun_d.jpg", "/a/apse/indoor/sun_e.jpg"]
    write(folder / "Partitions" / "Testing_01.txt", "\n".join(test))
    write(folder / "Partitions" / "Training_01.txt", "\n".join(training))
    for number, file in enumerate([*test, *training]):
        draw(folder / file.strip("/"), number)
    return folder
