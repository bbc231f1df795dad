"""`once`: one poll of each account, and its metrics in the text format on standard output."""

from types import MappingProxyType
from typing import Final

from exporter.commands.reading import Reading
from exporter.exposition.bodies import View
from exporter.exposition.text import render_metrics
from exporter.families.family import PREFIX

DESCRIPTION: Final = (
    "Polls each account once and prints the metrics in the text format: for node_exporter's textfile collector, "
    "and to see what a scrape would have."
)
STATUSES: Final = MappingProxyType(
    {
        0: "The list of every account came complete.",
        1: "The list of an account did not; what is known of all is printed.",
        2: "The configuration cannot be used, or an account has no credentials; nothing is printed.",
    },
)


async def exposition_text(reading: Reading, now: float) -> str:
    """Give the exposition at `now`, in seconds since the epoch.

    The metrics of the process are left out: it is about to end, and node_exporter has its own of these names.
    """
    view = View(frozenset(reading.exposition.collector_names), None, "text")
    own = (family for family in reading.health.registry.collect() if family.name.startswith(PREFIX))
    # Rendered first: it tells how many series are over a ceiling.
    body = await reading.exposition.body(view, now)
    return b"".join(body.complete(render_metrics(own, "text"), "identity").slices).decode()
