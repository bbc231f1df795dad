"""YAML files, read strictly."""

from pathlib import Path

import pytest

from exporter.errors import ConfigurationError
from exporter.settings.document import Document
from exporter.settings.strict_yaml import MAX_DEPTH, MAX_FILE_BYTES, parse_yaml, read_yaml


def parse(text: str) -> Document:
    return parse_yaml(text.encode(), "a.yml")


def fault(text: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        parse(text)
    (line,) = error.value.lines
    return line.removeprefix("a.yml")


def test_every_scalar_is_text_as_it_is_written() -> None:
    assert parse("a: 007\nb: yes\nc: 1e3\nd: 2027-01-15\ne: '5'\nf: ~\ng: null\nh:\ni: [1, {j: 2}]\n").content == {
        "a": "007",
        "b": "yes",
        "c": "1e3",
        "d": "2027-01-15",
        "e": "5",
        "f": None,
        "g": None,
        "h": "",
        "i": ["1", {"j": "2"}],
    }


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert parse(text).content == {}


def test_a_merged_mapping_is_behind_what_is_written_and_before_later_ones() -> None:
    content = parse("one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nall: {<<: [*one, *two], a: 0}\n").content
    assert content["all"] == {"a": "0", "b": "1", "c": "2"}
    assert parse("one: &one {a: 1}\nall:\n  <<: *one\n  b: 2\n").content["all"] == {"a": "1", "b": "2"}


# What is in the innermost braces is one level deeper.
@pytest.mark.parametrize(("opening", "closing", "most"), [("[", "]", MAX_DEPTH), ("{a: ", "}", MAX_DEPTH - 1)])
def test_a_document_is_read_up_to_the_maximum_depth(opening: str, closing: str, most: int) -> None:
    parse("a: " + opening * most + closing * most)
    assert fault("a: " + opening * (most + 1) + closing * (most + 1)) == ": is nested too deeply"


def test_a_block_is_read_up_to_the_maximum_depth() -> None:
    def nested(depth: int) -> str:
        return "".join(f"{' ' * level}a:\n" for level in range(depth))

    parse(nested(MAX_DEPTH))
    parse(f"{{a: {'[' * MAX_DEPTH}{']' * MAX_DEPTH}}}")
    assert fault(nested(MAX_DEPTH + 1)) == ": is nested too deeply"
    assert fault("a: &a\n  b: *a\n") == ": is nested too deeply"


def test_merges_are_read_up_to_the_maximum_depth() -> None:
    def nested(depth: int) -> str:
        return "".join(f"{' ' * level}<<:\n" for level in range(depth)) + f"{' ' * depth}a: b\n"

    # The value of the innermost key is one level deeper.
    assert parse(nested(MAX_DEPTH - 1)).content == {"a": "b"}
    assert fault(nested(MAX_DEPTH)) == ": is nested too deeply"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", " line 3 column 1: a duplicate key: keep one"),
        ("a: 1\n[b]: 2\n", " line 2 column 1: a key must be text"),
        ("a: 1\n? {b: 1}\n: 2\n", " line 2 column 3: a key must be text"),
        ("a:\n  <<: 5\n", " line 2 column 7: << must be followed by an alias of a mapping"),
        ("a:\n  <<: [5]\n", " line 2 column 7: << must be followed by an alias of a mapping"),
        ("a: !x 5\n", " line 1 column 4: tags are not supported: put a value that begins with ! in quotes"),
        ("a: !x [5]\n", " line 1 column 4: tags are not supported: put a value that begins with ! in quotes"),
        ("a: !x {b: 5}\n", " line 1 column 4: tags are not supported: put a value that begins with ! in quotes"),
        ("a: *b\n", " line 1 column 4: an alias without an anchor: put a value that begins with * in quotes"),
        ("a: 1\n---\nb: 2\n", " line 2 column 1: a second document begins: keep one"),
        (
            "a: b: c\n",
            " line 1 column 5: a key is not allowed here: check the indentation, or put a value with a colon in quotes",
        ),
        ("a:\n\tb: 1\n", " line 2 column 1: indented with a tab: use spaces"),
        ("a: @b\n", " line 1 column 4: a value cannot begin with '@': put it in quotes"),
        ("a: 'b\n", " line 2 column 1: the file ends inside a value in quotes"),
        ("a: \x07\n", ": contains the control character #x0007"),
        ("- a\n", ": must be a mapping (key: value), not a list"),
        ("a\n", ": must be a mapping (key: value), not a single value"),
    ],
)
def test_a_problem_is_named_with_its_place(text: str, problem: str) -> None:
    assert fault(text) == problem


def test_a_file_that_is_not_text_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"a\.yml: is not UTF-8 text"):
        parse_yaml(b"a: \xff", "a.yml")
    assert parse_yaml("\ufeffa: 1".encode(), "a.yml").content == {"a": "1"}


def test_the_line_of_each_key_and_item_is_known() -> None:
    document = parse("a: &a\n  b:\n    - 1\n    - c: 2\nd:\n  <<: *a\n  e: 5\n")
    lines = {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 3,
        ("a", "b", 1, "c"): 4,
        ("d", "e"): 7,
        ("d", "b"): 2,
        ("x",): None,
        ("a", "x"): None,
        ("a", "b", 2): None,
        ("a", "b", 0, "x"): None,
    }
    assert {location: document.line(location) for location in lines} == lines
    assert parse("").line(("a",)) is None


def test_the_line_of_a_key_is_found_in_mappings_that_merge_others() -> None:
    document = parse("a: &a {x: 1}\nb: &b\n  <<: *a\n  y: 2\nc: &c {z: 3}\nd:\n  <<: [*b, *c]\n")
    assert [document.line(("d", key)) for key in "yxz"] == [4, 1, 5]


def test_mappings_that_merge_the_same_one_twice_are_searched_once() -> None:
    levels = "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    document = parse(f"a0: &a0 {{x: 1}}\n{levels}")
    assert document.line(("a39", "x")) == 1
    assert document.line(("a39", "missing")) is None


def test_a_digest_changes_with_the_content() -> None:
    assert parse("a: 1").digest == parse("a: 1").digest != parse("a: 2").digest


def test_a_file_is_read_up_to_the_maximum_size(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(b"a: 1" + b"\n" * (MAX_FILE_BYTES - 4))
    assert read_yaml(file, "--config.file").content == {"a": "1"}
    file.write_bytes(b"a: 1" + b"\n" * (MAX_FILE_BYTES - 3))
    with pytest.raises(ConfigurationError, match=f"--config.file: {file}: cannot be read: it is larger than"):
        read_yaml(file, "--config.file")
