"""The content of the status page, computed once per set of snapshots."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.blocking import Worker
from exporter.polling.snapshot import Snapshot
from exporter.views.fleet import FleetView, build_fleet_view
from exporter.views.problems import Problem
from exporter.views.servers import ServerView, build_attention_view, build_server_views, running_migrations

MAX_ROWS: Final = 50
"""Rows shown per table; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet, and the first rows of the tables with the number of all rows."""

    fleet: FleetView
    migrations: Sequence[ServerView]
    migration_count: int
    attention: Sequence[ServerView]
    attention_count: int
    problem_counts: Sequence[tuple[Problem, int]]
    warning_count: int


def build_overview(snapshots: Sequence[Snapshot]) -> Overview:
    """Return the overview of all servers."""
    servers = build_server_views(snapshots)
    migrations, attention = running_migrations(servers), build_attention_view(servers)
    return Overview(
        fleet=build_fleet_view(servers),
        migrations=migrations[:MAX_ROWS],
        migration_count=len(migrations),
        attention=attention.servers[:MAX_ROWS],
        attention_count=len(attention.servers),
        problem_counts=attention.counts,
        warning_count=attention.warnings,
    )


class OverviewCache:
    """The last overview, rebuilt in a thread when a snapshot was replaced."""

    def __init__(self) -> None:
        self._snapshots: tuple[Snapshot, ...] = ()
        self._overview = build_overview(())
        self._lock = asyncio.Lock()
        self._worker = Worker()

    async def get(self, snapshots: Sequence[Snapshot]) -> Overview:
        """Return the overview of these snapshots."""
        async with self._lock:
            if tuple(snapshots) != self._snapshots:
                self._overview = await self._worker.run(build_overview, snapshots)
                self._snapshots = tuple(snapshots)
            return self._overview
