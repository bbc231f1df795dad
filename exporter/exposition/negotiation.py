"""What a scraper accepts: the format by `Accept`, the encoding by `Accept-Encoding`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from exporter.exposition.text import Syntax

MAX_CACHED_HEADERS: Final = 64
"""Maximum number of headers whose result is kept: all scrapes of a Prometheus server send the same ones."""

Encoding: TypeAlias = Literal["identity", "gzip"]

_ESCAPINGS: Final = frozenset({"allow-utf-8", "underscores", "values"})
"""Schemes that leave our names unchanged. `dots` is not among them: it would double every underscore."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of the exposition: its syntax and its `Content-Type`."""

    syntax: Syntax
    content_type: str


TEXT: Final = Format("text", "text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True, slots=True)
class _Element:
    """One element of an `Accept…` header: its value in lower case, its parameters, its weight."""

    value: str
    parameters: dict[str, str]
    weight: float


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def negotiate_format(accept: str) -> Format:
    """Return the format with the highest weight, the first one among equals; text 0.0.4 if none is acceptable."""
    best: tuple[float, Format] = (0.0, TEXT)
    for element in _parse_elements(accept):
        offered = _get_format(element)
        if offered is not None and element.weight > best[0]:
            best = (element.weight, offered)
    return best[1]


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def negotiate_encoding(accept_encoding: str) -> Encoding:
    """Return gzip if it is accepted and identity does not have a higher weight."""
    weights = {element.value: element.weight for element in _parse_elements(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return "gzip" if gzip > 0 and gzip >= weights.get("identity", 0.0) else "identity"


def _get_format(element: _Element) -> Format | None:
    version = element.parameters.get("version", "")
    escaping = element.parameters.get("escaping", "")
    suffix = f"; escaping={escaping}" if escaping in _ESCAPINGS else ""
    match element.value, version:
        case "application/openmetrics-text", "" | "1.0.0" | "0.0.1":
            answered = version or "1.0.0"
            return Format("openmetrics", f"application/openmetrics-text; version={answered}; charset=utf-8{suffix}")
        case "text/plain", "1.0.0":
            return Format("text", f"text/plain; version=1.0.0; charset=utf-8{suffix}")
        case ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _):
            return TEXT
    return None


def _parse_elements(header: str) -> Iterator[_Element]:
    for element in header.split(","):
        value, *parameters = (part.strip() for part in element.split(";"))
        pairs = dict(_parse_parameter(parameter) for parameter in parameters)
        if value:
            yield _Element(value.lower(), pairs, _parse_weight(pairs.pop("q", "1")))


def _parse_parameter(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _parse_weight(text: str) -> float:
    """Return a weight from 0 to 1; 0 if the text is not a weight."""
    weight = float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
    return weight if weight <= 1 else 0.0
