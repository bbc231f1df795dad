"""`once`: one poll of each account, and its metrics in the text format on standard output."""

import asyncio
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from exporter.clock import SystemClock
from exporter.commands.options import OnceSettings, load_once
from exporter.commands.output import PROG, print_text
from exporter.commands.process import get_runtime
from exporter.commands.reading import Reading, print_failures, read_once
from exporter.commands.usage import ALL_OPTIONS_HINT
from exporter.exposition.bodies import View
from exporter.exposition.text import render_metrics
from exporter.families.family import PREFIX
from exporter.settings.manual import Manual

DESCRIPTION: Final = (
    "Polls each account once and prints the metrics in the text format, as a scrape would return them: for the "
    "textfile collector of node_exporter, or for a look."
)
EXIT_CODES: Final = MappingProxyType(
    {
        0: "Every account was polled successfully.",
        1: "The poll of an account failed; the metrics of all accounts are printed.",
        2: "The configuration is invalid, or an account has no credentials; nothing is printed.",
    },
)


def main(argv: Sequence[str]) -> int:
    """Poll, print the metrics and return the exit code."""
    manual = Manual(f"{PROG} once", DESCRIPTION, EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = load_once(OnceSettings, argv, manual)
    reading = asyncio.run(read_once(settings, get_runtime()))
    print_text(asyncio.run(exposition_text(reading, SystemClock().time())).rstrip("\n"))
    return print_failures(reading)


async def exposition_text(reading: Reading, now: float) -> str:
    """Return the exposition at `now`, in seconds since the epoch.

    It has no metrics of the process, which is about to end: node_exporter has its own metrics with these names.
    """
    view = View(frozenset(reading.exposition.collector_names), None, "text")
    own = (family for family in reading.health.registry.collect() if family.name.startswith(PREFIX))
    # Rendered before the health metrics, which report how many series the limit dropped.
    body = await reading.exposition.body(view, now)
    return b"".join(body.complete(render_metrics(own, "text"), "identity").slices).decode()
