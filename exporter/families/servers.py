"""The collector `servers`: each source server by its id. Only `_info` has the words."""

from dataclasses import replace
from typing import Final

from exporter.families.family import (
    ONE,
    Collector,
    Sample,
    ServerFamily,
    SnapshotValueFamily,
    Value,
    ValueFamily,
    one_of,
    seconds,
)
from exporter.polling.snapshot import OTHER, Snapshot, documented
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES, SourceServer

_STATES: Final = one_of(SOURCE_STATES)
_CYCLES: Final = one_of(MIGRATION_CYCLES)


def _info(server: SourceServer) -> tuple[Sample]:
    project = server.enterprise_project_id
    labels = (
        "" if project is None else str(project),
        server.ip or "",
        server.name or "",
        server.os_type or "",
        server.os_version or "",
    )
    return ((labels, ONE),)


def _all_states(server: SourceServer) -> tuple[Sample, ...]:
    if server.state is None:
        return ()
    current = documented(server.state, SOURCE_STATES)
    return tuple(((state,), float(state == current)) for state in (*SOURCE_STATES, OTHER))


def _grown_at(snapshot: Snapshot) -> Value:
    return lambda server: snapshot.last_growth.get(server.id)


STATE: Final = ServerFamily(
    "source_server_state",
    "1 for the state that the server is in; an undocumented state is other.",
    "state",
    lambda server: _STATES(server.state),
    ("state",),
)
STATE_SET: Final = replace(
    STATE,
    help="1 for the state that the server is in, 0 for all others; an undocumented state is other.",
    samples=_all_states,
)

SERVERS: Final = Collector(
    "servers",
    (
        ServerFamily(
            "source_server_info",
            "What a source server is called, for joining on account and server_id.",
            "name, ip, os_type, os_version, enterprise_project_id",
            _info,
            ("enterprise_project_id", "ip", "name", "os_type", "os_version"),
        ),
        STATE,
        ServerFamily(
            "source_server_migration_cycle",
            "1 for the stage of the migration that the server is in; an undocumented stage is other.",
            "migration_cycle",
            lambda server: _CYCLES(server.migration_cycle),
            ("migration_cycle",),
        ),
        ValueFamily(
            "source_server_connected",
            "Whether the server's agent is connected to SMS.",
            "connected",
            lambda server: server.connected,
        ),
        ValueFamily(
            "source_server_size_bytes",
            "Data of the server to be migrated.",
            "totalsize",
            lambda server: server.totalsize,
        ),
        ValueFamily(
            "source_server_replicated_bytes",
            "Data of the server migrated so far.",
            "replicatesize",
            lambda server: server.replicatesize,
        ),
        ValueFamily(
            "source_server_cpus",
            "CPUs of the server.",
            "cpu_quantity",
            lambda server: server.cpu_quantity,
        ),
        ValueFamily(
            "source_server_memory_bytes",
            "Physical memory of the server.",
            "memory",
            lambda server: server.memory,
        ),
        ValueFamily(
            "source_server_registered_timestamp_seconds",
            "When the server was registered with SMS.",
            "add_date",
            lambda server: seconds(server.add_date),
        ),
        ValueFamily(
            "source_server_state_changed_timestamp_seconds",
            "When the server's state last changed.",
            "state_action_time",
            lambda server: seconds(server.state_action_time),
        ),
        ValueFamily(
            "source_server_migration_cycle_changed_timestamp_seconds",
            "When the server's stage of the migration last changed.",
            "stage_action_time",
            lambda server: seconds(server.stage_action_time),
        ),
        ValueFamily(
            "source_server_last_visit_timestamp_seconds",
            "When the agent's connection last changed, so the reference; real answers look like a heartbeat.",
            "last_visit_time",
            lambda server: seconds(server.last_visit_time),
        ),
        SnapshotValueFamily(
            "source_server_replicated_bytes_last_increase_timestamp_seconds",
            "When a poll last saw the server's migrated data grow, or first saw the server.",
            "replicatesize",
            _grown_at,
        ),
        ValueFamily(
            "source_server_consistency_result",
            "Whether there is a result of a consistency check of the server.",
            "is_consistency_result_exist",
            lambda server: server.is_consistency_result_exist,
        ),
        ValueFamily(
            "source_server_oem_system",
            "Whether the server's operating system is an OEM Windows.",
            "oem_system",
            lambda server: server.oem_system,
        ),
        ValueFamily(
            "source_server_has_tc",
            "Whether tc (traffic control) is installed on the server.",
            "has_tc",
            lambda server: server.has_tc,
        ),
    ),
)
