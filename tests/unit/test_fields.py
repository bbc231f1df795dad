"""Every field of the API reference is exposed in base units, or left out for a reason that is written down."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from exporter.exposition.text import render_header, render_lines
from exporter.families import FLEET, SWITCHED, full_name
from exporter.polling.snapshot import next_snapshot
from exporter.settings import FilterSettings
from exporter.sms.decoding import Records
from exporter.sms.model import SourceServer
from exporter.sms.paging import merge
from support import DATA, Scrape, account
from tools.docs.fields import ELSEWHERE, LEFT_OUT, SERVER

FAMILIES = [family for collector in (FLEET, *SWITCHED) for family in collector.families]


def leaves(kind: inspect.Type, path: str = "") -> Iterator[tuple[str, inspect.Type]]:
    """Give every leaf below a type of the model, with its path and type."""
    if isinstance(kind, inspect.UnionType):
        (kind, *_) = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from leaves(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)
    elif isinstance(kind, inspect.VarTupleType) and not isinstance(kind.item_type, inspect.StrType):
        yield from leaves(kind.item_type, f"{path}[]")
    else:
        yield path, kind


LEAVES = dict(leaves(inspect.type_info(SourceServer)))


def value_for(path: str, kind: inspect.Type) -> Any:
    """Give a value that stands nowhere else in the record."""
    special = {
        "state": "stopping", "migration_cycle": "cutovering", "os_type": "WINDOWS", "current_task.state": "SYNC_FAIL",
        "current_task.log_collect_status": "UPLOADED", "current_task.clone_server.clone_state": "PREPARING",
        "checks[].result": "WARN", "current_task.subtask_info": "SYNC_LINUX-37",
    }  # fmt: skip
    if path in special:
        return special[path]
    if isinstance(kind, inspect.BoolType):
        return True
    if isinstance(kind, inspect.FloatType):
        return 12.5
    if isinstance(kind, inspect.IntType):
        return 1_600_000_123_000
    return f"text of {path}"


def record_with(path: str, value: Any) -> dict[str, Any]:
    """Make a record that has this field alone, beside what it takes to be looked at."""
    neighbours = {"checks[].name": "checks[].result", "checks[].error_code": "checks[].result"}
    record: dict[str, Any] = {"id": "the-server", "state": "stopping"}
    put(record, path, value)
    beside = neighbours.get(path) or next((sibling for sibling in sizes_beside(path)), None)
    if beside:
        put(record, beside, "WARN" if beside.endswith("result") else 4096)
    if path.startswith("current_task.clone_server.clone_error"):
        put(record, "current_task.clone_server.clone_state", "ERROR")
    return record


def sizes_beside(path: str) -> Iterator[str]:
    parent, _, name = path.rpartition(".")
    if parent.startswith("init_target_server") and name in {"name", "device_use", "file_system", "mount_point"}:
        yield f"{parent}.size"


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


def exposed(record: dict[str, Any]) -> Scrape:
    page = Records().page(msgspec.json.encode({"count": 1, "source_servers": [record]}))
    assert page.unreadable == {}
    shown = next_snapshot(merge([page]), account(), 1.0, None)
    text = b"".join(render_header(family, "text") + render_lines(family, shown) for family in FAMILIES)
    return Scrape(text.decode())


def in_base_units(path: str, value: Any) -> Any:
    """Give what the value is in seconds, bytes a second or ratios."""
    if path.endswith(("_date", "_time")):
        return value / 1000
    if path.endswith(("speed_limit", "migrate_speed")):
        return value * 125_000
    return value


@pytest.mark.parametrize("path", SERVER)
def test_a_field_is_found_where_the_table_says(path: str) -> None:
    value = value_for(path, LEAVES[path])
    seen = exposed(record_with(path, value))
    for target in SERVER[path]:
        metric, _, label = target.partition(":")
        samples = seen.values(metric)
        if label:
            wanted = {"subtask": "SYNC_LINUX", "connected": "true"}.get(label, value)
            found = [count for labels, count in samples.items() if (label, wanted) in labels]
            assert found, f"{target} has no {wanted!r}: {samples}"
            assert max(found) == 1 or metric.startswith("source_server")
        elif metric == "task_subtask_progress_ratio":
            assert list(samples.values()) == [0.37]
        else:
            assert in_base_units(path, value) in samples.values(), target


@pytest.mark.parametrize("path", LEFT_OUT)
def test_a_field_that_is_left_out_is_nowhere(path: str) -> None:
    for value in (f"text of {path}", 1_600_000_123_000):
        text = exposed(record_with(path, value)).text
        assert "text of" not in text
        assert "1.600000123" not in text


def test_the_model_has_the_fields_that_are_exposed_and_no_other() -> None:
    assert SERVER.keys() == LEAVES.keys()
    assert not SERVER.keys() & LEFT_OUT.keys()


def test_the_tables_have_every_field_of_the_reference() -> None:
    words = (DATA / "reference-fields.txt").read_text().splitlines()
    known = (
        SERVER.keys()
        | LEFT_OUT.keys()
        | {f"{table}/{field}" for table, fields in ELSEWHERE.items() for field in fields}
    )
    assert {line for line in words if line and not line.startswith("#")} == known


def test_every_metric_of_the_tables_is_declared() -> None:
    declared = {full_name(family).removeprefix("huaweicloud_sms_"): family for family in FAMILIES}
    for target in (target for targets in SERVER.values() for target in targets):
        metric, _, label = target.partition(":")
        assert label in {"", "server_id", *declared[metric].labels}


def test_every_declared_family_is_in_the_tables_or_made_from_two_lists() -> None:
    told = {target.partition(":")[0] for targets in SERVER.values() for target in targets}
    made = {"source_server_state_transitions", "source_server_replicated_bytes_last_increase_timestamp_seconds"}
    assert {family.name for family in FAMILIES} == told | made


def test_every_query_parameter_is_an_option() -> None:
    parameters = ELSEWHERE["Table 1: query parameters"].keys() - {"limit", "offset"}
    assert parameters == FilterSettings.model_fields.keys()


def test_the_example_of_the_reference_has_no_field_that_the_tables_lack() -> None:
    content = msgspec.json.decode((DATA / "list-servers-200.json").read_bytes())

    def walk(value: Any, path: str = "") -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for item in value:
                yield from walk(item, f"{path}[]")
        else:
            yield path

    empty = {"current_task", "current_task.clone_server", "checks"}
    found = {path for one in content["source_servers"] for path in walk(one)} - empty
    assert found <= SERVER.keys() | LEFT_OUT.keys()
