"""The collector `fleet`: the account as a whole. Always on; its size does not grow with the fleet."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from exporter.families.family import Collector, Sample, SnapshotFamily
from exporter.model import FAILED_RESULTS, MIGRATION_CYCLES, OS_TYPES, SOURCE_STATES, SourceServer
from exporter.snapshot import OTHER, Snapshot, documented


def _counted(
    value: Callable[[SourceServer], str | None],
    enumeration: tuple[str, ...],
) -> Callable[[Snapshot], Iterator[Sample]]:
    """Count the servers by a documented enumeration; every value has a sample, 0 where there is none."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        counts = Counter(documented(value(server), enumeration) for server in snapshot.servers)
        for name in (*enumeration, OTHER):
            yield (name,), counts[name]

    return samples


def _by_state(
    value: Callable[[SourceServer], float | None],
) -> Callable[[Snapshot], Iterator[Sample]]:
    """Add up a figure by state; every state has a sample."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for state, total in _sums(snapshot, value).items():
            yield (state,), total

    return samples


def _sums(snapshot: Snapshot, value: Callable[[SourceServer], float | None]) -> dict[str, float]:
    sums: dict[str, float] = dict.fromkeys((*SOURCE_STATES, OTHER), 0)
    for server in snapshot.servers:
        sums[documented(server.state, SOURCE_STATES)] += value(server) or 0
    return sums


def _speed(snapshot: Snapshot) -> Iterator[Sample]:
    def value(server: SourceServer) -> float | None:
        return server.current_task.migrate_speed if server.current_task else None

    for state, total in _sums(snapshot, value).items():
        yield (state,), total * snapshot.speed_unit_bytes


def _by_connection(snapshot: Snapshot) -> Iterator[Sample]:
    counts = Counter(server.connected for server in snapshot.servers)
    yield ("true",), counts[True]
    yield ("false",), counts[False]


def _transitions(snapshot: Snapshot) -> Iterator[Sample]:
    for state in (*SOURCE_STATES, OTHER):
        yield (state,), snapshot.transitions_total.get(state, 0)


def _failed_checks(snapshot: Snapshot) -> Iterator[Sample]:
    # A check that stands twice in one record is one failing server all the same.
    counts = Counter(
        failed
        for server in snapshot.servers
        for failed in {(check.name or "", check.result) for check in server.checks or ()}
        if failed[1] in FAILED_RESULTS
    )
    for (check, result), count in sorted(counts.items()):
        yield (check, result or ""), count


FLEET: Final = Collector(
    "fleet",
    (
        SnapshotFamily(
            "source_servers",
            "Source servers in each state; an undocumented state counts as other.",
            "state",
            _counted(lambda server: server.state, SOURCE_STATES),
            ("state",),
        ),
        SnapshotFamily(
            "source_servers_by_migration_cycle",
            "Source servers in each stage of a migration; an undocumented stage counts as other.",
            "migration_cycle",
            _counted(lambda server: server.migration_cycle, MIGRATION_CYCLES),
            ("migration_cycle",),
        ),
        SnapshotFamily(
            "source_servers_by_connection",
            "Source servers whose agent is connected to SMS, or is not.",
            "connected",
            _by_connection,
            ("connected",),
        ),
        SnapshotFamily(
            "source_servers_by_os",
            "Source servers by operating system; an undocumented one counts as other.",
            "os_type",
            _counted(lambda server: server.os_type, OS_TYPES),
            ("os_type",),
        ),
        SnapshotFamily(
            "source_servers_size_bytes",
            "Data to be migrated, summed by the state of its servers.",
            "totalsize",
            _by_state(lambda server: server.totalsize),
            ("state",),
        ),
        SnapshotFamily(
            "source_servers_replicated_bytes",
            "Data migrated, summed by the state of its servers.",
            "replicatesize",
            _by_state(lambda server: server.replicatesize),
            ("state",),
        ),
        SnapshotFamily(
            "source_servers_migrate_speed_bytes_per_second",
            "Migration speed as the API tells it, summed by the state of its servers; "
            "its unit on the wire is in doubt: see api.migrate-speed-unit.",
            "current_task.migrate_speed",
            _speed,
            ("state",),
        ),
        SnapshotFamily(
            "source_server_state_transitions",
            "Changes of state seen between two complete polls, by the state that they ended in.",
            "state",
            _transitions,
            ("to_state",),
            "counter",
        ),
        SnapshotFamily(
            "source_servers_failed_checks",
            "Source servers with this environment check in this result.",
            "checks[].name, checks[].result",
            _failed_checks,
            ("check", "result"),
        ),
    ),
)
