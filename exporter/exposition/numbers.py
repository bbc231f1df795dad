"""Sample values as text, byte for byte as prometheus-client writes them, except for -0, which is written as 0."""

from functools import lru_cache
from typing import Final

_EXPONENT_FROM: Final = 1e6
_MAX_EXACT_INTEGER: Final = 2**53
"""Up to it, an integer and the float of it are the same number."""
_EXPONENTS: Final = [f"e+{digits - 1:02d}" for digits in range(len(str(_MAX_EXACT_INTEGER)) + 1)]
# Most values are 0 or 1. As -0 equals 0, it is written as 0.
_COMMON: Final = {float(number): f"{number}.0" for number in range(101)}
_NOT_FINITE: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_USUAL_DATES: Final = range(10**12, 10**13)
"""Milliseconds since the epoch from 2001 to 2286: dates with 13 digits."""


def format_value(number: float) -> str:
    """Return a number as Go writes it: the shortest text that reads back the same, with an exponent from 1e+06."""
    if number < _EXPONENT_FROM:
        return _COMMON.get(number) or _format_plain(number)
    if isinstance(number, int) and number <= _MAX_EXACT_INTEGER:
        digits = str(number)
        return f"{digits[0]}.{digits[1:]}".rstrip("0.") + _EXPONENTS[len(digits)]
    return _format_large(number)


def format_milliseconds(milliseconds: int) -> str:
    """Return a date in milliseconds since the epoch as a value in seconds."""
    if milliseconds in _USUAL_DATES:
        # No shorter text than these 13 digits reads back as the same number.
        digits = str(milliseconds)
        return f"{digits[0]}.{digits[1:]}".rstrip("0.") + "e+09"
    return format_value(milliseconds / 1000)


@lru_cache(4096)  # Times of polls and speeds: many samples have the same value.
def _format_large(number: float) -> str:
    text = _format_plain(number)
    point = text.find(".")
    return f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.") + _EXPONENTS[point] if point > 1 else text


def _format_plain(number: float) -> str:
    text = repr(float(number))
    return _NOT_FINITE.get(text, text)
