"""The help of the program: its commands, and the options of the exporter."""

import shutil
from collections.abc import Mapping

from exporter.commands.output import PROG
from exporter.commands.usage import ALL_OPTIONS_HINT, DESCRIPTION, OPTION_SOURCES, SERVING_EXIT_CODES
from exporter.settings import Settings
from exporter.settings.manual import Manual, help_text


def overview(commands: Mapping[str, str], *, brief: bool) -> str:
    """Return the help of the program, with the summaries of its commands. Brief help has only the most used options."""
    hint = f"Help for a command: {PROG} COMMAND --help. {ALL_OPTIONS_HINT}." if brief else OPTION_SOURCES
    manual = Manual(PROG, DESCRIPTION, SERVING_EXIT_CODES, hint, brief=brief, commands=commands)
    return help_text(manual, Settings, shutil.get_terminal_size().columns)
