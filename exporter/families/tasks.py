"""The collector `tasks`: the migration task of each source server that has one."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from exporter.families.family import (
    ONE,
    Collector,
    LabelFamily,
    Rows,
    Sample,
    ValueFamily,
    build_label_reader,
    build_state_reader,
    seconds,
)
from exporter.polling.snapshot import SPEED_UNITS, Snapshot, documented
from exporter.sms.model import CLONE_STATES, LOG_COLLECT_STATUSES, TASK_STATES, CloneServer

TASK: Final = Rows("current_task")
"""The task of a server that has one."""

_INFO_LABELS: Final = {
    "target_project": "current_task.project_name",
    "target_project_id": "current_task.project_id",
    "target_region": "current_task.region_id",
    "target_server_id": "current_task.target_server.vm_id",
    "target_server_name": "current_task.target_server.name",
    "task_id": "current_task.id",
    "task_name": "current_task.name",
    "task_type": "current_task.type",
    "template_id": "current_task.vm_template_id",
}
_read_info = build_label_reader(_INFO_LABELS, TASK)


def _list_clone_state(clone: CloneServer) -> tuple[Sample, ...]:
    if clone.clone_state is None:
        return ()
    return (((clone.clone_error or "", documented(clone.clone_state, CLONE_STATES)), ONE),)


def _list_clone_info(clone: CloneServer) -> tuple[Sample, ...]:
    labels = clone.vm_id or "", clone.name or ""
    return ((labels, ONE),) if any(labels) else ()


@lru_cache(4096)  # A few subtasks, each with 101 values of its progress.
def read_subtask(text: str) -> tuple[str, float | None]:
    """Return name and progress (0 to 1) of the subtask in a `subtask_info` such as `MIGRATE_LINUX_FILE-42`.

    The name is empty if there is no subtask, the progress None if there is no number from 0 to 100. Text after the last
    dash that begins with a digit is never part of the name, because each poll could then add a series.
    """
    text = text.strip()
    subtask, dash, percent = text.rpartition("-")
    if not dash or not percent[:1].isdecimal():
        return text, None
    if percent.isascii() and percent.isdecimal() and len(percent) <= len("100") and int(percent) <= 100:  # noqa: PLR2004 - percent
        return subtask, int(percent) / 100
    return subtask, None


def _list_subtask(text: str) -> tuple[Sample, ...]:
    subtask, _ = read_subtask(text)
    return (((subtask,), ONE),) if subtask else ()


def _read_progress(text: str | None) -> float | None:
    return None if text is None else read_subtask(text)[1]


def _speed_converter(snapshot: Snapshot) -> Callable[[float | None], float | None]:
    unit = snapshot.speed_unit_bytes
    return lambda speed: None if speed is None else speed * unit


TASKS: Final = Collector(
    "tasks",
    (
        LabelFamily(
            "task_info",
            "Information about the migration task and its target server, always 1; join it on account, server_id, job "
            "and instance.",
            lambda task: ((_read_info(task), ONE),),
            _INFO_LABELS,
            rows=TASK,
            labels_optional=True,
        ),
        LabelFamily(
            "task_state",
            "Current state of the migration task, always 1; undocumented states are other.",
            build_state_reader(TASK_STATES),
            {"state": "current_task.state"},
            "state",
            TASK,
        ),
        ValueFamily(
            "task_migrate_speed_bytes_per_second",
            "Migration speed of the task as the API reports it. "
            "The option api.migrate-speed-unit is the unit that the API uses.",
            "migrate_speed",
            rows=TASK,
            convert_in=_speed_converter,
        ),
        ValueFamily(
            "task_speed_limit_bytes_per_second",
            "Limit of the migration speed of the task; absent if there is no limit.",
            "speed_limit",
            lambda megabits: megabits * SPEED_UNITS["mbit"] if megabits else None,
            TASK,
        ),
        ValueFamily(
            "task_compress_rate",
            "Compression rate of the task as the API reports it; ratio or percentage is not documented.",
            "compress_rate",
            rows=TASK,
        ),
        ValueFamily(
            "task_started_timestamp_seconds", "Unix time at which the task was started.", "start_date", seconds, TASK
        ),
        ValueFamily(
            "task_estimated_completion_timestamp_seconds",
            "Unix time at which the task will be complete, estimated by the API.",
            "estimate_complete_time",
            seconds,
            TASK,
        ),
        ValueFamily(
            "task_remaining_seconds",
            "Time until the task is complete, estimated by the API.",
            "remain_seconds",
            rows=TASK,
        ),
        ValueFamily(
            "task_start_target_server",
            "Whether the target server is started after the migration, 1 or 0.",
            "start_target_server",
            rows=TASK,
        ),
        ValueFamily(
            "task_existing_server",
            "Whether the task migrates to a server that already existed, 1 or 0.",
            "exist_server",
            rows=TASK,
        ),
        ValueFamily(
            "task_public_ip",
            "Whether the migration uses a public IP address, 1 or 0.",
            "use_public_ip",
            rows=TASK,
        ),
        LabelFamily(
            "task_clone_state",
            "Current state of the clone of the target server, always 1; undocumented states are other.",
            _list_clone_state,
            {
                "clone_error": "current_task.clone_server.clone_error",
                "clone_state": "current_task.clone_server.clone_state",
            },
            "clone_server",
            TASK,
        ),
        LabelFamily(
            "task_clone_info",
            "Information about the clone of the target server, always 1.",
            _list_clone_info,
            {"clone_id": "current_task.clone_server.vm_id", "clone_name": "current_task.clone_server.name"},
            "clone_server",
            TASK,
            labels_optional=True,
        ),
        LabelFamily(
            "task_log_collect_status",
            "Current status of the log collection of the task, always 1; undocumented statuses are other.",
            build_state_reader(LOG_COLLECT_STATUSES),
            {"status": "current_task.log_collect_status"},
            "log_collect_status",
            TASK,
        ),
        ValueFamily(
            "task_log_upload_timestamp_seconds",
            "Unix time at which the logs of the task were uploaded.",
            "log_upload_time",
            seconds,
            TASK,
        ),
        LabelFamily(
            "task_subtask_info",
            "Current subtask of the task, always 1.",
            _list_subtask,
            {"subtask": "current_task.subtask_info"},
            "subtask_info",
            TASK,
        ),
        ValueFamily(
            "task_subtask_progress_ratio",
            "Progress of the current subtask, from 0 to 1; absent if the API reports none.",
            "subtask_info",
            _read_progress,
            TASK,
        ),
    ),
)
