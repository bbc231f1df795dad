"""The collector `fleet`: each account as a whole. Always on; its number of series does not grow with the fleet."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from math import fsum
from operator import attrgetter
from typing import Final

from exporter.families.checks import select_failed
from exporter.families.family import Collector, Sample, SnapshotFamily
from exporter.polling.snapshot import OTHER, Snapshot, documented
from exporter.sms.model import MIGRATION_CYCLES, NO_TASK, OS_TYPES, SOURCE_STATES, SourceServer


def _count_by(name: str, help_text: str, field: str, enumeration: tuple[str, ...]) -> SnapshotFamily:
    """Declare a count of servers by a documented enumeration; each of its values has a sample, possibly 0."""
    read: Callable[[SourceServer], str | None] = attrgetter(field)

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        return _by_documented_value(Counter(map(read, snapshot.servers)).items(), enumeration)

    return SnapshotFamily(name, help_text, samples, {field: field})


def _sum_by_state(
    name: str,
    help_text: str,
    field: str,
    read: Callable[[SourceServer], float | None],
    factor: Callable[[Snapshot], int] = lambda _: 1,
) -> SnapshotFamily:
    """Declare a sum over servers by their state, times a factor; each documented state has a sample."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        numbers: defaultdict[str | None, list[float]] = defaultdict(list)
        for server in snapshot.servers:
            numbers[server.state].append(read(server) or 0)
        multiplier = factor(snapshot)
        # An exact sum does not depend on the order of the servers.
        sums = ((state, fsum(each) * multiplier) for state, each in numbers.items())
        return _by_documented_value(sums, SOURCE_STATES)

    return SnapshotFamily(name, help_text, samples, {"state": "state"}, (field,))


def _by_documented_value(numbers: Iterable[tuple[str | None, float]], enumeration: tuple[str, ...]) -> Iterator[Sample]:
    """Return the number of each value of an enumeration, and of all undocumented values together."""
    totals = dict.fromkeys((*enumeration, OTHER), 0.0)
    for value, number in numbers:
        totals[documented(value, enumeration)] += number
    return (((value,), total) for value, total in totals.items())


def _count_connections(snapshot: Snapshot) -> Iterator[Sample]:
    counts = Counter(server.connected for server in snapshot.servers)
    yield ("true",), counts[True]
    yield ("false",), counts[False]


def _count_transitions(snapshot: Snapshot) -> Iterator[Sample]:
    return _by_documented_value(snapshot.transitions_total.items(), SOURCE_STATES)


def _count_failed_checks(snapshot: Snapshot) -> Iterator[Sample]:
    # Many servers share one object of checks, see NestedValues in exporter/sms/decoding.py.
    servers = Counter(id(server.checks) for server in snapshot.servers)
    shared = {id(server.checks): server.checks for server in snapshot.servers}
    counts: Counter[tuple[str, str]] = Counter()
    for key, checks in shared.items():
        # A check that is in one record twice is still one failing server.
        for labels in {(check.name or "", check.result or "") for check in select_failed(checks or ())}:
            counts[labels] += servers[key]
    yield from sorted(counts.items())


FLEET: Final = Collector(
    "fleet",
    (
        _count_by(
            "source_servers",
            "Number of source servers by state; undocumented states count as other.",
            "state",
            SOURCE_STATES,
        ),
        _count_by(
            "source_servers_by_migration_cycle",
            "Number of source servers by migration stage; undocumented stages count as other.",
            "migration_cycle",
            MIGRATION_CYCLES,
        ),
        SnapshotFamily(
            "source_servers_by_connection",
            "Number of source servers by whether their agent is connected to SMS.",
            _count_connections,
            {"connected": "connected"},
        ),
        _count_by(
            "source_servers_by_os",
            "Number of source servers by operating system; undocumented ones count as other.",
            "os_type",
            OS_TYPES,
        ),
        _sum_by_state(
            "source_servers_size_bytes",
            "Data to migrate, summed over the source servers in each state.",
            "totalsize",
            lambda server: server.totalsize,
        ),
        _sum_by_state(
            "source_servers_replicated_bytes",
            "Replicated data, summed over the source servers in each state.",
            "replicatesize",
            lambda server: server.replicatesize,
        ),
        _sum_by_state(
            "source_servers_migrate_speed_bytes_per_second",
            "Migration speed reported by the API, summed over the source servers in each state. "
            "The option api.migrate-speed-unit is the unit that the API uses.",
            "current_task.migrate_speed",
            lambda server: (server.current_task or NO_TASK).migrate_speed,
            lambda snapshot: snapshot.speed_unit_bytes,
        ),
        SnapshotFamily(
            "source_server_state_transitions",
            "Number of state changes between complete polls, by the new state.",
            _count_transitions,
            {"to_state": "state"},
            kind="counter",
        ),
        SnapshotFamily(
            "source_servers_failed_checks",
            "Number of source servers on which the environment check has this result.",
            _count_failed_checks,
            {"check": "checks[].name", "result": "checks[].result"},
        ),
    ),
)
