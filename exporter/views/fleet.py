"""The fleet as a whole: how many servers are where, and how much is across."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.polling.snapshot import OTHER, Snapshot, documented
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from exporter.views.words import percent


@dataclass(frozen=True, slots=True)
class Bar:
    """So many servers have the value `name`: `share` percent of all, drawn from `start` percent on."""

    name: str
    count: int
    share: float
    start: float


@dataclass(frozen=True, slots=True)
class FleetView:
    """All servers that are known now. Sizes are bytes, speed bytes a second; `share` is percent."""

    servers: int
    connected: int
    size: int
    replicated: int
    share: float
    speed: float
    states: tuple[Bar, ...]
    cycles: tuple[Bar, ...]


def fleet_view(snapshots: Sequence[Snapshot]) -> FleetView:
    """Count the servers of all accounts, just as the family `fleet` does for each."""
    servers = [server for snapshot in snapshots for server in snapshot.servers]
    size = sum(server.totalsize or 0 for server in servers)
    replicated = sum(server.replicatesize or 0 for server in servers)
    return FleetView(
        servers=len(servers),
        connected=sum(server.connected is True for server in servers),
        size=size,
        replicated=replicated,
        share=percent(replicated, size),
        speed=sum(
            server.current_task.migrate_speed * snapshot.speed_unit_bytes
            for snapshot in snapshots
            for server in snapshot.servers
            if server.current_task and server.current_task.migrate_speed
        ),
        states=bars(Counter(documented(server.state, SOURCE_STATES) for server in servers), (*SOURCE_STATES, OTHER)),
        cycles=bars(
            Counter(documented(server.migration_cycle, MIGRATION_CYCLES) for server in servers),
            (*MIGRATION_CYCLES, OTHER),
        ),
    )


def bars(counts: Counter[str], names: Sequence[str]) -> tuple[Bar, ...]:
    """Give a bar for each name, in their order; the bars follow one another and fill the whole."""
    total = counts.total()
    made = []
    before = 0
    for name in names:
        count = counts[name]
        made.append(Bar(name, count, 100 * count / total if total else 0.0, 100 * before / total if total else 0.0))
        before += count
    return tuple(made)
