"""Reports of lines that a terminal wraps, with the width of its characters."""

import re
import shutil
import unicodedata
from collections.abc import Iterable
from typing import Final

from exporter.commands.output import is_terminal, print_text

_WORD: Final = re.compile(
    r"(\s*)([\u2e80-\uffef][\u3001\u3002\uff09\uff0c\uff1a\uff1b]*|[^\s\u2e80-\uffef]+[\u3001\u3002\uff09\uff0c\uff1a\uff1b]*)"
)
"""The blanks before what is never wrapped, and that: a word, or a wide character, with the punctuation after it."""


def print_report(lines: Iterable[str], column: int) -> None:
    """Write lines; a terminal wraps long ones, with the continuation indented to `column`."""
    if is_terminal():
        width = shutil.get_terminal_size().columns
        lines = (wrap_cells(line, width, column) for line in lines)
    print_text("\n".join(lines))


def count_cells(text: str) -> int:
    """Return how many columns of a terminal a text takes; a Chinese character takes two."""
    return len(text) + sum(unicodedata.east_asian_width(character) in {"F", "W"} for character in text)


def wrap_cells(line: str, width: int, column: int = 0) -> str:
    """Wrap a line to `width` columns, at blanks and between wide characters; indent the continuation to `column`."""
    lines = [""]
    for blank, word in _WORD.findall(line):
        if lines[-1].strip() and count_cells(lines[-1] + blank + word) > width:
            lines.append(f"{' ' * column}{word}")
        else:
            lines[-1] += blank + word
    return "\n".join(lines)
