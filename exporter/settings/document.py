"""The content of a YAML file, and the lines of its keys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Location = tuple[str | int, ...]
"""The keys and indexes that lead to a value."""


class PlainText(str):
    """A scalar without quotes; empty if nothing follows its key."""

    __slots__ = ()


@dataclass(frozen=True)
class Document:
    """The content of a file. `line` returns the line of a key or a list item; None if the file does not have it.

    `digest` changes with the bytes of the file; empty if there is no file.
    """

    content: dict[str, Any]
    line: Callable[[Location], int | None] = lambda _: None
    digest: str = ""
