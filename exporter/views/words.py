"""Figures and names as a person reads them."""

import math
from datetime import UTC, datetime
from typing import Final

_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_STEP: Final = 1024


def size(number: float) -> str:
    """Write a number of bytes with three digits or four, such as `1.46 TiB`."""
    unit = 0
    while number >= _STEP and unit < len(_SIZES) - 1:
        number /= _STEP
        unit += 1
    digits = 0 if unit == 0 else max(0, 3 - len(str(int(number))))
    return f"{number:.{digits}f} {_SIZES[unit]}"


def speed(bytes_per_second: float) -> str:
    """Write a speed, such as `31.2 MiB/s`."""
    return f"{size(bytes_per_second)}/s"


def span(seconds: float) -> str:
    """Write a time of any length by its two largest units, such as `2 h 5 min`."""
    rest = max(0, int(seconds))
    parts: list[tuple[int, str]] = []
    for unit, length in _SPANS:
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number) or "0 s"


def short_span(seconds: float) -> str:
    """Write a short time such as a request's: `84 ms`, `1.25 s`, and then as `span`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else span(seconds)  # noqa: PLR2004 - a minute


def percent(part: float, whole: float) -> float:
    """Give a share in percent, from 0 to 100, rounded down to one digit: 100 is all of it."""
    return min(100.0, math.floor(1000 * part / whole) / 10) if whole > 0 else 0.0


def moment(seconds: float) -> str:
    """Write seconds since the epoch as UTC; empty where no calendar has them."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return ""


def printable(text: str) -> str:
    """Escape what could move a terminal's cursor, begin a line or turn the writing around: names are anybody's."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
