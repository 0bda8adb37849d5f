"""Oxford Flowers-102 (Nilsback and Zisserman 2008), and its blue and yellow flowers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pcclip.errors import DataError
from pcclip.progress import Progress
from pcclip.suites.published.downloads import fetch_flowers
from pcclip.suites.published.layout import (
    PROTOCOL,
    SUPPORT_A_CLASS,
    Layout,
    Listed,
    gather,
    notes_on_classes,
    require_pictures,
)
from pcclip.suites.splitting import few_of_each
from pcclip.suites.task import Attribute, Task
from pcclip.types import Example, Quarantined

LAYOUT = Layout(
    "Flowers-102",
    ("flowers-102", "flowers102", "Flowers102", "oxford-102-flowers"),
    ("jpg", "imagelabels.mat", "setid.mat"),
    "102flowers.tgz, imagelabels.mat and setid.mat from https://www.robots.ox.ac.uk/~vgg/data/flowers/102/, all three "
    "into a folder flowers-102",
    fetch_flowers,
)

# The archive numbers its classes; the names are those of the data set's page.
NAMES = tuple(
    """
    pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon orchid,
    bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle, yellow iris,
    globe flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire lily, pincushion flower,
    fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers, stemless gentian, artichoke,
    sweet william, carnation, garden phlox, love in the mist, mexican aster, alpine sea holly, ruby-lipped cattleya,
    cape flower, great masterwort, siam tulip, lenten rose, barbeton daisy, daffodil, sword lily, poinsettia,
    bolero deep blue, wallflower, marigold, buttercup, oxeye daisy, common dandelion, petunia, wild pansy, primula,
    sunflower, pelargonium, bishop of llandaff, gaura, geranium, orange dahlia, pink and yellow dahlia,
    cautleya spicata, japanese anemone, black-eyed susan, silverbush, californian poppy, osteospermum, spring crocus,
    bearded iris, windflower, tree poppy, gazania, azalea, water lily, rose, thorn apple, morning glory, passion flower,
    lotus, toad lily, anthurium, frangipani, clematis, hibiscus, columbine, desert-rose, tree mallow, magnolia,
    cyclamen, watercress, canna lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea, camellia, mallow,
    mexican petunia, bromelia, blanket flower, trumpet creeper, blackberry lily
    """.replace("\n    ", " ")
    .strip()
    .split(", ")
)

BLUE = (
    *("monkshood", "globe thistle", "balloon flower", "grape hyacinth", "stemless gentian", "love in the mist"),
    *("alpine sea holly", "bolero deep blue"),
)
YELLOW = (
    *("colt's foot", "yellow iris", "globe flower", "daffodil", "buttercup", "common dandelion", "sunflower"),
    "black-eyed susan",
)
"""Species whose common form is blue to blue-violet, or yellow. The paper names no classes; ours leave out species
that are sold in many colours (iris, pansy, morning glory, primula), that are purple (crocus, mexican petunia), and
that lie between yellow and orange (marigold, wallflower, californian poppy)."""

COLOUR = Attribute(
    "blue",
    "The first flower is blue, while the second is yellow.",
    "The first flower is yellow, while the second is blue.",
    "a blue flower",
)


def read_flowers(folder: Path, progress: Progress | None = None) -> Task:
    """Read Flowers-102: the test set, and training and validation pictures beside it.

    Raises:
        DataError: a .mat file is damaged, or holds a label or picture number that is out of range.
    """
    test, support, aside = _pictures(folder)
    return Task(
        "flowers-102",
        ("zero-shot", "strategies", "probe"),
        tuple(test),
        few_of_each(support, SUPPORT_A_CLASS),
        tuple(aside),
        class_names={name: name for name in NAMES},
        source=str(folder),
        notes=notes_on_classes(NAMES, test),
    )


def read_flowers_colour(folder: Path, progress: Progress | None = None) -> Task:
    """Read the test pictures of blue and of yellow flowers.

    Raises:
        DataError: as for :func:`read_flowers`.
    """
    test, support, aside = _pictures(folder)
    chosen = _coloured(test)
    return Task(
        "flowers-102-colour",
        ("difference", "ranking"),
        chosen,
        few_of_each(_coloured(support), SUPPORT_A_CLASS),
        tuple(aside),
        attributes=(COLOUR,),
        protocol=PROTOCOL,
        source=str(folder),
        notes=(
            *notes_on_classes((*BLUE, *YELLOW), chosen),
            f"Blue: {', '.join(BLUE)}. Yellow: {', '.join(YELLOW)}.",
        ),
    )


def _coloured(examples: Sequence[Example]) -> tuple[Example, ...]:
    return tuple(
        replace(example, attributes={"blue": float(example.label in BLUE)})
        for example in examples
        if example.label in (*BLUE, *YELLOW)
    )


def _pictures(folder: Path) -> tuple[list[Example], list[Example], list[Quarantined]]:
    labels = _numbers(folder / "imagelabels.mat", "labels")
    sets = {name: _numbers(folder / "setid.mat", name) for name in ("trnid", "valid", "tstid")}
    for place, label in enumerate(labels, start=1):
        if not 1 <= label <= len(NAMES):
            raise DataError(f"'imagelabels.mat', picture {place}: the label {label} is not in 1 to {len(NAMES)}")
    for name, numbers in sets.items():
        wrong = [number for number in numbers if not 1 <= number <= len(labels)]
        if wrong:
            raise DataError(f"'setid.mat', {name}: there is no picture {wrong[0]}, labels are of 1 to {len(labels)}")

    def listed(numbers: Sequence[int]) -> list[Listed]:
        files = ((f"image_{number:05d}.jpg", NAMES[labels[number - 1] - 1]) for number in numbers)
        return [Listed(file, folder / "jpg" / file, label) for file, label in files]

    test, aside = gather(listed(sets["tstid"]))
    require_pictures("Flowers-102", folder / "jpg", test, aside)
    support, more = gather(listed([*sets["trnid"], *sets["valid"]]))
    return test, support, [*aside, *more]


def _numbers(file: Path, key: str) -> list[int]:
    import numpy as np
    from scipy.io import loadmat

    try:
        content = loadmat(file, variable_names=[key])
    except Exception as error:  # the reader raises nearly everything on damaged files
        raise DataError(f"cannot read {str(file)!r}: {error}", "Download it again") from error
    if key not in content:
        raise DataError(f"{str(file)!r} holds no {key!r}", "Download it again")
    values = np.asarray(content[key]).ravel()
    if values.dtype.kind not in "iuf" or not values.size or not np.array_equal(values, np.rint(values)):
        raise DataError(f"{str(file)!r}: {key!r} holds no whole numbers", "Download it again")
    return [int(value) for value in values]
