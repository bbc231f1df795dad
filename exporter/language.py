"""The language of the pages and of the terminal, and texts that are translated where they are shown.

Logs, errors and machine-readable output are always in English.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

ENGLISH: Final = "en"
CHINESE: Final = "zh-CN"

LANGUAGES: Final[Mapping[str, str]] = MappingProxyType({ENGLISH: "English", CHINESE: "简体中文"})
"""The languages by their tags (BCP 47), each with its own name."""

_TRADITIONAL: Final = frozenset({"hant", "tw", "hk", "mo"})
"""Subtags of Chinese that is not written in simplified characters."""
_RANGE: Final = re.compile(r"\s*([A-Za-z0-9*-]+)\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")
_LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
_UNTRANSLATED_LOCALES: Final = frozenset({"C", "POSIX"})


def match_language(tag: str) -> str | None:
    """Return the language for a tag such as `zh-Hans-CN` or a locale such as `zh_CN.UTF-8`; None if there is none."""
    primary, *subtags = re.split(r"[-_.@]", tag.strip().lower())
    if primary == "zh" and ("hans" in subtags or _TRADITIONAL.isdisjoint(subtags)):
        return CHINESE
    return ENGLISH if primary == "en" else None


def choose_from_header(accept_language: str) -> str:
    """Return the language with the highest weight in `Accept-Language`, the first one among equals; else English."""
    best, highest = ENGLISH, 0.0
    for part in accept_language.split(","):
        found = _RANGE.fullmatch(part)
        language = match_language(found[1]) if found else None
        weight = float(found[2] or 1) if found else 0.0
        if language is not None and weight > highest:
            best, highest = language, weight
    return best


def choose_from_environment(environ: Mapping[str, str]) -> str:
    """Return the language of a terminal, from the variables that gettext reads, in the same order; else English."""
    locale = next((value for name in _LOCALE_VARIABLES if (value := environ.get(name))), "C")
    if locale.partition(".")[0] in _UNTRANSLATED_LOCALES:
        return ENGLISH
    wanted = (*environ.get("LANGUAGE", "").split(":"), locale)
    return next((language for tag in wanted if (language := match_language(tag))), ENGLISH)


class Translatable(str):
    """A text in English that is translated where it is shown; `values` replace its placeholders `%(name)s`."""

    __slots__ = ("message", "values")

    message: str
    values: Mapping[str, str]

    def __new__(cls, message: str, **values: str) -> Self:
        """Return the English text."""
        text = super().__new__(cls, message % values if values else message)
        text.message = message
        text.values = values
        return text
