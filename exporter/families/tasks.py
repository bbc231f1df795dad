"""The collector `tasks`: the migration task of each source server that has one."""

from collections.abc import Callable
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
from exporter.polling.snapshot import SPEED_UNITS, Snapshot, documented
from exporter.sms.model import CLONE_STATES, LOG_COLLECT_STATUSES, NO_TASK, TASK_STATES, SourceServer, Task

_STATES: Final = one_of(TASK_STATES)
_LOG_STATUSES: Final = one_of(LOG_COLLECT_STATUSES)


def _of_task(
    name: str,
    text: str,
    field: str,
    value: Callable[[Task], float | None],
) -> ValueFamily:
    """Declare a family with one sample for each task that has the value."""

    def of_server(server: SourceServer) -> float | None:
        task = server.current_task
        return None if task is None else value(task)

    return ValueFamily(name, text, f"current_task.{field}", of_server)


def _info(server: SourceServer) -> tuple[Sample, ...]:
    task = server.current_task
    if task is None:
        return ()
    target = task.target_server
    labels = (
        task.project_name or "",
        task.project_id or "",
        task.region_id or "",
        (target.vm_id if target else None) or "",
        (target.name if target else None) or "",
        task.id or "",
        task.name or "",
        task.type or "",
        task.vm_template_id or "",
    )
    return ((labels, ONE),)


def _clone_state(server: SourceServer) -> tuple[Sample, ...]:
    clone = (server.current_task or NO_TASK).clone_server
    if clone is None or clone.clone_state is None:
        return ()
    return (((clone.clone_error or "", documented(clone.clone_state, CLONE_STATES)), ONE),)


def _clone_info(server: SourceServer) -> tuple[Sample, ...]:
    clone = (server.current_task or NO_TASK).clone_server
    if clone is None or not (clone.vm_id or clone.name):
        return ()
    return (((clone.vm_id or "", clone.name or ""), ONE),)


def read_subtask(text: str | None) -> tuple[str, float | None]:
    """Read `subtask_info` such as `MIGRATE_LINUX_FILE-42`: the subtask, and its progress from 0 to 1.

    The subtask is empty where there is none, the progress None where none from 0 to 100 is given. What begins
    with a digit behind the last dash is never of the subtask: else each poll could bring a new one.
    """
    whole = (text or "").strip()
    subtask, dash, percent = whole.rpartition("-")
    if not dash or not percent[:1].isdecimal():
        return whole, None
    if percent.isascii() and percent.isdecimal() and len(percent) <= len("100") and int(percent) <= 100:  # noqa: PLR2004 - percent
        return subtask, int(percent) / 100
    return subtask, None


def _subtask_info(server: SourceServer) -> tuple[Sample, ...]:
    subtask, _ = read_subtask((server.current_task or NO_TASK).subtask_info)
    return (((subtask,), ONE),) if subtask else ()


def _speed(snapshot: Snapshot) -> Value:
    unit = snapshot.speed_unit_bytes

    def value(server: SourceServer) -> float | None:
        task = server.current_task
        return None if task is None or task.migrate_speed is None else task.migrate_speed * unit

    return value


TASKS: Final = Collector(
    "tasks",
    (
        ServerFamily(
            "task_info",
            "What the server's migration task is called and where it leads, for joining.",
            "current_task: id, name, type, region_id, project_name, project_id, vm_template_id, "
            "target_server.vm_id, target_server.name",
            _info,
            (
                "target_project",
                "target_project_id",
                "target_region",
                "target_server_id",
                "target_server_name",
                "task_id",
                "task_name",
                "task_type",
                "template_id",
            ),
        ),
        ServerFamily(
            "task_state",
            "1 for the state that the task is in; an undocumented state is other.",
            "current_task.state",
            lambda server: _STATES((server.current_task or NO_TASK).state),
            ("state",),
        ),
        SnapshotValueFamily(
            "task_migrate_speed_bytes_per_second",
            "Migration speed as the API tells it; its unit on the wire is in doubt: see api.migrate-speed-unit.",
            "current_task.migrate_speed",
            _speed,
        ),
        _of_task(
            "task_speed_limit_bytes_per_second",
            "Limit of the migration speed; absent where there is none.",
            "speed_limit",
            lambda task: task.speed_limit * SPEED_UNITS["mbit"] if task.speed_limit else None,
        ),
        _of_task(
            "task_compress_rate",
            "Compression rate as the API gives it; whether it is a ratio or percent is not documented.",
            "compress_rate",
            lambda task: task.compress_rate,
        ),
        _of_task(
            "task_started_timestamp_seconds",
            "When the task was started.",
            "start_date",
            lambda task: seconds(task.start_date),
        ),
        _of_task(
            "task_estimated_completion_timestamp_seconds",
            "When the task will be complete, as the API estimates.",
            "estimate_complete_time",
            lambda task: seconds(task.estimate_complete_time),
        ),
        _of_task(
            "task_remaining_seconds",
            "Time left until the task is complete, as the API estimates.",
            "remain_seconds",
            lambda task: task.remain_seconds,
        ),
        _of_task(
            "task_start_target_server",
            "Whether the target server is started after the migration.",
            "start_target_server",
            lambda task: task.start_target_server,
        ),
        _of_task(
            "task_existing_server",
            "Whether the target server existed before.",
            "exist_server",
            lambda task: task.exist_server,
        ),
        _of_task(
            "task_public_ip",
            "Whether the migration uses a public address.",
            "use_public_ip",
            lambda task: task.use_public_ip,
        ),
        ServerFamily(
            "task_clone_state",
            "1 for the state that the clone of the target server is in; an undocumented state is other.",
            "current_task.clone_server: clone_state, clone_error",
            _clone_state,
            ("clone_error", "clone_state"),
        ),
        ServerFamily(
            "task_clone_info",
            "What the clone of the target server is called.",
            "current_task.clone_server: vm_id, name",
            _clone_info,
            ("clone_id", "clone_name"),
        ),
        ServerFamily(
            "task_log_collect_status",
            "1 for the status of the collection of logs; an undocumented status is other.",
            "current_task.log_collect_status",
            lambda server: _LOG_STATUSES((server.current_task or NO_TASK).log_collect_status),
            ("status",),
        ),
        _of_task(
            "task_log_upload_timestamp_seconds",
            "When the logs were uploaded.",
            "log_upload_time",
            lambda task: seconds(task.log_upload_time),
        ),
        ServerFamily(
            "task_subtask_info",
            "The subtask that the task is at.",
            "current_task.subtask_info",
            _subtask_info,
            ("subtask",),
        ),
        _of_task(
            "task_subtask_progress_ratio",
            "Progress of that subtask, from 0 to 1; absent where the API gives none.",
            "subtask_info",
            lambda task: read_subtask(task.subtask_info)[1],
        ),
    ),
)
