"""The suite ``stamps``: captioned pictures of everyday things, with how large they are and how they were made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pcclip.data.stamps import read_stamps
from pcclip.progress import Progress
from pcclip.suites.attributes import read_attributes
from pcclip.suites.splitting import split_by_content
from pcclip.suites.task import MEASURES, Attribute, ClassWords, Protocol, Task, TaskSource
from pcclip.types import Example

TABLE = Path(__file__).with_name("stamps.csv")
"""``metres`` and ``photograph`` by picture, written by hand with the pictures in view.

``metres`` is about how long the thing is in its largest direction, tail and antennae left out, to one or
two digits: a common size of its kind, or of the young where the picture shows one. Empty where the size
cannot be told: flowers, toys of vehicles, fantasy, parts of a larger drawing. ``photograph`` is 1 for a
photograph, 0 for a drawing, empty where that is hard to say.
"""

SUPPORT = 0.25
ANIMALS = frozenset(("bird", "fish", "insect", "mammal", "shellfish"))

LABEL_WORDS = {
    "bird": "a bird with feathers, wings and a beak",
    "building": "a building with walls and a roof",
    "dessert": "a dessert with icing",
    "fish": "a fish with fins and scales",
    "flower": "a flower with petals",
    "fruit": "a fruit",
    "gravestone": "an upright gravestone",
    "insect": "an insect",
    "mammal": "a mammal with four limbs, mostly with fur",
    "mushroom": "a mushroom with a cap and a stem",
    "musical instrument": "a musical instrument",
    "nut": "a brown nut",
    "person": "a person",
    "piece of clothing": "a piece of clothing",
    "piece of kitchenware": "a piece of kitchenware, such as a pot or a mug",
    "piece of sports equipment": "a piece of sports equipment, mostly a ball",
    "planet or moon": "a grey planet or moon with craters",
    "shellfish": "a shellfish with a hard shell",
    "tool": "a tool with a handle",
    "toy": "a soft toy or a doll",
    "tree": "a whole tree with branches",
    "vegetable": "a vegetable",
    "vehicle": "a vehicle",
}
"""What sets each label's pictures off."""

ATTRIBUTES = (
    Attribute.between(
        "metres",
        "something that is larger in real life",
        "something that is smaller in real life",
        "something very large",
    ),
    Attribute.between("animal_metres", "a larger animal", "a smaller animal", "a large animal"),
    Attribute.between("photograph", "a photograph", "a drawing", "a photograph"),
)


class StampsSource(TaskSource):
    """The task ``stamps``: three quarters of the pictures to test on, the labelled rest beside them."""

    name = "stamps"

    def load(self, root: Path | None, progress: Progress | None = None) -> Task:
        """Read the stamps, fetching them on first use; ``root`` is not looked at.

        Raises:
            DataError: they are not installed and cannot be fetched.
        """
        dataset = read_stamps(progress=progress)
        examples, problems = read_attributes(TABLE, dataset)
        test, support = split_by_content([_with_animals(example) for example in examples], SUPPORT)
        return Task(
            self.name,
            MEASURES,
            test,
            support,
            dataset.quarantined,
            attributes=ATTRIBUTES,
            class_difference=ClassWords(LABEL_WORDS),
            protocol=Protocol(pairs=500),
            source="tuxpaint-stamps-default of Debian",
            notes=(
                *dataset.notes,
                *problems,
                "metres and animal_metres are the usual size of the kind of thing that is shown, written by hand: "
                "right to about a factor of 1.5. photograph is 1 for photographs and 0 for drawings.",
            ),
        )


def _with_animals(example: Example) -> Example:
    if example.label not in ANIMALS or "metres" not in example.attributes:
        return example
    return replace(example, attributes={**example.attributes, "animal_metres": example.attributes["metres"]})
