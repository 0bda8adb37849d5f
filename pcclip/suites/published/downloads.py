"""Downloads of published data sets through torchvision, of those that need no pickle to be read."""

from __future__ import annotations

from pathlib import Path

_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_PARTITIONS = "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip"


def fetch_cifar10(root: Path) -> None:
    """Download the binary version of CIFAR-10; torchvision's own class reads the pickled one."""
    _archive(f"{_CIFAR}cifar-10-binary.tar.gz", root, "c32a1d4ab5d03f1284b67883e8d87530")


def fetch_cifar100(root: Path) -> None:
    """Download the binary version of CIFAR-100."""
    _archive(f"{_CIFAR}cifar-100-binary.tar.gz", root, "03b5dce01913d631647c71ecec9e9cb8")


def fetch_eurosat(root: Path) -> None:
    """Download EuroSAT (RGB)."""
    from torchvision.datasets import EuroSAT

    EuroSAT(root, download=True)


def fetch_flowers(root: Path) -> None:
    """Download Flowers-102."""
    from torchvision.datasets import Flowers102

    Flowers102(root, split="test", download=True)


def fetch_food(root: Path) -> None:
    """Download Food-101."""
    from torchvision.datasets import Food101

    Food101(root, split="test", download=True)


def fetch_sun(root: Path) -> None:
    """Download SUN397 and its partitions, which torchvision leaves out."""
    from torchvision.datasets import SUN397

    SUN397(root, download=True)
    _archive(_PARTITIONS, root / "SUN397", None)


def _archive(url: str, root: Path, md5: str | None) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(url, str(root), md5=md5)
