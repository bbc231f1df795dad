"""The tables of the source server dashboard: facts, task and target, checks, disks and volumes."""

from collections.abc import Mapping

from grafana.panels import Column, Frame, Panel, graph, painted, rows
from grafana.promql import CHOSEN_SERVER, fleet, own
from grafana.style import GREEN, ORANGE, RED, RESULT_COLOURS, YES_NO, coloured


def facts() -> list[Panel]:
    """Return the tables of the server and of its task and target."""
    server_columns = (
        Column("name", "Server"),
        Column("ip", "Address"),
        Column("os_type", "OS"),
        Column("os_version", "Version"),
        Column("enterprise_project_id", "Enterprise project"),
        Column("Value #B", "CPUs", "short"),
        Column("Value #C", "Memory", "bytes"),
        Column("Value #D", "Registered", "dateTimeFromNow"),
        Column("Value #E", "Last agent visit", "dateTimeFromNow"),
        Column("Value #F", "Last progress", "dateTimeFromNow"),
    )
    target_columns = (
        Column("task_name", "Task"),
        Column("task_type", "Type"),
        Column("target_region", "Region"),
        Column("target_project", "Project"),
        Column("target_server_name", "Target server"),
        Column("target_server_id", "Target server ID"),
        Column("Value #B", "Started", "dateTimeFromNow"),
        Column("Value #C", "Existing target", mappings=YES_NO, coloured=True),
        Column("Value #D", "Public IP", mappings=YES_NO, coloured=True),
        Column("Value #E", "Start target", mappings=YES_NO, coloured=True),
        Column("clone_state", "Clone"),
        Column("clone_error", "Clone error"),
        Column("status", "Log upload"),
    )
    info = ("name", "ip", "os_type", "os_version", "enterprise_project_id")
    task = ("task_name", "task_type", "target_region", "target_project", "target_server_name", "target_server_id")
    return [
        rows(
            Frame("Server", "Facts about the source server.", width=24, height=4),
            server_columns,
            _only(own("source_server_info", *info), *info),
            _only(own("source_server_cpus")),
            _only(own("source_server_memory_bytes")),
            _only(_in_milliseconds("source_server_registered_timestamp_seconds")),
            _only(_in_milliseconds("source_server_last_visit_timestamp_seconds")),
            _only(_in_milliseconds("source_server_replicated_bytes_last_increase_timestamp_seconds")),
        ),
        rows(
            Frame(
                "Task and target",
                "The migration task and its target server. Empty for a server without a task. Clone columns are empty "
                "without a clone of the target.",
                width=24,
                height=4,
                empty="no task",
            ),
            target_columns,
            _only(own("task_info", *task), *task),
            _only(_in_milliseconds("task_started_timestamp_seconds")),
            _only(own("task_existing_server")),
            _only(own("task_public_ip")),
            _only(own("task_start_target_server")),
            _only(own("task_clone_state", "clone_state", "clone_error"), "clone_state", "clone_error"),
            _only(own("task_log_collect_status", "status"), "status"),
        ),
    ]


def _only(expression: str, *labels: str) -> str:
    """Keep only server_id, by which the rows are joined, and `labels`."""
    return f"max by ({', '.join(('server_id', *labels))}) ({expression})"


def _in_milliseconds(metric: str) -> str:
    return f"{own(metric)} * 1000"


def checks() -> list[Panel]:
    """Return the panels of the environment checks."""
    passed = f'label_replace({own("source_server_checks", "result")}, "check", "(total)", "", "")'
    columns = (
        Column("result", "Result", mappings=coloured(RESULT_COLOURS), coloured=True),
        Column("check", "Check"),
        Column("error_code", "Error code"),
        Column("Value", "Checks", "short"),
    )
    return [
        rows(
            Frame(
                "Environment checks",
                "Each check in WARN or ERROR, and the number of checks by result. Error codes are explained in the SMS "
                "documentation.",
                width=12,
            ),
            columns,
            f"{own('source_server_check_failed', 'check', 'result', 'error_code')} or {passed}",
            sort_by="Error code",
        ),
        painted(
            graph(
                Frame("Checks over time", "Number of checks by result."),
                (own("source_server_checks", "result"), "{{result}}"),
            ),
            RESULT_COLOURS,
        ),
    ]


def disks() -> list[Panel]:
    """Return the tables of disks and volumes, from the collector `disks`, which is off by default."""
    volume = ("volume", "mount_point", "file_system", "device_use", "disk")
    return [
        rows(
            Frame(
                "Disks",
                "Disks of the source server. Requires the option collector.disks.",
                empty="collector.disks is off",
            ),
            (
                Column("disk", "Disk"),
                Column("device_use", "Use"),
                Column("Value #A", "Size", "bytes"),
                Column("Value #B", "Used", "bytes"),
            ),
            _disk("source_server_disk_size_bytes", "device_use"),
            _disk("source_server_disk_used_bytes"),
            key="disk",
            sort_by="Disk",
            descending=False,
        ),
        rows(
            Frame(
                "Volumes",
                "Usage of partitions and of logical volumes. Requires the option collector.disks.",
                steps=((None, GREEN), (0.8, ORANGE), (0.95, RED)),
                empty="collector.disks is off",
            ),
            (
                Column("disk", "Disk or group"),
                Column("volume", "Volume"),
                Column("mount_point", "Mounted at"),
                Column("file_system", "File system"),
                Column("device_use", "Use"),
                Column("Value", "Used", "percentunit", gauge=True, decimals=0),
            ),
            f"{_used('volume', *volume)} or {_as_volume(_used('logical_volume', *_logical()))}",
            sort_by="Disk or group",
            descending=False,
        ),
    ]


def _disk(metric: str, *labels: str) -> str:
    return f"max by ({', '.join(('disk', *labels))}) ({fleet(metric, 'disk', *labels, where=CHOSEN_SERVER)})"


def _logical() -> tuple[str, ...]:
    return ("logical_volume", "mount_point", "file_system", "device_use", "volume_group")


def _used(kind: str, *labels: str) -> str:
    used, size = (own(f"source_server_{kind}_{what}_bytes", *labels) for what in ("used", "size"))
    return f"({used} / ({size} > 0))"


def _as_volume(expression: str) -> str:
    """Relabel a logical volume like a partition, with its volume group as the disk."""
    renamed: Mapping[str, str] = {"volume": "logical_volume", "disk": "volume_group"}
    for label, of in renamed.items():
        expression = f'label_replace({expression}, "{label}", "$1", "{of}", "(.*)")'
    return expression
