"""`status`: the state of the migrations after one poll of each account."""

import asyncio
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from exporter.clock import SystemClock
from exporter.commands.languages import get_translator
from exporter.commands.options import load_once
from exporter.commands.output import PROG, is_terminal, print_text
from exporter.commands.process import get_runtime
from exporter.commands.reading import print_failures, read_once
from exporter.commands.status_view import StatusSettings, build_status_view, format_servers
from exporter.commands.terminal import show_progress, show_status, watch_status
from exporter.commands.usage import ALL_OPTIONS_HINT, EXIT_FAILURE
from exporter.errors import ConfigurationError
from exporter.settings.manual import Manual

DESCRIPTION: Final = (
    "Polls each account once and shows the state of its migrations: servers that need attention first, then running "
    "migrations. With --search, a filter, --sort or --all it shows one table of servers. In a pipe it writes one "
    "tab-separated line per server."
)
EXIT_CODES: Final = MappingProxyType(
    {
        0: "All accounts were polled successfully, whether or not a server needs attention.",
        1: "The poll of an account failed; the other accounts are shown.",
        2: "The configuration is invalid, or an account has no credentials; nothing is shown.",
    },
)


def main(argv: Sequence[str]) -> int:
    """Poll, show the migrations and return the exit code."""
    manual = Manual(f"{PROG} status", DESCRIPTION, EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = load_once(StatusSettings, argv, manual)
    output = settings.output or ("table" if is_terminal() else "tsv")
    if settings.watch and not (output == "table" and is_terminal()):
        raise ConfigurationError(["--watch: needs a terminal and --output=table"])
    translator = get_translator()
    if settings.watch:
        return asyncio.run(watch_status(settings, get_runtime(), translator))
    with show_progress(translator):
        reading = asyncio.run(read_once(settings, get_runtime()))
    if output == "table":
        show_status(build_status_view(reading, settings, SystemClock().time()), translator)
        if is_terminal():
            # The table shows the failures.
            return EXIT_FAILURE if reading.failures() else 0
    else:
        print_text(format_servers(reading, settings, output).removesuffix("\n"))
    return print_failures(reading)
