"""`status`: the state of the migrations after one poll of each account."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.commands.reading import Reading
from exporter.views.accounts import AccountView, build_account_views
from exporter.views.fleet import FleetView, build_fleet_view
from exporter.views.formatting import escape_unprintable, format_duration, format_speed
from exporter.views.servers import (
    AttentionView,
    ServerView,
    build_attention_view,
    build_server_views,
    by_urgency,
    running_migrations,
)

DESCRIPTION: Final = (
    "Polls each account once and shows the state of its migrations: servers that need attention first, then running "
    "migrations. In a pipe it writes one tab-separated line per server."
)
EXIT_CODES: Final = MappingProxyType(
    {
        0: "All accounts were polled successfully, whether or not a server needs attention.",
        1: "The poll of an account failed; the other accounts are shown.",
        2: "The configuration is invalid, or an account has no credentials; nothing is shown.",
    },
)

COLUMNS: Final = ("ACCOUNT", "NAME", "IP", "STATE", "REPLICATED", "SPEED", "LEFT", "PROBLEM")
NO_VALUE: Final = "-"
"""Written for a missing value, so that every line has the same number of columns."""


@dataclass(frozen=True)
class StatusView:
    """Everything that a terminal shows, at `now` in seconds since the epoch."""

    now: float
    accounts: Sequence[AccountView]
    fleet: FleetView
    attention: AttentionView
    migrations: Sequence[ServerView]


def build_status_view(reading: Reading, now: float) -> StatusView:
    """Return what a terminal shows of the polls."""
    servers = build_server_views(reading.snapshots())
    return StatusView(
        now,
        build_account_views(reading.accounts, now),
        build_fleet_view(servers),
        build_attention_view(servers),
        running_migrations(servers),
    )


def plain_lines(reading: Reading) -> Iterator[str]:
    """Return the column names and one line per server; a name cannot add columns or lines."""
    yield "\t".join(COLUMNS)
    for server in by_urgency(build_server_views(reading.snapshots())):
        yield "\t".join(escape_unprintable(cell) or NO_VALUE for cell in _cells(server))


def _cells(server: ServerView) -> Iterator[str]:
    yield server.account
    yield server.name
    yield server.ip
    yield server.state
    yield "" if server.share is None else f"{server.share:.1f} %"
    yield "" if server.speed is None else format_speed(server.speed)
    yield "" if server.remaining is None else format_duration(server.remaining)
    yield ", ".join(server.problems)
