"""Records of source servers with a value in every field of the model."""

from typing import Any

from msgspec import inspect

from tools.docs.fields import list_model_fields

MODEL_FIELDS = dict(list_model_fields())
SUBTASK = "current_task.subtask_info"
ENUMERATED = {
    "state": "stopping",
    "migration_cycle": "cutovering",
    "os_type": "WINDOWS",
    "current_task.state": "SYNC_FAIL",
    "current_task.log_collect_status": "UPLOADED",
    "current_task.clone_server.clone_state": "PREPARING",
    "checks[].result": "WARN",
}


def distinct_value(path: str, kind: inspect.Type) -> Any:
    """Return a value that no other field of the record has, if the type allows that."""
    number = list(MODEL_FIELDS).index(path)
    if path in ENUMERATED:
        return ENUMERATED[path]
    if path == SUBTASK:
        return "SYNC_LINUX-37"
    if isinstance(kind, inspect.BoolType):
        return True
    if isinstance(kind, inspect.FloatType):
        return number + 0.5
    if isinstance(kind, inspect.IntType):
        return 1_600_000_000_000 + number * 1000
    return f"text of {path}"


def put(record: dict[str, Any], path: str, value: Any) -> None:
    holder: Any = record
    *parents, last = path.split(".")
    for parent in parents:
        name = parent.removesuffix("[]")
        if parent.endswith("[]"):
            (holder,) = holder.setdefault(name, [{}])
        else:
            holder = holder.setdefault(name, {})
    holder[last] = value


def complete_record() -> dict[str, Any]:
    """Return a record with a value in every field of the model."""
    record: dict[str, Any] = {}
    for path, kind in MODEL_FIELDS.items():
        put(record, path, distinct_value(path, kind))
    return record
