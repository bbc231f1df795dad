"""The collector `fleet`: the account as a whole. Always on; its size does not grow with the fleet."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from exporter.families.checks import failed_checks
from exporter.families.family import Collector, Sample, SnapshotFamily
from exporter.polling.snapshot import OTHER, Snapshot, documented
from exporter.sms.model import MIGRATION_CYCLES, OS_TYPES, SOURCE_STATES, SourceServer


def _counts(
    name: str,
    text: str,
    field: str,
    value: Callable[[SourceServer], str | None],
    enumeration: tuple[str, ...],
    label: str,
) -> SnapshotFamily:
    """Declare a count of the servers by a documented enumeration; every value has a sample, 0 where there is none."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        return _documented(Counter(map(value, snapshot.servers)).items(), enumeration)

    return SnapshotFamily(name, text, field, samples, (label,), reads=value)


def _sums(
    name: str,
    text: str,
    field: str,
    value: Callable[[SourceServer], float | None],
    unit: Callable[[Snapshot], int] = lambda _: 1,
) -> SnapshotFamily:
    """Declare a sum over the servers by their state, in a unit; every state has a sample."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        sums: defaultdict[str | None, float] = defaultdict(int)
        for server in snapshot.servers:
            sums[server.state] += value(server) or 0
        in_one = unit(snapshot)
        return _documented(((state, total * in_one) for state, total in sums.items()), SOURCE_STATES)

    return SnapshotFamily(name, text, field, samples, ("state",), reads=lambda server: (server.state, value(server)))


def _documented(figures: Iterable[tuple[str | None, float]], enumeration: tuple[str, ...]) -> Iterator[Sample]:
    """Give a figure for each value of an enumeration, and one for all others together."""
    by_word = dict.fromkeys((*enumeration, OTHER), 0.0)
    for word, figure in figures:
        by_word[documented(word, enumeration)] += figure
    return (((word,), figure) for word, figure in by_word.items())


def _speed(server: SourceServer) -> float | None:
    return server.current_task.migrate_speed if server.current_task else None


def _by_connection(snapshot: Snapshot) -> Iterator[Sample]:
    counts = Counter(server.connected for server in snapshot.servers)
    yield ("true",), counts[True]
    yield ("false",), counts[False]


def _transitions(snapshot: Snapshot) -> Iterator[Sample]:
    return _documented(snapshot.transitions_total.items(), SOURCE_STATES)


def _failed_checks(snapshot: Snapshot) -> Iterator[Sample]:
    counts: Counter[tuple[str, str]] = Counter()
    for server in snapshot.servers:
        if failed := failed_checks(server):
            # A check that stands twice in one record is one failing server all the same.
            counts.update({(check.name or "", check.result or "") for check in failed})
    yield from sorted(counts.items())


FLEET: Final = Collector(
    "fleet",
    (
        _counts(
            "source_servers",
            "Source servers in each state; an undocumented state counts as other.",
            "state",
            lambda server: server.state,
            SOURCE_STATES,
            "state",
        ),
        _counts(
            "source_servers_by_migration_cycle",
            "Source servers in each stage of a migration; an undocumented stage counts as other.",
            "migration_cycle",
            lambda server: server.migration_cycle,
            MIGRATION_CYCLES,
            "migration_cycle",
        ),
        SnapshotFamily(
            "source_servers_by_connection",
            "Source servers whose agent is connected to SMS, or is not.",
            "connected",
            _by_connection,
            ("connected",),
            reads=lambda server: server.connected,
        ),
        _counts(
            "source_servers_by_os",
            "Source servers by operating system; an undocumented one counts as other.",
            "os_type",
            lambda server: server.os_type,
            OS_TYPES,
            "os_type",
        ),
        _sums(
            "source_servers_size_bytes",
            "Data to be migrated, summed by the state of its servers.",
            "totalsize",
            lambda server: server.totalsize,
        ),
        _sums(
            "source_servers_replicated_bytes",
            "Data migrated, summed by the state of its servers.",
            "replicatesize",
            lambda server: server.replicatesize,
        ),
        _sums(
            "source_servers_migrate_speed_bytes_per_second",
            "Migration speed as the API tells it, summed by the state of its servers; "
            "its unit on the wire is in doubt: see api.migrate-speed-unit.",
            "current_task.migrate_speed",
            _speed,
            lambda snapshot: snapshot.speed_unit_bytes,
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
            reads=lambda server: server.checks,
        ),
    ),
)
