"""The tables of one source server's board: facts, task and target, checks, disks and volumes."""

from collections.abc import Mapping

from grafana.panels import Column, Frame, Panel, graph, painted, rows
from grafana.promql import CHOSEN_SERVER, fleet, own
from grafana.style import GREEN, ORANGE, RED, RESULT_COLOURS, YES_NO, coloured


def words() -> list[Panel]:
    """Tell what the server is, and where it goes."""
    facts = (
        Column("name", "Server"),
        Column("ip", "Address"),
        Column("os_type", "OS"),
        Column("os_version", "Version"),
        Column("enterprise_project_id", "Enterprise project"),
        Column("Value #B", "CPUs", "short"),
        Column("Value #C", "Memory", "bytes"),
        Column("Value #D", "Registered", "dateTimeFromNow"),
        Column("Value #E", "Last visit of the agent", "dateTimeFromNow"),
        Column("Value #F", "Last byte seen to arrive", "dateTimeFromNow"),
    )
    target = (
        Column("task_name", "Task"),
        Column("task_type", "Type"),
        Column("target_region", "Region"),
        Column("target_project", "Project"),
        Column("target_server_name", "Target server"),
        Column("target_server_id", "Target's ID"),
        Column("Value #B", "Started", "dateTimeFromNow"),
        Column("Value #C", "Target existed before", mappings=YES_NO, coloured=True),
        Column("Value #D", "Public address", mappings=YES_NO, coloured=True),
        Column("Value #E", "Starts the target", mappings=YES_NO, coloured=True),
        Column("clone_state", "Clone"),
        Column("clone_error", "Clone's error"),
        Column("status", "Logs"),
    )
    info = ("name", "ip", "os_type", "os_version", "enterprise_project_id")
    task = ("task_name", "task_type", "target_region", "target_project", "target_server_name", "target_server_id")
    return [
        rows(
            Frame("Server", "What the server is.", width=24, height=4),
            facts,
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
                "Where the server goes. Empty for a server without a task; clone and its error are empty where no "
                "clone of the target was made.",
                width=24,
                height=4,
                empty="no task",
            ),
            target,
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
    """Leave the server's id as the one label that rows are joined by, beside labels of the expression's own."""
    return f"max by ({', '.join(('server_id', *labels))}) ({expression})"


def _in_milliseconds(metric: str) -> str:
    return f"{own(metric)} * 1000"


def checks() -> list[Panel]:
    """Tell what the environment checks found."""
    passed = f'label_replace({own("source_server_checks", "result")}, "check", "(all that are)", "", "")'
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
                "Each check in WARN or ERROR, and how many have each result. The error code is one of the SMS "
                "documentation.",
                width=12,
            ),
            columns,
            f"{own('source_server_check_failed', 'check', 'result', 'error_code')} or {passed}",
            sort_by="Error code",
        ),
        painted(
            graph(
                Frame("Checks over time", "How many checks have each result."),
                (own("source_server_checks", "result"), "{{result}}"),
            ),
            RESULT_COLOURS,
        ),
    ]


def disks() -> list[Panel]:
    """Tell the server's disks and volumes, by the collector that is off unless asked for."""
    volume = ("volume", "mount_point", "file_system", "device_use", "disk")
    return [
        rows(
            Frame(
                "Disks",
                "Disks recommended for the target. Empty unless the exporter runs with the option collector.disks.",
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
                "Used share of partitions and, below their volume group, logical volumes. Empty unless the exporter "
                "runs with the option collector.disks.",
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
    """Tell a logical volume by the labels of a partition, its group standing for the disk."""
    renamed: Mapping[str, str] = {"volume": "logical_volume", "disk": "volume_group"}
    for label, of in renamed.items():
        expression = f'label_replace({expression}, "{label}", "$1", "{of}", "(.*)")'
    return expression
