"""The prose check finds a seeded phrase in every kind of text that a person reads."""

from pathlib import Path

import pytest

from tools.prose import find_phrases, main

SEEDED = {
    "a docstring": '"""Return the list.\n\nThe operator is told\nwhen it changes."""\n',
    "a log message": 'log.warning("the file is read anew", account="north")\n',
    "a HELP string": 'Family("size_bytes", "Bytes across, by state.")\n',
    "an f-string": 'text = f"{name} stands still"\n',
    "a comment": "# Nobody needs a person for this.\nx = 1\n",
    "the name of a test": "def test_a_refusal_is_told_at_once() -> None:\n    pass\n",
    "a docstring's first word": 'def total() -> int:\n    """Give the sum."""\n    return 1\n',
}


@pytest.mark.parametrize("kind", SEEDED)
def test_a_seeded_phrase_is_found_in_python(kind: str) -> None:
    assert len(find_phrases(SEEDED[kind], is_python=True)) == 1


def test_a_seeded_phrase_is_found_in_a_page_over_two_lines_with_what_to_write_instead() -> None:
    (finding,) = find_phrases("# Accounts\n\nThe page is read\nonce, one a\nserver.\n", is_python=False)
    assert finding == (4, "one a server", "one per …")


def test_the_same_words_in_the_right_place_are_not_found() -> None:
    assert find_phrases("Tell Prometheus where the house stands: it needs a personal token.\n", is_python=False) == []
    assert find_phrases('"""Return what was given, and tell nobody."""\n', is_python=True) == []


def test_the_check_fails_with_the_place_of_each_phrase(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("Fine.\nRead it anew.\n", encoding="utf-8")
    assert main([str(page)]) == 1
    assert capsys.readouterr().out == f"{page}:2: anew: write again\n"


def test_the_check_succeeds_where_there_is_nothing_to_find(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Read it again.\n", encoding="utf-8")
    assert main([str(page)]) == 0
