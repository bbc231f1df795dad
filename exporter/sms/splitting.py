"""The rows of a page that no decoder accepts, found without decoding them.

Nothing here is recursive, so a row can be nested to any depth, or not be JSON at all, without costing the other rows.
"""

import re
from collections.abc import Iterator
from typing import Final

from exporter.errors import BadResponse
from exporter.language import Translatable

MAX_NESTING: Final = 10_000
"""Deeper nesting is not searched for its end: that would take seconds."""

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
"""A string (an unterminated one ends with the text), a bracket or a comma."""

_MEMBER: Final = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:\s*', re.DOTALL)
"""The key of a member of an object, with what separates it from the value."""


def split_object(text: bytes) -> dict[bytes, bytes]:
    """Return the values of a JSON object, undecoded, by their quoted keys. Raise BadResponse if it is not one."""
    members = {}
    for item in _split(text, b"{"):
        if key := _MEMBER.match(item):
            members[key[1]] = item[key.end() :]
    return members


def split_array(text: bytes, max_items: int) -> list[bytes]:
    """Return the items of a JSON array, undecoded. Raise BadResponse if it is not one, or has more items."""
    items: list[bytes] = []
    for item in _split(text, b"["):
        if len(items) == max_items:
            raise BadResponse(
                f"the API sent more than {max_items} rows on one page",
                hint=Translatable("check api.endpoint: the SMS API sends at most the requested number of rows"),
            )
        items.append(item)
    return items


def _split(text: bytes, opening: bytes) -> Iterator[bytes]:
    """Yield what is between the commas of the outermost brackets."""
    text = text.strip()
    if not text.startswith(opening):
        raise BadResponse(f"the API answered 200 with {_describe(text)}")
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_NESTING:
                    raise BadResponse(f"the API answered 200 with JSON that is nested more than {MAX_NESTING} times")
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                yield text[start : token.start()]
                start = token.end()
        if depth == 0:
            if last := text[start : token.start()].strip():
                yield last
            return
    raise BadResponse("the API answered 200 with incomplete JSON")


def _describe(text: bytes) -> str:
    if not text:
        return "an empty body"
    return "a page of HTML or XML" if text.startswith(b"<") else "a body that is not a list"
