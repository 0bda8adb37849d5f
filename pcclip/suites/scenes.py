"""The suite ``scenes``: drawn shapes, about which everything is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pcclip.data.scenes import BACKGROUNDS, COLOURS, read_scenes
from pcclip.progress import Progress
from pcclip.suites.splitting import split_by_content
from pcclip.suites.task import MEASURES, Attribute, ClassWords, Protocol, Task, TaskSource
from pcclip.types import Example

NUMBER = 600
SEED = 7
"""Scenes of a seed of their own: ``--data scenes`` draws others, so no model was trained on these."""

SUPPORT = 1 / 3

SHAPE_WORDS = {
    "circle": "a circle, filled and perfectly round",
    "square": "a square with four equal sides and four right angles",
    "triangle": "a triangle with one corner at the top and a flat side below",
    "star": "a star with five points",
    "heart": "a heart with two round tops and a point below",
    "ring": "a ring, round with a hole in the middle",
    "cross": "a cross of two bars, shaped like a plus sign",
    "diamond": "a diamond that stands on a corner and is taller than wide",
}
"""What sets each shape off, as it is drawn."""

ATTRIBUTES = (
    Attribute.between("size", "larger shapes", "smaller shapes", "a huge shape"),
    Attribute.between("count", "more shapes", "fewer shapes", "many shapes"),
    Attribute.between("x", "shapes further to the right", "shapes further to the left", "shapes on the right"),
    Attribute.between("y", "shapes nearer to the bottom", "shapes nearer to the top", "shapes at the bottom"),
    Attribute.between(
        "lightness", "shapes of a lighter colour", "shapes of a darker colour", "shapes of a light colour"
    ),
    Attribute.between("background_lightness", "a lighter background", "a darker background", "a white background"),
)


class ScenesSource(TaskSource):
    """The task ``scenes``: 400 test pictures and 200 beside them."""

    name = "scenes"

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Draw or read the scenes; ``root`` is not looked at."""
        dataset = read_scenes(NUMBER, seed=SEED, progress=progress)
        test, support = split_by_content([_with_lightness(example) for example in dataset], SUPPORT)
        return Task(
            self.name,
            MEASURES,
            test,
            support,
            dataset.quarantined,
            template="This is a picture of a {label}",
            attributes=ATTRIBUTES,
            class_difference=ClassWords(SHAPE_WORDS),
            protocol=Protocol(pairs=500),
            source=f"{NUMBER} scenes drawn by pcclip with seed {SEED}",
            notes=(
                *dataset.notes,
                "size is a share of the picture's width, x and y are shares from the left and from the top, lightness "
                "is the relative luminance of the colour.",
            ),
        )


def luminance(colour: tuple[int, int, int]) -> float:
    """Return the relative luminance of an sRGB colour, in [0, 1] (ITU-R BT.709)."""
    linear = [c / 12.92 if (c := value / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for value in colour]
    return round(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], 4)


def _with_lightness(example: Example) -> Example:
    colour, background = (str(example.attributes[key]) for key in ("colour", "background"))
    lightness = {
        "lightness": luminance(COLOURS[colour]),
        "background_lightness": luminance(BACKGROUNDS[background]),
    }
    return replace(example, attributes={**example.attributes, **lightness})
