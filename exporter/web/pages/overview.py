"""What the status page tells of the lists, found once for each set of them however many people look."""

import asyncio
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.snapshot import Snapshot
from exporter.views.attention import Trouble, attention_view
from exporter.views.fleet import FleetView, fleet_view
from exporter.views.migrations import Migration, running_migrations

MOST_ROWS: Final = 50
"""Rows shown of a table; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet of all lists, and the first rows of its tables with how many there are in all."""

    fleet: FleetView
    migrations: tuple[Migration, ...]
    running: int
    troubles: tuple[Trouble, ...]
    in_trouble: int
    kinds: tuple[tuple[str, int], ...]
    warnings: int


def overview(snapshots: Sequence[Snapshot]) -> Overview:
    """Look through all servers."""
    migrations, attention = running_migrations(snapshots), attention_view(snapshots)
    return Overview(
        fleet=fleet_view(snapshots),
        migrations=migrations[:MOST_ROWS],
        running=len(migrations),
        troubles=attention.troubles[:MOST_ROWS],
        in_trouble=len(attention.troubles),
        kinds=attention.counts,
        warnings=attention.warnings,
    )


class Overviews:
    """Gives overviews, and keeps the last one. A large fleet is looked through in a thread."""

    def __init__(self) -> None:
        self._of: tuple[Snapshot, ...] = ()
        self._kept = overview(())
        self._looking = asyncio.Lock()

    async def of(self, snapshots: Sequence[Snapshot]) -> Overview:
        """Give the overview of these snapshots."""
        async with self._looking:
            # By identity: to compare snapshots by value would be to compare every server.
            if len(snapshots) != len(self._of) or not all(map(operator.is_, snapshots, self._of)):
                self._kept = await asyncio.to_thread(overview, snapshots)
                self._of = tuple(snapshots)
            return self._kept
