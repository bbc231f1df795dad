"""Records of source servers: one with a value in every field of the model, and random ones."""

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from exporter.sms.model import SourceServer
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


SCALARS: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.BoolType: st.booleans(),
    inspect.IntType: st.sampled_from([0, 1, 7, 999_999, 1_600_000_000_123, 2**63 - 1]),
    inspect.FloatType: st.sampled_from([0.0, 1.5, 77.25, 1e15]),
    inspect.StrType: st.sampled_from(["", "a", 'b"\\\n', "SYNC_LINUX-37", "é"]),
}


def json_values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Return values of a type as the API writes them, from a small set, so that many repeat; often null."""
    if isinstance(kind, inspect.UnionType):
        return st.none() | st.one_of([json_values(one) for one in kind.types if not isinstance(one, inspect.NoneType)])
    match kind:
        case inspect.LiteralType(values=documented):
            return st.sampled_from([*documented[:3], "UNDOCUMENTED"])
        case inspect.VarTupleType(item_type=item):
            return st.lists(json_values(item), max_size=2)
        case inspect.StructType(fields=fields):
            return st.fixed_dictionaries({}, optional={field.encode_name: json_values(field.type) for field in fields})
    return SCALARS[type(kind)]


def lists_of_servers() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of up to four servers, whose records change in some fields between two lists."""
    kind = inspect.type_info(SourceServer)
    assert isinstance(kind, inspect.StructType)
    fields = {field.encode_name: json_values(field.type) for field in kind.fields if field.name != "id"}
    few = st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: fields[name] for name in names})
    )
    every = st.fixed_dictionaries({}, optional=fields)
    return st.dictionaries(st.sampled_from(["s1", 's"2\n', "s3", "s4"]), st.one_of(few, few, every), max_size=4).map(
        lambda servers: [{"id": server_id, **record} for server_id, record in servers.items()]
    )
