"""The fields that the API documents, and those of a response that it does not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from msgspec import inspect

from exporter.sms.consistency import ConsistencyResult
from exporter.sms.details import MigrationError, MigrationProject, MigrationTask
from exporter.sms.model import Record, SourceServer
from exporter.sms.tolerant import alternatives

UNREAD_FIELDS: Final[Mapping[type[Record], frozenset[str]]] = MappingProxyType(
    {
        SourceServer: frozenset(
            {
                "current_task.log_bucket",
                "current_task.log_share_url",
                "current_task.log_expire",
                "current_task.clone_server.error_msg",
                "checks[].id",
                "checks[].params",
                "checks[].error_or_warn",
                "checks[].error_params",
                "init_target_server.disks[].physical_volumes[].index",
                "init_target_server.disks[].physical_volumes[].uuid",
                "init_target_server.volume_groups[].components",
                "init_target_server.volume_groups[].logical_volumes[].block_count",
                "init_target_server.volume_groups[].logical_volumes[].block_size",
            }
        ),
        MigrationError: frozenset({"host_name", "name", "source_ip", "target_ip"}),
        MigrationTask: frozenset(
            {
                "name",
                "type",
                "state",
                "estimate_complete_time",
                "speed_limit",
                "migrate_speed",
                "compress_rate",
                "start_target_server",
                "log_collect_status",
                "subtask_info",
                "os_type",
                "enterprise_project_id",
                "source_server.ip",
                "source_server.name",
                "source_server.os_type",
                "source_server.os_version",
                "source_server.oem_system",
                "source_server.state",
                "target_server.vm_id",
                "target_server.name",
                "target_server.id",
                "target_server.os_type",
                "target_server.os_version",
                "clone_server.vm_id",
                "clone_server.name",
                "priority",
                "need_migration_test",
                "special_config[].config_key",
                "special_config[].config_value",
                "special_config[].config_status",
                "total_time",
                "sub_tasks[].id",
                "sub_tasks[].process_trace",
                "network_check_info.cpu_usage",
                "network_check_info.mem_usage",
                "network_check_info.evaluation_result",
            }
        ),
        MigrationProject: frozenset(
            {"description", "start_network_check", "start_target_server", "syncing", "use_public_ip"}
        ),
        ConsistencyResult: frozenset({"consistency_result[].dir_check"}),
    }
)
"""The documented fields that the records lack, because nothing uses them."""


KNOWN_FIELDS: Final[Mapping[type[Record], frozenset[str]]] = MappingProxyType(
    {SourceServer: frozenset({"ipv6", "start_type"})}
)
"""Fields that are not documented, but that real responses are known to have."""


@cache
def documented_fields(record_type: type[Record]) -> frozenset[str]:
    """Return the paths of the documented fields of a record, without those that contain others."""
    return UNREAD_FIELDS[record_type] | frozenset(_list_paths(inspect.type_info(record_type), ""))


def find_unknown_fields(records: Iterable[object], record_type: type[Record]) -> Counter[str]:
    """Return the paths of new fields, which are neither documented nor known, with the number of values, in JSON."""
    documented = documented_fields(record_type) | KNOWN_FIELDS.get(record_type, frozenset())
    containers = frozenset(path for leaf in documented for path in _list_containers(leaf))
    unknown: Counter[str] = Counter()
    for record in records:
        unknown.update(_list_unknown(record, "", documented, containers))
    return unknown


def _list_paths(kind: inspect.Type, path: str) -> Iterator[str]:
    for alternative in alternatives(kind):
        if isinstance(alternative, inspect.StructType):
            for field in alternative.fields:
                yield from _list_paths(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)
            return
        if isinstance(alternative, inspect.VarTupleType):
            yield from _list_paths(alternative.item_type, f"{path}[]")
            return
    yield path


def _list_containers(path: str) -> Iterator[str]:
    """Return the paths of the objects and lists that contain a field, such as `a` and `a[]` of `a[].b`."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
        if path.endswith("[]"):
            yield path.removesuffix("[]")


def _list_unknown(value: object, path: str, documented: frozenset[str], containers: frozenset[str]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            inner_path = f"{path}.{name}" if path else name
            if inner_path in containers:
                yield from _list_unknown(inner, inner_path, documented, containers)
            elif inner_path not in documented:
                yield inner_path
    elif isinstance(value, list) and f"{path}[]" in containers:
        for item in value:
            yield from _list_unknown(item, f"{path}[]", documented, containers)
