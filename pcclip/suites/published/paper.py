"""The suite ``paper``: the data sets of arXiv:2409.09721, section 5, with its protocols."""

from __future__ import annotations

from pcclip.suites.published import awa2, cifar, cub, eurosat, flowers, food, sun
from pcclip.suites.published.layout import PublishedSource


def sources(*, download: bool = False) -> tuple[PublishedSource, ...]:
    """Return a source a task: difference classification first, then what is only zero-shot.

    Args:
        download: whether to fetch what is missing and can be fetched by a program.
    """
    parts = (
        ("awa2", awa2.LAYOUT, awa2.read_awa2),
        ("cub", cub.LAYOUT, cub.read_cub),
        ("cifar-100-size", cifar.CIFAR100, cifar.read_cifar100_size),
        ("flowers-102-colour", flowers.LAYOUT, flowers.read_flowers_colour),
        ("cifar-10", cifar.CIFAR10, cifar.read_cifar10),
        ("cifar-100", cifar.CIFAR100, cifar.read_cifar100),
        ("sun397", sun.LAYOUT, sun.read_sun),
        ("eurosat", eurosat.LAYOUT, eurosat.read_eurosat),
        ("flowers-102", flowers.LAYOUT, flowers.read_flowers),
        ("food-101", food.LAYOUT, food.read_food),
    )
    return tuple(PublishedSource(name, layout, read, download=download) for name, layout, read in parts)
