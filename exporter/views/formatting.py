"""Sizes, speeds, durations and times as people read them, in the language of a translator."""

import math
from datetime import UTC, datetime
from typing import Final

from exporter.language import Translatable
from exporter.translation import IN_ENGLISH, Translator

_SIZE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZE_FACTOR: Final = 1024
_DURATION_UNITS: Final = (
    (Translatable("%(number)s d"), 86_400),
    (Translatable("%(number)s h"), 3_600),
    (Translatable("%(number)s min"), 60),
    (Translatable("%(number)s s"), 1),
)
_SECONDS_PER_MINUTE: Final = 60


def format_number(number: int) -> str:
    """Return a count with thousands separators, such as `10,000`."""
    return f"{number:,}"


def format_size(number: float) -> str:
    """Return a number of bytes with three or four digits, such as `1.46 TiB`."""
    unit = 0
    while number >= _SIZE_FACTOR and unit < len(_SIZE_UNITS) - 1:
        number /= _SIZE_FACTOR
        unit += 1
    digits = 0 if unit == 0 else max(0, 3 - len(str(int(number))))
    return f"{number:z.{digits}f} {_SIZE_UNITS[unit]}"


def format_speed(bytes_per_second: float) -> str:
    """Return a speed such as `31.2 MiB/s`."""
    return f"{format_size(bytes_per_second)}/s"


def format_duration(seconds: float, translator: Translator = IN_ENGLISH) -> str:
    """Return a duration in its two largest units, such as `2 h 5 min`."""
    rest = max(0, int(seconds))
    parts: list[tuple[int, str]] = []
    for unit, length in _DURATION_UNITS:
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append((number, unit))
    match [translator.gettext(unit) % {"number": number} for number, unit in parts[:2] if number]:
        case [larger, smaller]:
            return translator.gettext("%(larger)s %(smaller)s") % {"larger": larger, "smaller": smaller}
        case [only]:
            return only
    return translator.gettext("%(number)s s") % {"number": 0}


def format_latency(seconds: float, translator: Translator = IN_ENGLISH) -> str:
    """Return the duration of a request or a poll: `84 ms`, `1.25 s`, and from one minute as `format_duration`."""
    if seconds < 1:
        return translator.gettext("%(number)s ms") % {"number": f"{seconds * 1000:.0f}"}
    if seconds < _SECONDS_PER_MINUTE:
        return translator.gettext("%(number)s s") % {"number": f"{seconds:.2f}"}
    return format_duration(seconds, translator)


def format_percent(share: float, translator: Translator = IN_ENGLISH) -> str:
    """Return a share in percent, such as `12.5 %`."""
    return translator.gettext("%(number)s %%") % {"number": f"{share:z.1f}"}


def format_time(seconds: float) -> str:
    """Return seconds since the epoch as a date and time in UTC; empty if no calendar has that date."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return ""


def percent(part: float, whole: float) -> float:
    """Return a share from 0 to 100, rounded down to one digit, so that only a complete part is 100."""
    return min(100.0, math.floor(1000 * part / whole) / 10) if whole > 0 else 0.0
