"""What the pages show of all servers, computed once per set of snapshots and off the event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.blocking import Worker
from exporter.polling.snapshot import Snapshot
from exporter.views.fleet import FleetView, build_fleet_view
from exporter.views.problems import Problem
from exporter.views.selection import FILTERS, filter_values
from exporter.views.servers import ServerView, build_attention_view, build_server_views, running_migrations

MAX_ROWS: Final = 50
"""Rows shown per table of the status page; the servers page shows the others."""
MAX_CACHED: Final = 4
"""Sets of snapshots that are kept: all accounts, and the accounts that were chosen last."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All servers of some snapshots, the tables of the status page, and the values of each filter."""

    snapshots: tuple[Snapshot, ...]
    servers: Sequence[ServerView]
    totals: FleetView
    migrations: Sequence[ServerView]
    migration_count: int
    attention: Sequence[ServerView]
    attention_count: int
    problem_counts: Sequence[tuple[Problem, int]]
    warning_count: int
    filter_values: Mapping[str, Sequence[tuple[str, int]]]


def build_fleet(snapshots: tuple[Snapshot, ...]) -> Fleet:
    """Compute what the pages show of these snapshots."""
    servers = build_server_views(snapshots)
    migrations, attention = running_migrations(servers), build_attention_view(servers)
    return Fleet(
        snapshots=snapshots,
        servers=servers,
        totals=build_fleet_view(servers),
        migrations=migrations[:MAX_ROWS],
        migration_count=len(migrations),
        attention=attention.servers[:MAX_ROWS],
        attention_count=len(attention.servers),
        problem_counts=attention.counts,
        warning_count=attention.warnings,
        filter_values={name: filter_values(servers, name) for name in FILTERS},
    )


class FleetCache:
    """The fleets of the last sets of snapshots."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._fleets: list[Fleet] = []
        self._lock = asyncio.Lock()

    async def get(self, snapshots: Sequence[Snapshot]) -> Fleet:
        """Return the fleet of these snapshots, built in a thread if it is not known."""
        async with self._lock:
            for fleet in self._fleets:
                if fleet.snapshots == tuple(snapshots):
                    return fleet
            fleet = await self._worker.run(build_fleet, tuple(snapshots))
            # Of a snapshot that was replaced, nothing is kept.
            current = [known for known in self._fleets if not _replaces(fleet, known)]
            self._fleets = [fleet, *current][:MAX_CACHED]
            return fleet


def _replaces(fleet: Fleet, known: Fleet) -> bool:
    newer = {snapshot.account: snapshot for snapshot in fleet.snapshots}
    return any(newer.get(snapshot.account, snapshot) is not snapshot for snapshot in known.snapshots)
