"""Titled lists of facts, and how their values are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.translation import Translator


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value; a time is in seconds since the epoch instead of `text`."""

    name: str
    text: str = ""
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A titled list of facts."""

    title: str
    facts: Sequence[Fact]


def list_texts(*facts: tuple[str, str | int | None]) -> Iterator[Fact]:
    """Return the facts that have a value."""
    return (Fact(name, str(value)) for name, value in facts if value not in {None, ""})


def list_times(*facts: tuple[str, int | None]) -> Iterator[Fact]:
    """Return facts of times that the API gives in milliseconds; 0 means that a time was not set."""
    return (Fact(name, time=milliseconds / 1000) for name, milliseconds in facts if milliseconds)


def format_flag(value: bool | None, translator: Translator) -> str | None:
    """Return yes or no; None if the API does not report the value."""
    if value is None:
        return None
    return translator.gettext("yes") if value else translator.gettext("no")


def format_speed_limit(limit: int | None, translator: Translator) -> str | None:
    """Return a limit in Mbit/s; None if the API does not report it."""
    if limit is None:
        return None
    return f"{limit} Mbit/s" if limit else translator.pgettext("no speed limit", "none")
