import json
import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from exporter.errors import BadResponse
from exporter.sms.decoding import MAX_INLINE_BYTES, Page, Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import MAX_INT64, MAX_TEXT_CHARACTERS, SourceServer, Task
from exporter.sms.tolerant import MAX_RECORD_BYTES, build_reader
from support import DATA, example, example_servers

MISSING = object()


def page_of(*records: object, count: object = MISSING) -> Page[SourceServer]:
    number = len(records) if count is MISSING else count
    return Records(SOURCE_SERVERS).page(json.dumps({"count": number, "source_servers": records}).encode())


def only(page: Page[SourceServer]) -> SourceServer:
    (server,) = page.records
    return server


def test_the_example_of_the_reference_is_read_completely() -> None:
    page = Records(SOURCE_SERVERS).page(json.dumps({"count": 10, "source_servers": example_servers()}).encode())
    assert (page.count, page.rows, len(page.records), page.invalid, page.unreadable) == (10, 10, 10, 0, {})
    first = page.records[0]
    assert (first.name, first.state, first.connected, first.memory) == (
        "sms-test",
        "finished",
        True,
        2146557952,
    )
    assert first.current_task is not None
    assert first.current_task.target_server is not None
    assert first.current_task.target_server.name == "sms-test"


def test_null_and_absent_fields_are_none() -> None:
    server = only(page_of({"id": "a", "name": None, "state_action_time": None, "checks": None}))
    assert (server.name, server.state_action_time, server.checks, server.memory) == (None, None, None, None)


def test_unknown_fields_are_skipped() -> None:
    assert only(page_of({"id": "a", "ipv6": "::1", "start_type": "MANUAL", "new": {"x": [1]}})).id == "a"


def test_unknown_enumeration_values_are_kept_as_they_are() -> None:
    assert only(page_of({"id": "a", "state": "premiging"})).state == "premiging"


def test_undocumented_values_are_counted_by_field_and_value() -> None:
    page = page_of(
        {"id": "a", "state": "premiging", "os_type": "BSD", "current_task": {"state": "NEW", "type": "MIGRATE_FILE"}},
        {"id": "b", "state": "premiging", "migration_cycle": "no_ready", "checks": [{"name": "C", "result": "MAYBE"}]},
        {"id": "c", "state": "error", "migration_cycle": "checking", "os_type": "LINUX", "checks": [{"name": "C"}]},
        {"id": 4, "state": "premiging"},
    )
    assert page.unknown == {
        ("state", "premiging"): 3,
        ("migration_cycle", "no_ready"): 1,
        ("os_type", "BSD"): 1,
        ("current_task.state", "NEW"): 1,
        ("checks.result", "MAYBE"): 1,
    }


def test_an_unchanged_record_is_the_same_object_in_the_next_list() -> None:
    records = Records(SOURCE_SERVERS)
    first, changing = example_servers()[:2]
    lists = []
    for size in (1, 2):
        changing["replicatesize"] = size
        body = json.dumps({"count": 2, "source_servers": [first, changing]}).encode()
        lists.append(records.page(body).records)
        records.list_ended()
    (kept, was), (known_again, changed) = lists
    assert known_again is kept
    assert (was.replicatesize, changed.replicatesize) == (1, 2)


def test_a_changed_record_keeps_the_nested_values_that_did_not_change() -> None:
    records = Records(SOURCE_SERVERS)
    record = example_servers()[0]
    tasks, targets = [], []
    for speed in (1, 2):
        record["last_visit_time"] = speed
        record["current_task"] = {"id": "t", "migrate_speed": speed}
        server = only(records.page(json.dumps({"count": 1, "source_servers": [record]}).encode()))
        records.list_ended()
        tasks.append(server.current_task)
        targets.append(server.init_target_server)
    assert targets[0] is not None
    assert targets[1] is targets[0]
    assert [task and task.migrate_speed for task in tasks] == [1, 2]


def test_equal_checks_of_two_servers_are_one_object() -> None:
    checks = [{"name": "CPU", "result": "OK"}]
    one, other = page_of({"id": "a", "checks": checks}, {"id": "b", "checks": checks}).records
    assert one.checks is not None
    assert one.checks is other.checks


def test_an_unreadable_nested_value_costs_no_other_value_and_is_counted_in_every_list() -> None:
    records = Records(SOURCE_SERVERS)
    odd = {"id": "t", "state": "NEW", "speed_limit": "fast", "clone_server": []}
    body = json.dumps({"count": 1, "source_servers": [{"id": "a", "memory": 4, "current_task": odd}]}).encode()
    for _ in range(2):
        page = records.page(body)
        records.list_ended()
        assert (only(page).memory, only(page).current_task) == (4, Task(id="t", state="NEW"))
        assert page.unknown == {("current_task.state", "NEW"): 1}
        assert page.unreadable == {"current_task.speed_limit": 1, "current_task.clone_server": 1}


def test_what_was_unreadable_in_earlier_lists_takes_no_memory() -> None:
    records = Records(SOURCE_SERVERS)

    def read(numbers: range) -> None:
        for number in numbers:
            server = {"id": "a", "current_task": {"id": "t", "speed_limit": f"fast {number}"}}
            records.page(json.dumps({"count": 1, "source_servers": [server]}).encode())
            records.list_ended()

    read(range(100))
    tracemalloc.start()
    try:
        read(range(100, 600))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000


def test_a_field_of_a_type_that_no_reader_knows_is_a_defect_that_is_found_immediately() -> None:
    with pytest.raises(TypeError, match="no tolerant reader"):
        build_reader(inspect.BytesType())


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        only(page_of({"id": "a"})).name = "b"  # type: ignore[misc]


def test_a_record_that_left_the_list_is_forgotten() -> None:
    records = Records(SOURCE_SERVERS)
    body = json.dumps({"count": 1, "source_servers": [{"id": "a"}]}).encode()
    first = only(records.page(body))
    records.list_ended()
    records.page(b'{"count": 0, "source_servers": []}')
    records.list_ended()
    assert only(records.page(body)) is not first


def test_unreadable_and_unknown_values_are_counted_in_every_list() -> None:
    records = Records(SOURCE_SERVERS)
    body = json.dumps({"count": 1, "source_servers": [{"id": "a", "memory": "much", "state": "odd"}]}).encode()
    for _ in range(2):
        page = records.page(body)
        records.list_ended()
        assert (page.unreadable, page.unknown) == ({"memory": 1}, {("state", "odd"): 1})


@pytest.mark.parametrize(("project", "text"), [(0, "0"), ("0", "0"), ("b2c1", "b2c1")])
def test_an_enterprise_project_may_be_a_number_or_text(project: object, text: str) -> None:
    assert str(only(page_of({"id": "a", "enterprise_project_id": project})).enterprise_project_id) == text


def test_a_number_where_text_is_documented_is_text() -> None:
    page = page_of({"id": 7, "name": 42, "os_version": 7.5})
    assert (only(page).id, only(page).name, only(page).os_version) == ("7", "42", "7.5")
    assert page.unreadable == {}


def test_text_where_a_number_or_a_boolean_is_documented_is_converted() -> None:
    server = only(
        page_of({"id": "a", "memory": "1024", "connected": "false", "current_task": {"migrate_speed": "1.5"}}),
    )
    assert (server.memory, server.connected) == (1024, False)
    assert server.current_task is not None
    assert server.current_task.migrate_speed == 1.5


# A record with a text that is too long is read field by field, and not by msgspec.
@pytest.mark.parametrize("more", [{}, {"os_version": "x" * (MAX_TEXT_CHARACTERS + 1)}])
@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("memory", 0, 0),
        ("memory", "0", 0),
        ("memory", "007", 7),
        ("memory", 2.0, 2),
        ("memory", MAX_INT64, MAX_INT64),
        ("memory", str(MAX_INT64), MAX_INT64),
        ("connected", "TRUE", True),
        ("connected", "False", False),
        ("connected", 1, True),
        ("connected", 0, False),
        ("connected", "1", True),
        ("connected", "0", False),
        ("name", "", ""),
        ("name", "x" * MAX_TEXT_CHARACTERS, "x" * MAX_TEXT_CHARACTERS),
        ("name", "ü" * MAX_TEXT_CHARACTERS, "ü" * MAX_TEXT_CHARACTERS),
    ],
)
def test_a_value_at_its_bounds_is_read(field: str, value: object, expected: object, more: dict[str, object]) -> None:
    page = page_of({"id": "a", field: value, **more})
    assert getattr(only(page), field) == expected
    assert page.unreadable.keys() == more.keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", str(MAX_INT64 + 1)),
        ("memory", "-1"),
        ("memory", "1.0"),
        ("memory", "\u0663"),
        ("memory", "0" * 20),
        ("memory", -1.0),
        ("connected", 2),
        ("connected", "yes"),
        ("connected", 1.0),
        ("connected", []),
        ("name", "x" * (MAX_TEXT_CHARACTERS + 1)),
        ("name", True),
        ("name", []),
    ],
)
def test_a_value_beyond_its_bounds_is_unreadable(field: str, value: object) -> None:
    page = page_of({"id": "a", field: value})
    assert getattr(only(page), field) is None
    assert page.unreadable == {field: 1}


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (0, 0), ("0", 0), (1e15, 1e15), (7, 7), ("7.25", 7.25), ("0" * 19, 0), ("1000000000000000", 1e15),
        (True, None), ([], None), ("fast", None), ("1000000000000000.5", None), ("0" * 20, None),
    ],
)  # fmt: skip
def test_a_number_is_read_from_zero_up_to_the_maximum(speed: object, expected: float | None) -> None:
    page = page_of({"id": "a", "current_task": {"migrate_speed": speed, "id": 5}})
    task = only(page).current_task
    assert task is not None
    assert (task.migrate_speed, task.id) == (expected, "5")
    assert sum(page.unreadable.values()) == (expected is None)


@pytest.mark.parametrize(
    "text",
    ["1_000", "\u0663", "1e5", " 7", "7 ", "+7", "-7", "-0", "7.", ".5", "1.2.3", "0x10", "", "NaN", "Infinity", "7,5"],
)
def test_text_that_is_no_integer_is_a_number_only_if_it_has_a_fraction(text: str) -> None:
    page = page_of({"id": "a", "memory": text, "current_task": {"migrate_speed": text}})
    task = only(page).current_task
    assert task is not None
    assert (only(page).memory, task.migrate_speed) == (None, None)
    assert page.unreadable == {"memory": 1, "current_task.migrate_speed": 1}


def test_of_a_list_null_is_skipped_and_what_is_unreadable_is_counted() -> None:
    page = page_of({"id": "a", "checks": [None, {"name": "CPU"}, 7, {"name": 8}]})
    assert [check.name for check in only(page).checks or ()] == ["CPU", "8"]
    assert page.unreadable == {"checks": 1}


@pytest.mark.parametrize("distance", [0, 1])
def test_a_nested_value_is_read_up_to_the_maximum_size(distance: int) -> None:
    check = {"name": "CPU", "new": ""}
    empty = len(json.dumps([check]))
    check["new"] = "x" * (MAX_RECORD_BYTES - empty + distance)
    page = page_of({"id": "a", "checks": [check]})
    assert (only(page).checks is None) == distance
    assert page.unreadable == ({"checks": 1} if distance else {})


@pytest.mark.parametrize("distance", [0, 1])
@pytest.mark.parametrize("memory", [4, "much"])
def test_a_record_on_a_page_that_is_not_as_documented_is_read_up_to_the_maximum_size(
    memory: object, distance: int
) -> None:
    record = {"id": "large", "memory": memory, "new": ""}
    record["new"] = "x" * (MAX_RECORD_BYTES - len(json.dumps(record)) + distance)
    page = page_of({"id": "a", "memory": "much"}, record)
    assert [each.id for each in page.records] == (["a"] if distance else ["a", "large"])
    assert page.invalid == distance


@pytest.mark.parametrize(("between", "is_shared"), [(1022, True), (1023, False)])
def test_equal_checks_of_servers_are_shared_for_a_thousand_different_ones(between: int, is_shared: bool) -> None:
    records = Records(SOURCE_SERVERS)

    def checks_of(*lists: tuple[str, int]) -> list[object]:
        servers = [
            {"id": str(number), "checks": [{"name": name, "id": unread}]} for number, (name, unread) in enumerate(lists)
        ]
        body = json.dumps({"count": len(servers), "source_servers": servers}).encode()
        return [each.checks for each in records.page(body).records]

    (first,) = checks_of(("CPU", 1))
    others = [(f"other {number}", 1) for number in range(between)]
    checks_of(*others[:1000])
    checks_of(*others[1000:])
    (again,) = checks_of(("CPU", 2))
    assert again == first
    assert (again is first) == is_shared


@pytest.mark.parametrize("memory", [-1, 2**63, 1.5, "many", True, [], {}, 10**400])
def test_an_unreadable_field_costs_that_field_only_and_is_counted(memory: object) -> None:
    page = page_of({"id": "a", "name": "kept", "memory": memory, "cpu_quantity": 4})
    assert (only(page).name, only(page).memory, only(page).cpu_quantity) == ("kept", None, 4)
    assert page.unreadable == {"memory": 1}


@pytest.mark.parametrize("speed", [1.1e15, "1e305", -0.5, "nan", "inf"])
def test_a_number_too_large_to_add_up_is_unreadable(speed: object) -> None:
    page = page_of({"id": "a", "current_task": {"migrate_speed": speed, "compress_rate": 1e15}})
    task = only(page).current_task
    assert task is not None
    assert (task.migrate_speed, task.compress_rate) == (None, 1e15)
    assert page.unreadable == {"current_task.migrate_speed": 1}


def test_an_unreadable_field_of_a_nested_record_is_named_by_its_path() -> None:
    page = page_of({"id": "a", "current_task": {"clone_server": [], "speed_limit": "fast"}, "checks": [7]})
    assert page.unreadable == {"current_task.clone_server": 1, "current_task.speed_limit": 1, "checks": 1}


@pytest.mark.parametrize(
    "record", [None, 5, "text", [], {}, {"name": "x"}, {"id": ""}, {"id": None}, {"id": True}, {"id": 1.5}, {"id": []}]
)
def test_a_record_without_an_id_costs_that_record_only_and_is_counted(record: object) -> None:
    page = page_of({"id": "a"}, record, {"id": "b"})
    assert [server.id for server in page.records] == ["a", "b"]
    assert (page.rows, page.invalid) == (3, 1)


def test_broken_text_in_one_record_does_not_lose_the_page() -> None:
    body = b'{"count": 2, "source_servers": [{"id": "a", "name": "x\\ud800"}, {"id": "b", "name": "\xff"}]}'
    assert [server.id for server in Records(SOURCE_SERVERS).page(body).records] == ["a", "b"]
    for server in Records(SOURCE_SERVERS).page(body).records:
        assert server.name is not None
        server.name.encode()


def test_of_two_records_with_the_same_id_on_one_page_the_first_is_kept_and_the_other_counted() -> None:
    page = page_of({"id": "a", "state": "error"}, {"id": "b"}, {"id": "a", "state": "finished"})
    assert [(record.id, record.state) for record in page.records] == [("a", "error"), ("b", None)]
    assert (page.rows, page.duplicates) == (3, 1)


def test_an_empty_list_may_be_null() -> None:
    assert Records(SOURCE_SERVERS).page(b'{"count": 0, "source_servers": null}').rows == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"<html></html>", b'{"count": 1}', b'{"source_servers": []}', b"\xff",
        b'{"count": -1, "source_servers": []}', b'{"count": "x", "source_servers": []}',
        b'{"count": 1, "source_servers": {}}', b'{"count": 1, "source_servers": [{"id": "a"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_list_of_servers_is_a_bad_response(body: bytes) -> None:
    with pytest.raises(BadResponse):
        Records(SOURCE_SERVERS).page(body)


DEEP = b'{"a":' * 1000 + b"1" + b"}" * 1000


@pytest.mark.parametrize(
    ("row", "is_kept"),
    [
        (b'{"id": "bad", "memory": ' + b"9" * 5000 + b"}", True),
        (b'{"id": "bad", "name": "' + b"x" * 5000 + b'"}', True),
        (b'{"id": "bad", "checks": [' + b'{"name": "' + b"x" * 300_000 + b'"}]}', True),
        (b'{"id": "bad", "checks": [' + b"{}," * 100_000 + b"{}]}", True),
        (b'{"id": ' + b"9" * 5000 + b"}", False),
        (b'{"id": "' + b"x" * 5000 + b'"}', False),
        (DEEP, False),
        (b"[" * 9000 + b"]" * 9000, False),
        (b'{"id": "bad", "memory": nonsense}', False),
        (b'{"id": "bad" "name": "x"}', False),
        (b'"a, b"', False),
    ],
)  # fmt: skip
def test_a_bad_record_costs_that_record_or_value_only(row: bytes, is_kept: bool) -> None:
    body = b'{"count": 3, "source_servers": [{"id": "a", "name": "b,]\\"}"}, %s, {"id": "b"}]}' % row
    page = Records(SOURCE_SERVERS).page(body)
    bad = [record for record in page.records if record.id == "bad"]
    assert [record.id for record in page.records if record not in bad] == ["a", "b"]
    assert page.records[0].name == 'b,]"}'
    assert (len(bad), page.invalid, page.rows) == ((1, 0, 3) if is_kept else (0, 1, 3))
    assert sum(page.unreadable.values()) == is_kept
    assert not bad or (bad[0].memory, bad[0].name, bad[0].checks) == (None, None, None)


@pytest.mark.parametrize("field", [b"ipv6", b"current_task"])
def test_a_deeply_nested_value_costs_no_other_record(field: bytes) -> None:
    # From Python 3.12 on, the stack allows more levels, and the record is kept.
    row = b'{"id": "bad", "%s": %s}' % (field, DEEP)
    page = Records(SOURCE_SERVERS).page(b'{"count": 3, "source_servers": [{"id": "a"}, %s, {"id": "b"}]}' % row)
    ids = [record.id for record in page.records]
    assert [each for each in ids if each != "bad"] == ["a", "b"]
    assert ids.count("bad") + page.invalid == 1


def test_a_large_record_is_skipped_only_if_a_record_of_its_page_is_malformed() -> None:
    large = {"id": "large", "new": "x" * 300_000}
    assert [server.id for server in page_of(large, {"id": "a"}).records] == ["large", "a"]
    malformed = page_of(large, {"id": "a", "memory": "much"})
    assert ([server.id for server in malformed.records], malformed.invalid) == (["a"], 1)


@pytest.mark.parametrize("row", [b"0", b'{"id": "a"}', b"null", b"[[]]"])
def test_a_page_with_too_many_rows_is_refused_at_the_first_row_beyond_the_maximum(row: bytes) -> None:
    with pytest.raises(BadResponse, match="more than 1000 rows on one page"):
        Records(SOURCE_SERVERS).page(b'{"count": 1, "source_servers": [' + b",".join([row] * 2000) + b"]}")


def test_a_page_that_ignores_the_limit_is_decoded_up_to_the_maximum() -> None:
    assert page_of(*({"id": f"s{number}"} for number in range(1000))).rows == 1000


async def test_a_large_page_is_decoded_in_a_thread_and_a_small_one_is_not() -> None:
    class Threads(Records[SourceServer]):
        def page(self, body: bytes) -> Page[SourceServer]:
            used.append(threading.get_ident())
            return super().page(body)

    used: list[int] = []
    records = Threads(SOURCE_SERVERS)
    body = b'{"count": 1, "source_servers": [{"id": "a"}]}'
    largest = body + b" " * (MAX_INLINE_BYTES - len(body))
    small, large = await records.decode(largest), await records.decode(largest + b" ")
    assert small == large
    assert used[0] == threading.get_ident() != used[1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def decodes_or_refuses(body: bytes) -> None:
    try:
        page = Records(SOURCE_SERVERS).page(body)
    except BadResponse:
        return
    assert len(page.records) + page.duplicates + page.invalid == page.rows
    for server in page.records:
        assert server.id
        (server.name or "").encode()


@given(json_values)
def test_any_json_is_a_page_or_a_bad_response(value: object) -> None:
    decodes_or_refuses(json.dumps(value).encode())


@given(json_values, json_values)
def test_any_list_is_a_page_or_a_bad_response(count: object, record: object) -> None:
    decodes_or_refuses(json.dumps({"count": count, "source_servers": [record]}).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_a_bad_response(body: bytes) -> None:
    decodes_or_refuses(body)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in paths(item, (*path, key)))]


RECORD_PATHS = [path for path in paths(example_servers()[2]) if path]


@given(st.sampled_from(RECORD_PATHS), json_values)
def test_any_mutation_of_a_record_loses_at_most_that_record(path: tuple[Any, ...], value: object) -> None:
    records = example_servers()
    holder: Any = records[2]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    page = page_of(*records)
    assert {server.id for server in page.records} >= {
        record["id"] for number, record in enumerate(records) if number != 2
    }
    assert len(page.records) == 10 or path == ("id",)


@given(st.integers(0, len((DATA / "list-servers-200.json").read_bytes()) - 1), st.binary(max_size=3))
def test_the_example_with_a_hole_is_a_page_or_a_bad_response(place: int, patch: bytes) -> None:
    body = json.dumps(example()).encode()
    decodes_or_refuses(body[:place] + patch + body[place + 1 :])
    decodes_or_refuses(body[:place])
