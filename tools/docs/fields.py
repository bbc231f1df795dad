"""Where every field of the API reference goes: to a metric, to an option, or nowhere and why.

Paths are those of `GET /v3/sources`, or begin with the name of the collector that reads another response; `[]` stands
for each element of a list. The fields that are exposed are those that the families declare. A metric is named without
the prefix; the label that has the value follows after a `:`.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import inspect

from exporter.families import DETAIL_COLLECTORS, FLEET, OPTIONAL_COLLECTORS, Collector
from exporter.families.consistency import CONSISTENCY
from exporter.families.errors import ERRORS
from exporter.families.family import PREFIX, SERVER_ID, sample_name
from exporter.families.task_details import TASK_DETAILS
from exporter.sms.model import SourceServer


def exposed_fields() -> Mapping[str, tuple[str, ...]]:
    """Return the fields of a source server that are exposed, with the metrics that have them."""
    # Every metric of one server has its id.
    exposed = {"id": ["source_server_info:server_id"], **_places((FLEET, *OPTIONAL_COLLECTORS))}
    return {field: tuple(exposed[field]) for field, _ in list_model_fields() if field in exposed}


def exposed_detail_fields() -> Mapping[str, tuple[str, ...]]:
    """Return the fields of other lists that are exposed, with the metrics that have them."""
    identities = {
        f"{collector.name}[].{field}": [f"{sample_name(collector.families[0]).removeprefix(PREFIX)}:{SERVER_ID}"]
        for collector, field in ((ERRORS, "source_id"), (TASK_DETAILS, "source_server.id"), (CONSISTENCY, "task_id"))
    }
    places = identities | _places(DETAIL_COLLECTORS)
    # A family may also read fields of a source server.
    return {field: tuple(places[field]) for field in places if _is_detail(field)}


def _is_detail(field: str) -> bool:
    return any(field.startswith(f"{collector.name}[].") for collector in DETAIL_COLLECTORS)


def _places(collectors: Iterable[Collector]) -> dict[str, list[str]]:
    """Return the metrics, or their labels, that have each field."""
    exposed: dict[str, list[str]] = {}
    for family in (family for collector in collectors for family in collector.families):
        name = sample_name(family).removeprefix(PREFIX)
        places = [(field, name) for field in family.values]
        places += [(field, f"{name}:{label}") for label, field in family.labels.items() if label != SERVER_ID]
        for field, place in places:
            exposed.setdefault(field, []).append(place)
    return exposed


def list_model_fields() -> Iterator[tuple[str, inspect.Type]]:
    """Return path and type of each field of the model, in the order of the reference's tables."""
    return _list_fields(inspect.type_info(SourceServer), "")


def _list_fields(kind: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    if isinstance(kind, inspect.UnionType):
        (kind, *_) = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from _list_fields(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(kind, inspect.VarTupleType) and isinstance(kind.item_type, inspect.StructType):
        yield from _list_fields(kind.item_type, f"{path}[]")
    else:
        yield path, kind


LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "current_task.log_bucket": "the location of the logs concerns only those who may read them",
        "current_task.log_share_url": "a secret: the link gives access to the logs",
        "current_task.log_expire": "validity of that link, useless without it",
        "current_task.clone_server.error_msg": "free text, unbounded; clone_error has the code",
        "checks[].id": "an internal number of the check",
        "checks[].params": "free text, unbounded",
        "checks[].error_or_warn": "free text, unbounded; result and error_code have the information",
        "checks[].error_params": "free text, unbounded",
        "init_target_server.disks[].physical_volumes[].index": "the position in the list",
        "init_target_server.disks[].physical_volumes[].uuid": "an identifier that nothing else refers to",
        "init_target_server.volume_groups[].components": "free text, unbounded; the disks list the volumes",
        "init_target_server.volume_groups[].logical_volumes[].block_count": "block_count times block_size is the size",
        "init_target_server.volume_groups[].logical_volumes[].block_size": "block_count times block_size is the size",
    },
)
"""The fields of a source server that are not exposed, with the reason."""

DETAILS_LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "errors[].host_name": "the name in the operating system; source_server_info has the name in SMS",
        "errors[].name": "source_server_info has the name of the server",
        "errors[].source_ip": "source_server_info has the address of the server",
        "errors[].target_ip": "task_target_info has the address of the target server",
        **{
            f"task_details[].{field}": f"the list of source servers has it: {metric}"
            for field, metric in (
                ("id", "task_info"),
                ("name", "task_info"),
                ("type", "task_info"),
                ("state", "task_state"),
                ("estimate_complete_time", "task_estimated_completion_timestamp_seconds"),
                ("speed_limit", "task_speed_limit_bytes_per_second"),
                ("migrate_speed", "task_migrate_speed_bytes_per_second"),
                ("compress_rate", "task_compress_rate"),
                ("start_target_server", "task_start_target_server"),
                ("log_collect_status", "task_log_collect_status"),
                ("subtask_info", "task_subtask_info"),
                ("os_type", "source_server_info"),
                ("enterprise_project_id", "source_server_info"),
                ("source_server.ip", "source_server_info"),
                ("source_server.name", "source_server_info"),
                ("source_server.os_type", "source_server_info"),
                ("source_server.os_version", "source_server_info"),
                ("source_server.oem_system", "source_server_oem_system"),
                ("source_server.state", "source_server_state"),
                ("target_server.vm_id", "task_info"),
                ("target_server.name", "task_info"),
                ("clone_server.vm_id", "task_clone_info"),
                ("clone_server.name", "task_clone_info"),
            )
        },
        "task_details[].create_date": "chooses the newest task of a server",
        "task_details[].priority": "a setting of the task, not its condition",
        "task_details[].need_migration_test": "a setting of the task, not its condition",
        "task_details[].special_config[].config_key": "a setting of the task, not its condition",
        "task_details[].special_config[].config_value": "a setting of the task, not its condition",
        "task_details[].special_config[].config_status": "a setting of the task, not its condition",
        "task_details[].total_time": "its unit is not documented; task_started_timestamp_seconds has the start",
        "task_details[].sub_tasks[].id": "an internal number of the subtask",
        "task_details[].sub_tasks[].process_trace": "free text, unbounded",
        "task_details[].target_server.id": "an identifier that nothing else refers to",
        "task_details[].target_server.os_type": "the target server has the operating system of the source server",
        "task_details[].target_server.os_version": "the target server has the operating system of the source server",
        "task_details[].network_check_info.cpu_usage": "task_source_cpu_ratio is more recent than the network check",
        "task_details[].network_check_info.mem_usage": "task_source_memory_bytes is more recent than the network check",
        "task_details[].network_check_info.evaluation_result": "free text; the other fields have the information",
        "projects[].description": "free text; migration_project_info has the name",
        "projects[].exist_server": "migration_project_source_servers has the number of servers",
        "projects[].start_network_check": "a setting of the project, not its condition",
        "projects[].start_target_server": "a setting of the project, not its condition",
        "projects[].syncing": "a setting of the project, not its condition",
        "projects[].use_public_ip": "a setting of the project, not its condition",
        "consistency[].result_list[].check_result": "its values are not documented; the page of the server shows it",
        "consistency[].result_list[].consistency_result[].dir_check": "free text, unbounded; the metrics have the sum "
        "over all directories",
    },
)
"""The fields of other lists that are not exposed, with the reason."""

ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Table 1: query parameters": MappingProxyType(
            {
                "state": "option `filter.state`",
                "name": "option `filter.name`",
                "id": "option `filter.id`",
                "ip": "option `filter.ip`",
                "ipv6": "option `filter.ipv6`",
                "migproject": "option `filter.migproject`",
                "limit": "always 200, the maximum of the API",
                "offset": "set by paging; see option `api.paging`",
                "migration_cycle": "option `filter.migration_cycle`",
                "connected": "option `filter.connected`",
                "enterprise_project_id": "option `filter.enterprise_project_id`",
                "is_consistency_result_exist": "option `filter.is_consistency_result_exist`",
                "vm_id": "option `filter.vm_id`",
            },
        ),
        "Table 2: request headers": MappingProxyType({"X-Auth-Token": "options `auth.*`"}),
        "Table 3: response body": MappingProxyType(
            {
                "count": "`api_source_servers`",
                "source_servers": "`snapshot_source_servers`, and all metrics of the servers",
            },
        ),
        "Tables 14 to 16: errors": MappingProxyType(
            {
                "error_code": "the log line of the failed poll; determines its `reason`",
                "error_msg": "the log line of the failed poll",
                "encoded_authorization_message": "left out: it may reveal policies",
                "error_param": "left out: repeats error_msg",
                "details[].error_code": "left out: repeats error_code",
                "details[].error_msg": "left out: repeats error_msg",
            },
        ),
    },
)
"""The fields of the reference that do not belong to a server."""
