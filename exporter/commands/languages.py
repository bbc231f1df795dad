"""The language of the tables and reports in a terminal."""

import os
import sys

from exporter.commands.output import is_terminal
from exporter.language import ENGLISH, LANGUAGES, choose_from_environment
from exporter.translation import IN_ENGLISH, Translator


def get_translator() -> Translator:
    """Return the language of the terminal; English in a pipe or a file, which scripts read."""
    if not is_terminal():
        return IN_ENGLISH
    language = choose_from_environment(os.environ)
    return Translator(language if _can_show(LANGUAGES[language]) else ENGLISH)


def _can_show(text: str) -> bool:
    """Return whether the encoding of the terminal has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
