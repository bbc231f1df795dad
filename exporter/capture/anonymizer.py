"""Replaces everything private in the answers of the API, the same value always by the same replacement."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from uuid import UUID

from exporter.capture.fields import CODES, FIELD_NAME, HEADERS, KNOWN_NAMES, PATH_WORDS, is_harmless

MAX_DEPTH: Final = 100
"""Levels of JSON; deeper values are left out."""

_V4: Final = IPv4Address("198.19.0.0")
_V6: Final = IPv6Address("2001:db8::")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")
_TOO_DEEP: Final = "too deep"


class Anonymizer:
    """Replaces private texts and ids.

    `kept` and `replaced` count the texts by the path of their field, `unknown` the fields that are not known, for the
    person who decides about the capture.
    """

    def __init__(self) -> None:
        self._replacements: dict[str | int, str | int] = {}
        self._numbers: Counter[str] = Counter()
        self.kept: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.replaced: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def replace_json(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON of an answer without anything private: same shape, types, numbers and order."""
        return self._value(value, (), 0)

    def replace_query(self, query: Mapping[str, str]) -> dict[str, str]:
        """Return query parameters without anything private."""
        return {name: self._text(value, ("query", name)) for name, value in query.items()}

    def replace_path(self, path: str) -> str:
        """Return a path without ids."""
        return "/".join(part if part in PATH_WORDS else self._replace(part, ("path",)) for part in path.split("/"))

    def _value(self, value: Any, path: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401 - any JSON
        if depth > MAX_DEPTH:
            return _TOO_DEEP
        match value:
            case dict():
                return {
                    (name := self._name(key)): self._value(item, (*path, name), depth + 1)
                    for key, item in value.items()
                }
            case list():
                return [self._value(item, path, depth + 1) for item in value]
            case str():
                return self._text(value, path, depth)
            case int() if value and not isinstance(value, bool) and _is_id(path):
                return self._number(value)
        return value

    def _name(self, key: str) -> str:
        if key not in KNOWN_NAMES:
            if key in self._replacements or not FIELD_NAME.fullmatch(key):
                return self._replace(key, ("keys of objects",))
            self.unknown[key] += 1
        return key

    def _text(self, text: str, path: tuple[str, ...], depth: int = 0) -> str:
        parent, key = ("", *path)[-2:] if path else ("", "")
        if is_harmless(parent, key, text):
            self.kept[".".join(path)][text] += 1
            return text
        if text.lstrip().startswith(("{", "[")):
            nested = _parse(text)
            if nested is not None:
                # Some fields are JSON as text.
                return json.dumps(self._value(nested, path, depth + 1), ensure_ascii=False)
        return self._replace(text, path)

    def _replace(self, text: str, path: tuple[str, ...]) -> str:
        self.replaced[".".join(path)] += 1
        if text not in self._replacements:
            self._replacements[text] = self._invent(text)
        return str(self._replacements[text])

    def _number(self, number: int) -> int:
        if number not in self._replacements:
            self._numbers["number"] += 1
            self._replacements[number] = self._numbers["number"]
        return int(self._replacements[number])

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
        self._numbers[kind] += 1
        return self._numbers[kind]


def keep_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are known to be harmless."""
    return {
        name.lower(): value
        for name, value in headers.items()
        if name.lower() in HEADERS and HEADERS[name.lower()].fullmatch(value)
    }


def _is_id(path: tuple[str, ...]) -> bool:
    return bool(path) and (path[-1] == "id" or path[-1].endswith("_id"))


def _parse(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
