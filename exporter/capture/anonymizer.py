"""Replaces everything private in the answers of the API, the same value always by the same replacement."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from uuid import UUID

from exporter.capture.fields import (
    CODES,
    DOCUMENTED_OBJECTS,
    FIELD_NAME,
    HEADERS,
    KNOWN_NAMES,
    PATH_WORDS,
    is_harmless,
    is_harmless_anywhere,
)

MAX_DEPTH: Final = 100
"""Levels of JSON; deeper values are left out."""

_V4: Final = IPv4Address("198.19.0.0")
_V6: Final = IPv6Address("2001:db8::")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")
_TOO_DEEP: Final = "too deep"


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a value in an answer.

    `path` has the names of the fields from the top, with `[]` for each list. `is_documented` is whether all objects
    around the value are documented: in other ones, the name of a field says nothing about its values.
    """

    path: tuple[str, ...] = ()
    is_documented: bool = True

    @property
    def is_documented_object(self) -> bool:
        """Whether the documentation has an object at this place."""
        return self.is_documented and (not self.path or self.path[-1] in DOCUMENTED_OBJECTS)

    def item(self) -> "_Place":
        """Return the place of the items of a list."""
        return _Place((*self.path[:-1], f"{self.path[-1]}[]"), self.is_documented) if self.path else _Place(("[]",))

    def field(self, name: str) -> "_Place":
        """Return the place of a field of an object."""
        return _Place((*self.path, name), self.is_documented_object)

    def is_harmless(self, text: str) -> bool:
        """Return whether a text or a number can be kept at this place."""
        if not self.is_documented:
            return is_harmless_anywhere(text)
        parent, key = ("", "", *self.path)[-2:]
        return is_harmless(parent.removesuffix("[]"), key, text)

    def __str__(self) -> str:
        return ".".join(name.removesuffix("[]") for name in self.path)


class Anonymizer:
    """Replaces private texts, numbers and names of fields.

    `kept` counts the texts that are kept, and `replaced` the values that are replaced, by the path of their field.
    `unknown` counts the fields that are not documented and whose names are kept. The person who decides about the
    capture sees them.
    """

    def __init__(self) -> None:
        self._replacements: dict[str, str] = {}
        self._numbers: dict[float, int] = {}
        self._used: Counter[str] = Counter()
        self.kept: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.replaced: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def replace_json(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON of an answer without anything private: same shape, types and order."""
        return self._value(value, _Place(), 0)

    def replace_query(self, query: Mapping[str, str]) -> dict[str, str]:
        """Return query parameters without anything private."""
        return {name: self._text(value, _Place(("query", name)), 0) for name, value in query.items()}

    def replace_path(self, path: str) -> str:
        """Return a path without ids."""
        return "/".join(part if part in PATH_WORDS else self._replace(part, "path") for part in path.split("/"))

    def _value(self, value: Any, place: _Place, depth: int) -> Any:  # noqa: ANN401 - any JSON
        if depth > MAX_DEPTH:
            return _TOO_DEEP
        match value:
            case dict():
                return {
                    (name := self._name(key, place)): self._value(item, place.field(name), depth + 1)
                    for key, item in value.items()
                }
            case list():
                return [self._value(item, place.item(), depth + 1) for item in value]
            case str():
                return self._text(value, place, depth)
            case int() | float() if not (isinstance(value, bool) or place.is_harmless(json.dumps(value))):
                return self._number(value, place)
        return value

    def _name(self, key: str, place: _Place) -> str:
        if key in KNOWN_NAMES:
            return key
        if key in self._replacements or not (place.is_documented_object and FIELD_NAME.fullmatch(key)):
            return self._replace(key, "keys of objects")
        self.unknown[key] += 1
        return key

    def _text(self, text: str, place: _Place, depth: int) -> str:
        if place.is_harmless(text):
            self.kept[str(place)][text] += 1
            return text
        if text.lstrip().startswith(("{", "[")):
            nested = _parse(text)
            if nested is not None:
                # Some fields are JSON as text.
                return json.dumps(self._value(nested, place, depth + 1), ensure_ascii=False)
        return self._replace(text, str(place))

    def _replace(self, text: str, field: str) -> str:
        self.replaced[field] += 1
        if text not in self._replacements:
            self._replacements[text] = self._invent(text)
        return self._replacements[text]

    def _number(self, number: float, place: _Place) -> float:
        """Return the replacement of a number, in its type."""
        self.replaced[str(place)] += 1
        if number not in self._numbers:
            self._numbers[number] = self._next("number")
        return type(number)(self._numbers[number])

    def _invent(self, text: str) -> str:
        """Return a new replacement with the form of a text: an id, an address, or any text."""
        if _UUID.fullmatch(text):
            return str(UUID(int=(0x4 << 76) | (0x8 << 60) | self._next("id")))
        if _HEX.fullmatch(text):
            return f"{self._next('id'):032x}"
        try:
            address = ip_address(text)
        except ValueError:
            codes = dict.fromkeys(CODES.findall(text))
            return " ".join((*codes, f"text-{self._next('text')}"))
        if isinstance(address, IPv4Address):
            return str(_V4 + self._next("v4") % 2**16)
        return str(_V6 + self._next("v6"))

    def _next(self, kind: str) -> int:
        self._used[kind] += 1
        return self._used[kind]


def keep_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are known to be harmless."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in HEADERS and HEADERS[name.lower()].fullmatch(value)
    }


def _parse(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
