"""The inputs in the corpus of the fuzzer: each target passes them, and notices when the exporter does not."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigurationError
from fuzz.__main__ import Run, add_rows
from fuzz.api import read_rows
from fuzz.checks import SECRET, WRITTEN_FORMS, check_line
from fuzz.choices import Choices
from fuzz.targets import CORPUS, TARGETS, read_corpus

INPUTS = [(target, name, content) for target in TARGETS for name, content in read_corpus(target).items()]


@pytest.mark.parametrize(("target", "content"), [pytest.param(t, c, id=f"{t}-{n}") for t, n, c in INPUTS])
def test_the_corpus_finds_no_defect(target: str, content: bytes) -> None:
    TARGETS[target](content)


def test_every_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} == TARGETS.keys()


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=20)
@given(content=st.binary(max_size=200))
def test_random_inputs_find_no_defect(target: str, content: bytes) -> None:
    TARGETS[target](content)


@pytest.mark.parametrize("line", ["a\nb", "\x1b[31m", "a" * 10_000, *(f"it is {form}" for form in WRITTEN_FORMS)])
def test_a_line_that_must_not_be_shown_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check_line(line)


def test_choices_are_made_with_the_bytes_of_the_input() -> None:
    choices = Choices(b"\x01\x02\x00\x05abc")
    assert [choices.number(1), choices.number(255), choices.number(1000), choices.rest()] == [1, 2, 5, b"abc"]
    assert (choices.number(9), choices.one_of("xy"), choices.text(3)) == (0, "x", "")


def test_the_reference_reads_a_page_as_documented_and_no_other() -> None:
    page = msgspec.json.encode({"count": 1, "source_servers": [{"id": "a"}]})
    assert read_rows(page, "source_servers") == (1, [{"id": "a"}])
    assert read_rows(page, "tasks") is None
    assert read_rows(b'{"count": -1, "source_servers": []}', "source_servers") is None
    assert read_rows(b'{"count": NaN, "source_servers": []}', "source_servers") is None


def test_the_inputs_of_several_runs_are_added() -> None:
    page = "above\n<!-- fuzz: make fuzz -->\n| target | … |\n| --- | --- |\n<!-- end -->\nbelow\n"
    for inputs in (1_000, 234):
        page = add_rows(page, [Run("pages", inputs, 50, failed=False, output="")], ("2026-11-26", "abc", "7"))
    assert "| pages | 1,234 | 50 | 2026-11-26 | abc | 7 |" in page
    assert page.count("| pages |") == 1
    assert page.startswith("above\n")
    assert page.endswith("<!-- end -->\nbelow\n")


def test_errors_of_the_configuration_are_printable_lines() -> None:
    error = ConfigurationError(["a label \x1b[31m\u202e", "two\nlines", SECRET])
    assert error.lines == ("a label \\x1b[31m\\u202e", "two\\nlines", SECRET)
