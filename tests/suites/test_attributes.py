"""Tables of attributes, and the sentences about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcclip.errors import DataError, UsageError
from pcclip.suites.attributes import parse_sentence, problems_of, read_attributes
from pcclip.suites.task import Attribute
from pcclip.types import Example

EXAMPLES = (
    Example("cats/a.jpg", Path("/d/cats/a.jpg"), label="cat", attributes={"colour": "grey", "size": 1.0}),
    Example("cats/b.jpg", Path("/d/cats/b.jpg"), label="cat"),
    Example("dogs/a.jpg", Path("/d/dogs/a.jpg"), label="dog"),
    Example("dogs/c.jpg", Path("/d/dogs/c.jpg"), label="dog"),
)


def table(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "attributes.csv"
    file.write_text(text, encoding="utf-8")
    return file


def sizes(examples: tuple[Example, ...], name: str = "size") -> list[float | str | None]:
    return [example.attributes.get(name) for example in examples]


def test_pictures_are_named_by_id_path_or_file_name(tmp_path: Path) -> None:
    text = "picture,size\n./cats/a.jpg,3\nb.jpg,4\n/d/dogs/a.jpg,5\n"
    examples, problems = read_attributes(table(tmp_path, text), EXAMPLES)
    assert sizes(examples) == [3, 4, 5, None]
    assert examples[0].attributes["colour"] == "grey"
    assert examples[3] is EXAMPLES[3]
    assert problems == ()


def test_classes_and_pictures_in_one_table_the_picture_goes_first(tmp_path: Path) -> None:
    text = "class;picture;size;age\ncat;;4;1\ndog;;30;\n;dogs/c.jpg;55;9\n"
    examples, problems = read_attributes(table(tmp_path, text), EXAMPLES)
    assert sizes(examples) == [4, 4, 30, 55]
    assert sizes(examples, "age") == [1, 1, None, 9]
    assert problems == ()


def test_what_is_wrong_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    text = (
        "picture,size,weight,flat,empty\ncats/a.jpg,nan,1,7,\ncats/b.jpg,big,2,7,\na.jpg,3,3,7,\nnone.jpg,3,3,7,\n"
        "dogs/c.jpg,8,4,7,\ndogs/a.jpg,9,inf,7,\ndogs/c.jpg,81,4,7,\n,1,1,7,\ndogs/a.jpg,1\n"
    )
    examples, problems = read_attributes(table(tmp_path, text), EXAMPLES)
    assert sizes(examples) == [1, None, 9, 8]  # the data's own value stays where the table's is no number
    assert sizes(examples, "weight") == [1, 2, None, 4]
    assert sizes(examples, "flat") == [7, 7, 7, 7]
    said = "\n".join(problems)
    for part in (
        "values of 'size' are no finite numbers: 'nan' (row 2), 'big' (row 3)",
        "values of 'weight' are no finite numbers: 'inf' (row 7)",
        "several pictures have the file name 'a.jpg' (row 4)",
        "no picture of the data is called 'none.jpg' (row 5)",
        "row 8: 'size' of picture 'dogs/c.jpg' is 81, and 8 in an earlier row",
        "row 9 names no picture and no class",
        "row 10: 2 cells, where the header has 5",
        "'flat' never varies: it is 7 for all 4 pictures",
        "'empty' has no value for any picture",
    ):
        assert part in said
    assert all("attributes.csv" in problem for problem in problems)
    assert len(problems) == 9


def test_many_unknown_names_are_one_problem(tmp_path: Path) -> None:
    text = "class,size\ncat,1\ndog,2\n" + "".join(f"bird{n},3\n" for n in range(20))
    examples, problems = read_attributes(table(tmp_path, text), EXAMPLES)
    assert sizes(examples) == [1, 1, 2, 2]
    (problem,) = problems
    assert "no picture of the data has the class 'bird0' (row 4)" in problem
    assert problem.endswith("and 15 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name,size\na,1\n", "says neither picture nor class: found 'name', 'size'"),
        ("class\ncat\n", "holds no attribute: found 'class'"),
        ("class,size,size\ncat,1,2\n", "names a column twice"),
    ],
)
def test_tables_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_attributes(table(tmp_path, text), EXAMPLES)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the attributes .*No such file"):
        read_attributes(tmp_path / "gone.csv", EXAMPLES)


def test_sentences() -> None:
    both = parse_sentence("size=The first is larger.|The first is smaller.|a large animal")
    assert both == Attribute("size", "The first is larger.", "The first is smaller.", "a large animal")
    turned = parse_sentence("size = The first image shows a big cat, while the second image shows a small cat.")
    assert turned.less == "The first image shows a small cat, while the second image shows a big cat."
    assert turned.phrase == ""
    equals = parse_sentence("size=The first has size=1.|The first has size=0.")
    assert equals.less == "The first has size=0."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "not a sentence of an attribute: 'size'"),
        ("=The first is larger.|x", "not a sentence"),
        ("size=", "not a sentence"),
        ("size=a|b|c|d", "not a sentence"),
        ("size=The first is larger.", "which cannot be turned round"),
        ("size=same|same", "the same sentence for more and for less"),
    ],
)
def test_sentences_that_lack_something(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_sentence(text)


def test_attributes_without_values_are_named() -> None:
    assert problems_of([Attribute("age", "m", "l")], EXAMPLES) == (
        "no picture has the attribute 'age'; there are: colour, size",
    )
    (problem,) = problems_of([Attribute("colour", "m", "l")], EXAMPLES)
    assert "is no number for 1 of 1 pictures, such as 'grey'" in problem
    (problem,) = problems_of([Attribute("size", "m", "l")], EXAMPLES)
    assert "is 1 for all 1 pictures" in problem
