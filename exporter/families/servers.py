"""The collector `servers`: each source server by its id. Only `_info` has descriptive labels."""

from dataclasses import replace
from typing import Final

from exporter.families.family import (
    ONE,
    Collector,
    LabelFamily,
    Sample,
    ValueFamily,
    build_label_reader,
    build_state_reader,
    seconds,
)
from exporter.polling.snapshot import OTHER, documented
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

_INFO_LABELS: Final = {
    "enterprise_project_id": "enterprise_project_id",
    "ip": "ip",
    "name": "name",
    "os_type": "os_type",
    "os_version": "os_version",
}
_read_info = build_label_reader(_INFO_LABELS)


def _list_states(state: str) -> tuple[Sample, ...]:
    current = documented(state, SOURCE_STATES)
    return tuple(((each,), float(each == current)) for each in (*SOURCE_STATES, OTHER))


STATE: Final = LabelFamily(
    "source_server_state",
    "Current state of the source server, always 1; undocumented states are other.",
    build_state_reader(SOURCE_STATES),
    {"state": "state"},
    "state",
)
STATE_SET: Final = replace(
    STATE,
    help="Whether the source server is in the state, 1 or 0; undocumented states are other.",
    samples=_list_states,
)

SERVERS: Final = Collector(
    "servers",
    (
        LabelFamily(
            "source_server_info",
            "Information about the source server, always 1; join it on account, server_id, job and instance.",
            lambda server: ((_read_info(server), ONE),),
            _INFO_LABELS,
            labels_optional=True,
        ),
        STATE,
        LabelFamily(
            "source_server_migration_cycle",
            "Current migration stage of the source server, always 1; undocumented stages are other.",
            build_state_reader(MIGRATION_CYCLES),
            {"migration_cycle": "migration_cycle"},
            "migration_cycle",
        ),
        ValueFamily(
            "source_server_connected",
            "Whether the agent on the source server is connected to SMS, 1 or 0.",
            "connected",
        ),
        ValueFamily("source_server_size_bytes", "Data to migrate from the source server.", "totalsize"),
        ValueFamily(
            "source_server_replicated_bytes", "Data replicated from the source server so far.", "replicatesize"
        ),
        ValueFamily("source_server_cpus", "Number of CPUs of the source server.", "cpu_quantity"),
        ValueFamily("source_server_memory_bytes", "Physical memory of the source server.", "memory"),
        ValueFamily(
            "source_server_registered_timestamp_seconds",
            "Unix time at which the source server was registered with SMS.",
            "add_date",
            seconds,
        ),
        ValueFamily(
            "source_server_state_changed_timestamp_seconds",
            "Unix time at which the state of the source server last changed.",
            "state_action_time",
            seconds,
        ),
        ValueFamily(
            "source_server_migration_cycle_changed_timestamp_seconds",
            "Unix time at which the migration stage of the source server last changed.",
            "stage_action_time",
            seconds,
        ),
        ValueFamily(
            "source_server_last_visit_timestamp_seconds",
            "Unix time of the last connection change of the agent according to the API reference; "
            "in practice it moves with every heartbeat.",
            "last_visit_time",
            seconds,
        ),
        ValueFamily(
            "source_server_replicated_bytes_last_increase_timestamp_seconds",
            "Unix time of the poll that last saw replicated data of the source server increase, "
            "or that first saw the server.",
            "id",
            convert_in=lambda snapshot: snapshot.last_growth.get,
            source="replicatesize",
        ),
        ValueFamily(
            "source_server_consistency_result",
            "Whether a consistency verification of the source server has a result, 1 or 0.",
            "is_consistency_result_exist",
        ),
        ValueFamily(
            "source_server_oem_system",
            "Whether the operating system of the source server is an OEM version of Windows, 1 or 0.",
            "oem_system",
        ),
        ValueFamily(
            "source_server_has_tc",
            "Whether tc (traffic control) is installed on the source server, 1 or 0.",
            "has_tc",
        ),
    ),
)
