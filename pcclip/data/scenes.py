"""The data set ``scenes``: pictures that this module draws, of shapes with known attributes."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pcclip.data.cache import made_once
from pcclip.data.dataset import Dataset
from pcclip.data.tables import Columns, read_jsonl
from pcclip.errors import UsageError
from pcclip.files import cache_folder
from pcclip.progress import NoProgress, Progress

DEFAULT_NUMBER = 400
VERSION = 1
"""Part of the cache folder's name: to be raised whenever a scene would look or read differently."""

SIDE = 224
"""Width and height of a picture in pixels."""

COLOURS = {
    "red": (214, 40, 40),
    "orange": (244, 140, 30),
    "yellow": (250, 215, 40),
    "green": (44, 160, 70),
    "blue": (40, 90, 210),
    "purple": (130, 60, 170),
    "pink": (250, 150, 190),
    "brown": (125, 75, 40),
}
BACKGROUNDS = {"white": (255, 255, 255), "black": (15, 15, 15), "grey": (150, 150, 150)}
SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond")
SIZES = (("tiny", 0.08, 0.13), ("small", 0.17, 0.25), ("large", 0.32, 0.44), ("huge", 0.52, 0.70))
"""A size word with the widths of one shape that it stands for, as shares of the picture's width."""

NUMBERS = ("a", "two", "three", "four", "five")
_T = TypeVar("_T")
_SAMPLES = 4  # drawn so many times larger, then reduced: smooth edges


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's content: ``count`` equal shapes in a row.

    Attributes:
        shape, colour, background: names from this module's tables.
        count: how many shapes, 1 to 5.
        size_name: the word for the size.
        size: the width of one shape as a share of the picture's width.
        x, y: the middle of the shapes together, as shares of width and height from the top left.
        place: words for where that is, such as ``in the top left``.
    """

    shape: str
    colour: str
    background: str
    count: int
    size_name: str
    size: float
    x: float
    y: float
    place: str

    @property
    def centres(self) -> list[tuple[float, float]]:
        """The middle of every shape, as shares of width and height."""
        step = _step(self.size)
        return [(self.x + (i - (self.count - 1) / 2) * step, self.y) for i in range(self.count)]


def read_scenes(
    number: int = DEFAULT_NUMBER, *, seed: int = 0, folder: Path | None = None, progress: Progress | None = None
) -> Dataset:
    """Read so many scenes, drawing them on first use.

    The label is the shape; the attributes are ``size`` (a share of the width), ``size_name``,
    ``colour``, ``count``, ``x``, ``y``, ``place`` and ``background``. A scene depends on the seed
    and its number only, so ``scenes:100`` is the beginning of ``scenes:400``.

    Args:
        number: how many.
        seed: another seed draws other scenes.
        folder: where to draw them; the cache folder by default.
        progress: where to report to.

    Raises:
        DataError: the folder cannot be written.
        UsageError: ``number`` is less than 1.
    """
    if number < 1:
        raise UsageError(f"the number of scenes is at least 1, not {number}")
    target = folder or cache_folder() / f"scenes-v{VERSION}-{number}-{seed}"

    def make(scratch: Path) -> Path:
        draw_scenes(scratch / "scenes", number, seed=seed, progress=progress)
        return scratch / "scenes"

    table = made_once(target, make) / "metadata.jsonl"
    columns = Columns("file_name", "captions", "shape")
    dataset = read_jsonl(table, columns, None, progress)
    return Dataset("scenes", dataset.examples, dataset.quarantined, dataset.notes)


def draw_scenes(folder: Path, number: int, *, seed: int = 0, progress: Progress | None = None) -> None:
    """Draw scenes into a new folder, with their captions and attributes in ``metadata.jsonl``."""
    folder.mkdir(parents=True)
    lines = []
    with (progress or NoProgress()).task("drawing scenes", number, "picture") as task:
        for i in range(number):
            rng = random.Random(f"pcclip scenes {seed} {i}")
            scene = make_scene(rng)
            name = f"{i:05d}.png"
            draw(scene, folder / name)
            about = {
                "file_name": name,
                "captions": captions_of(scene, rng),
                "shape": scene.shape,
                "colour": scene.colour,
                "count": scene.count,
                "size": scene.size,
                "size_name": scene.size_name,
                "x": scene.x,
                "y": scene.y,
                "place": scene.place,
                "background": scene.background,
            }
            lines.append(json.dumps(about) + "\n")
            task.advance()
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")


def make_scene(rng: random.Random) -> Scene:
    """Return a random scene whose shapes lie wholly in the picture and clearly at the place that is named."""
    size_name, smallest, largest = _pick(rng, SIZES)
    size = round(smallest + (largest - smallest) * rng.random(), 3)
    most = max(n for n in range(1, len(NUMBERS) + 1) if (n - 1) * _step(size) + size <= 0.96)
    count = 1 + int(rng.random() * most)
    half_width, half_height = ((count - 1) * _step(size) + size) / 2, size / 2
    across, x = _place(rng, half_width, ("left", "", "right"))
    down, y = _place(rng, half_height, ("top", "", "bottom"))
    place = f"in the {' '.join(word for word in (down, across) if word) or 'middle'}"
    if bool(across) != bool(down):
        place = f"on the {across}" if across else f"at the {down}"
    shape, colour, background = _pick(rng, SHAPES), _pick(rng, tuple(COLOURS)), _pick(rng, tuple(BACKGROUNDS))
    return Scene(shape, colour, background, count, size_name, size, x, y, place)


def captions_of(scene: Scene, rng: random.Random) -> list[str]:
    """Return two captions that are true of a scene: one that tells all, and one that tells less."""
    things = scene.shape if scene.count == 1 else f"{scene.shape}{'es' if scene.shape.endswith('s') else 's'}"
    number = NUMBERS[scene.count - 1]
    thing = f"{number} {scene.size_name} {scene.colour} {things}"
    vowel = scene.colour[0] in "aeiou"
    bare = f"{'an' if number == 'a' and vowel else number} {scene.colour} {things}"
    is_are = "is" if scene.count == 1 else "are"
    full = _pick(
        rng,
        (
            f"{thing} {scene.place} of a {scene.background} picture",
            f"{thing} {scene.place}, on a {scene.background} background",
            f"on a {scene.background} background there {is_are} {thing} {scene.place}",
            f"{scene.place} of the {scene.background} picture {is_are} {thing}",
        ),
    )
    less = _pick(rng, (f"{bare} {scene.place}", f"{bare} on {scene.background}", thing, f"a picture of {bare}"))
    return [f"{text[0].upper()}{text[1:]}." for text in (full, less)]


def draw(scene: Scene, path: Path) -> None:
    """Draw a scene into a PNG file; the same scene gives the same bytes with the same version of Pillow."""
    from PIL import Image, ImageDraw

    side = SIDE * _SAMPLES
    image = Image.new("RGB", (side, side), BACKGROUNDS[scene.background])
    pen = ImageDraw.Draw(image)
    colour = COLOURS[scene.colour]
    radius = scene.size * side / 2
    for x, y in scene.centres:
        middle_x, middle_y = x * side, y * side
        box = (middle_x - radius, middle_y - radius, middle_x + radius, middle_y + radius)
        if scene.shape == "circle":
            pen.ellipse(box, fill=colour)
        elif scene.shape == "ring":
            pen.ellipse(box, outline=colour, width=max(1, round(radius * 0.4)))
        else:
            outline = _outline(scene.shape)
            pen.polygon([(middle_x + radius * dx, middle_y + radius * dy) for dx, dy in outline], fill=colour)
    image.resize((SIDE, SIDE), Image.Resampling.BOX).save(path, format="PNG", optimize=False)


def _outline(shape: str) -> list[tuple[float, float]]:
    """Return the corners of a shape in the square from -1 to 1, y downwards."""
    if shape == "square":
        return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if shape == "triangle":
        return [(0, -1), (1, 1), (-1, 1)]
    if shape == "diamond":
        return [(0, -1), (0.75, 0), (0, 1), (-0.75, 0)]
    if shape == "cross":
        quarter = [(0.35, -1.0), (0.35, -0.35), (1.0, -0.35)]
        right = quarter + [(x, -y) for x, y in reversed(quarter)]
        return right + [(-x, y) for x, y in reversed(right)]
    if shape == "star":
        turns = [(math.pi * (i / 5 - 0.5), 1.0 if i % 2 == 0 else 0.42) for i in range(10)]
        return [(r * math.cos(angle), r * math.sin(angle)) for angle, r in turns]
    return [_heart(2 * math.pi * i / 60) for i in range(60)]


def _heart(t: float) -> tuple[float, float]:
    height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)  # from -17 to 11.93
    return math.sin(t) ** 3, -(height + 2.53) / 14.47


def _step(size: float) -> float:
    return size * 1.2


def _place(rng: random.Random, half: float, words: tuple[str, str, str]) -> tuple[str, float]:
    """Return a word for a side and a middle that fits: below 0.36, within 0.05 of 0.5, or above 0.64."""
    nearest = half + 0.02
    choices: list[tuple[str, float, float]] = [(words[1], max(0.45, nearest), min(0.55, 1 - nearest))]
    if nearest <= 0.36:
        choices += [(words[0], nearest, 0.36), (words[2], 0.64, 1 - nearest)]
    word, low, high = _pick(rng, tuple(choices))
    return word, round(low + (high - low) * rng.random(), 3)


def _pick(rng: random.Random, items: tuple[_T, ...]) -> _T:
    return items[int(rng.random() * len(items))]
