"""`status`: how the migrations stand after one poll of each account."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.commands.reading import Reading
from exporter.views.accounts import AccountView, account_views
from exporter.views.attention import AttentionView, attention_view
from exporter.views.fleet import FleetView, fleet_view
from exporter.views.migrations import Migration, running_migrations
from exporter.views.servers import ServerView, server_views
from exporter.views.words import printable, span, speed

DESCRIPTION: Final = (
    "Polls each account once and shows how its migrations stand: what needs a person first, then what runs. "
    "In a pipe it writes every server on a line of its own, in columns parted by tabs."
)
STATUSES: Final = MappingProxyType(
    {
        0: "The list of every account came complete, whether or not a server needs a person.",
        1: "The list of an account did not; what is known of the others is shown.",
        2: "The configuration cannot be used, or an account has no credentials; nothing is shown.",
    },
)

COLUMNS: Final = ("ACCOUNT", "NAME", "IP", "STATE", "REPLICATED", "SPEED", "LEFT", "TROUBLE")
NOTHING: Final = "-"
"""Stands for what the API did not tell, so that every line has as many columns."""


@dataclass(frozen=True)
class StatusView:
    """All that is shown in a terminal, at `now` in seconds since the epoch."""

    now: float
    accounts: Sequence[AccountView]
    fleet: FleetView
    attention: AttentionView
    migrations: Sequence[Migration]


def status_view(reading: Reading, now: float) -> StatusView:
    """Look at what was read."""
    snapshots = reading.snapshots()
    return StatusView(
        now,
        account_views(reading.accounts, now),
        fleet_view(snapshots),
        attention_view(snapshots),
        running_migrations(snapshots),
    )


def plain_lines(reading: Reading) -> Iterator[str]:
    """Give a line that names the columns, and one for each server; a name cannot break out of its column."""
    yield "\t".join(COLUMNS)
    for server in server_views(reading.snapshots()):
        yield "\t".join(printable(cell) or NOTHING for cell in _cells(server))


def _cells(server: ServerView) -> Iterator[str]:
    yield server.account
    yield server.name
    yield server.ip
    yield server.state
    yield "" if server.share is None else f"{server.share:.1f} %"
    yield "" if server.speed is None else speed(server.speed)
    yield "" if server.left is None else span(server.left)
    yield ", ".join(server.trouble)
