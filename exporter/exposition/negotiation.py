"""What a scraper asks for and gets: the format by `Accept`, the encoding by `Accept-Encoding`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from exporter.exposition.text import Syntax

Encoding: TypeAlias = Literal["identity", "gzip"]

_ESCAPINGS: Final = frozenset({"allow-utf-8", "underscores", "dots", "values"})


@dataclass(frozen=True, slots=True)
class Format:
    """A format of the exposition: how it is written and what `Content-Type` says of it."""

    syntax: Syntax
    content_type: str


TEXT: Final = Format("text", "text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True, slots=True)
class _Range:
    """One element of an `Accept…` header: its value in lower case, its parameters, its weight."""

    value: str
    parameters: dict[str, str]
    weight: float


def negotiate_format(accept: str) -> Format:
    """Give the format that weighs most; among equals the first. Who accepts none gets text 0.0.4."""
    best: tuple[float, Format] = (0.0, TEXT)
    for element in _ranges(accept):
        offered = _offered(element)
        if offered is not None and element.weight > best[0]:
            best = (element.weight, offered)
    return best[1]


def negotiate_encoding(accept_encoding: str) -> Encoding:
    """Give gzip where it is accepted and identity does not weigh more."""
    weights = {element.value: element.weight for element in _ranges(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return "gzip" if gzip > 0 and gzip >= weights.get("identity", 0.0) else "identity"


def _offered(element: _Range) -> Format | None:
    version = element.parameters.get("version", "")
    escaping = element.parameters.get("escaping", "")
    suffix = f"; escaping={escaping}" if escaping in _ESCAPINGS else ""
    match element.value, version:
        case "application/openmetrics-text", "" | "1.0.0" | "0.0.1":
            spoken = version or "1.0.0"
            return Format("openmetrics", f"application/openmetrics-text; version={spoken}; charset=utf-8{suffix}")
        case "text/plain", "1.0.0":
            return Format("text", f"text/plain; version=1.0.0; charset=utf-8{suffix}")
        case ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _):
            return TEXT
    return None


def _ranges(header: str) -> Iterator[_Range]:
    for element in header.split(","):
        value, *parameters = (part.strip() for part in element.split(";"))
        pairs = dict(_pair(parameter) for parameter in parameters)
        if value:
            yield _Range(value.lower(), pairs, _weight(pairs.pop("q", "1")))


def _pair(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _weight(text: str) -> float:
    """Read a weight from 0 to 1; what is none weighs nothing."""
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0
