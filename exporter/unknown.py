"""Values outside the documented enumerations of their fields."""

from functools import lru_cache
from typing import Final, TypeAlias

from exporter import model
from exporter.model import SourceServer

Unknown: TypeAlias = tuple[str, str]
"""A field of the API and a value that its reference does not document."""

_ENUMERATIONS: Final = (
    ("state", model.SOURCE_STATES),
    ("migration_cycle", model.MIGRATION_CYCLES),
    ("os_type", model.OS_TYPES),
    ("current_task.type", model.TASK_TYPES),
    ("current_task.state", model.TASK_STATES),
    ("current_task.log_collect_status", model.LOG_COLLECT_STATUSES),
    ("current_task.clone_server.clone_state", model.CLONE_STATES),
)


def unknown_values(server: SourceServer) -> tuple[Unknown, ...]:
    """Give the undocumented values of a record; none is nearly always the answer."""
    task = server.current_task or model.NO_TASK
    clone = task.clone_server or model.NO_CLONE
    unknown = _undocumented(
        (
            server.state,
            server.migration_cycle,
            server.os_type,
            task.type,
            task.state,
            task.log_collect_status,
            clone.clone_state,
        ),
    )
    for check in server.checks or ():
        if check.result not in model.CHECK_RESULTS and check.result is not None:
            unknown = (*unknown, ("checks.result", check.result))
    return unknown


@lru_cache(1024)
def _undocumented(values: tuple[str | None, ...]) -> tuple[Unknown, ...]:
    """Give those of the values, in the order of the enumerations, that are not in theirs."""
    return tuple(
        (field, value)
        for (field, enumeration), value in zip(_ENUMERATIONS, values, strict=True)
        if value is not None and value not in enumeration
    )
