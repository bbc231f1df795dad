import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from exporter.polling.collectors import DETAIL_COLLECTORS
from exporter.polling.consistency import Verification
from exporter.polling.migrations import Migration
from exporter.polling.projects import ProjectMembers
from exporter.polling.snapshot import Details, Snapshot, next_snapshot
from exporter.polling.state_format import (
    VERSION,
    SavedState,
    Unusable,
    decode_migrations,
    decode_state,
    encode_migrations,
    encode_state,
)
from exporter.settings import AccountSettings
from exporter.sms.consistency import ConsistencyResult
from exporter.sms.decoding import Records
from exporter.sms.details import MigrationError, MigrationProject, MigrationTask, SubTask, TaskSource
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.paging import Listing
from records import complete_record, lists_of_servers
from support import NOW, account, example_servers

MIGRATIONS = tuple(
    Migration(server_id=f"s{number}", name="web", result="finished", ended_at=NOW, size=5) for number in range(450)
)


def snapshot_of(*records: dict[str, Any], previous: Snapshot | None = None, read_at: float = NOW) -> Snapshot:
    page = Records(SOURCE_SERVERS).page(json.dumps({"count": len(records), "source_servers": records}).encode())
    listing = Listing(page.records, page.count, unknown=page.unknown)
    return next_snapshot(listing, account(), read_at, previous)


def saved(snapshot: Snapshot) -> SavedState:
    return SavedState(snapshot, {}, {})


def content(snapshot: Snapshot) -> object:
    """Return everything of a snapshot that the next one depends on or that is served."""
    fields = ("account", "read_at", "count", "last_growth", "last_values", "unknown", "speed_unit_bytes")
    servers = [asdict(server) for server in snapshot.servers]
    return servers, {name: getattr(snapshot, name) for name in fields}


def test_a_state_is_read_as_it_was_written() -> None:
    first = snapshot_of(*example_servers(), {"id": "complete", **complete_record()})
    read = decode_state(encode_state(saved(first), account()), account())
    assert content(read.snapshot) == content(first)


def test_growth_and_last_values_are_those_of_all_earlier_lists() -> None:
    first = snapshot_of({"id": "a", "state": "replicate", "replicatesize": 5}, read_at=NOW - 900)
    second = snapshot_of({"id": "a"}, previous=first)
    read = decode_state(encode_state(saved(second), account()), account()).snapshot
    assert read.last_growth == {"a": NOW - 900}
    assert read.last_values == second.last_values != {}


def test_the_next_list_shows_what_changed_since_the_saved_one() -> None:
    read = decode_state(encode_state(saved(snapshot_of({"id": "a", "state": "replicate"})), account()), account())
    (transition,) = snapshot_of({"id": "a", "state": "finished"}, previous=read.snapshot).transitions
    assert (transition.from_state, transition.to_state) == ("replicate", "finished")


def test_transitions_of_an_earlier_process_are_not_counted_again() -> None:
    first = snapshot_of({"id": "a", "state": "replicate"})
    second = snapshot_of({"id": "a", "state": "finished"}, previous=first)
    read = decode_state(encode_state(saved(second), account()), account()).snapshot
    assert (read.transitions, read.transitions_total) == ((), {})


def test_undocumented_values_and_the_times_of_their_log_lines_are_kept() -> None:
    first = snapshot_of({"id": "a", "state": "premiging"})
    logged_at = {("state", "premiging"): NOW - 5}
    read = decode_state(encode_state(SavedState(first, logged_at, {}), account()), account())
    assert (read.snapshot.unknown, read.undocumented_logged_at) == ({("state", "premiging"): 1}, logged_at)
    assert read.snapshot.servers[0].state == "premiging"


def test_what_collectors_have_logged_is_kept() -> None:
    logged = {"errors": frozenset({("a", "SMS.0515"), ("b\ud800", "unknown")})}
    state = SavedState(snapshot_of({"id": "a"}), {}, {}, logged)
    assert decode_state(encode_state(state, account()), account()).logged == logged


def test_a_text_with_half_of_a_surrogate_pair_is_kept() -> None:
    first = snapshot_of({"id": "a\ud800", "name": "\udc00"})
    read = decode_state(encode_state(saved(first), account()), account()).snapshot
    assert content(read) == content(first)


DETAILS = {
    "errors": MigrationError(id="a", error_json="SMS.0515"),
    "task_details": MigrationTask(id="t1", source_server=TaskSource(id="a"), sub_tasks=(SubTask(name="SSL_CONFIG"),)),
    "consistency": Verification("t1", ("RUNNING", None, 5), ConsistencyResult(consistency_result=())),
    "projects": ProjectMembers(MigrationProject(id="p1", name="wave \ud800"), frozenset({"a", "b"})),
}


def test_what_every_collector_has_read_is_kept_with_its_time() -> None:
    assert DETAILS.keys() == DETAIL_COLLECTORS.keys()
    details = {name: Details(NOW - 60, {"a": record}) for name, record in DETAILS.items()}
    read = decode_state(encode_state(SavedState(snapshot_of({"id": "a"}), {}, details), account()), account())
    assert {name: each.records["a"] for name, each in read.details.items()} == DETAILS
    assert {each.read_at for each in read.details.values()} == {NOW - 60}


def test_details_of_a_collector_that_does_not_exist_any_more_are_left_out() -> None:
    details = {"gone": Details(NOW, {"a": DETAILS["errors"]}), "errors": Details(NOW, {"a": DETAILS["errors"]})}
    read = decode_state(encode_state(SavedState(snapshot_of({"id": "a"}), {}, details), account()), account())
    assert list(read.details) == ["errors"]


def test_a_list_of_many_pages_keeps_its_order() -> None:
    first = snapshot_of(*({"id": f"s{number}"} for number in range(450)))
    read = decode_state(encode_state(saved(first), account()), account()).snapshot
    assert [server.id for server in read.servers] == [f"s{number}" for number in range(450)]


@settings(max_examples=50, deadline=None)
@given(records=lists_of_servers())
def test_any_records_are_read_as_they_were_written(records: list[dict[str, Any]]) -> None:
    first = snapshot_of(*records)
    read = decode_state(encode_state(saved(first), account()), account()).snapshot
    assert content(read) == content(first)


def test_an_empty_list_is_kept() -> None:
    assert decode_state(encode_state(saved(snapshot_of()), account()), account()).snapshot.servers == ()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (account(filter={"state": "error"}), "another list"),
        (account(api={"endpoint": "http://127.0.0.1:10"}), "another list"),
        (account(account={"name": "depot"}), "another account"),
    ],
    ids=["filter", "endpoint", "account"],
)
def test_the_state_of_another_list_is_not_used(other: AccountSettings, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        decode_state(encode_state(saved(snapshot_of({"id": "a"})), account()), other)


def test_another_version_is_not_used() -> None:
    written = encode_state(saved(snapshot_of({"id": "a"})), account())
    later = written.replace(f" {VERSION} ".encode(), f" {VERSION + 1} ".encode(), 1)
    with pytest.raises(Unusable, match=f"version {VERSION + 1}"):
        decode_state(later, account())


@pytest.mark.parametrize(
    "foreign", [b"", b"\n", b"{}", b"PK\x03\x04", b"\x00" * 5000, b"huaweicloud-sms-exporter"], ids=repr
)
def test_a_file_of_something_else_is_not_used(foreign: bytes) -> None:
    for decode in (lambda body: decode_state(body, account()), decode_migrations):
        with pytest.raises(Unusable, match="not written by this exporter"):
            decode(foreign)


def test_the_two_kinds_of_files_are_not_confused() -> None:
    with pytest.raises(Unusable):
        decode_state(encode_migrations(MIGRATIONS), account())
    with pytest.raises(Unusable):
        decode_migrations(encode_state(saved(snapshot_of()), account()))


def test_a_record_of_migrations_is_read_as_it_was_written() -> None:
    changed = (*MIGRATIONS, replace_name(MIGRATIONS[0], "\ud800"))
    assert decode_migrations(encode_migrations(changed)) == changed
    assert decode_migrations(encode_migrations(())) == ()


@pytest.mark.parametrize(
    "impossible",
    [{"ended_at": 1e301}, {"ended_at": -1.0}, {"started_at": 1e301}, {"size": -1}, {"replicated": 2**64}],
)
def test_a_record_with_an_impossible_number_is_not_used(impossible: dict[str, Any]) -> None:
    record = (*MIGRATIONS, Migration(**{**asdict(MIGRATIONS[0]), **impossible}))
    with pytest.raises(Unusable, match="it is damaged"):
        decode_migrations(encode_migrations(record))


def replace_name(migration: Migration, name: str) -> Migration:
    return Migration(**{**asdict(migration), "name": name})


STATE = encode_state(saved(snapshot_of(*example_servers())), account())
RECORD = encode_migrations(MIGRATIONS)


def decoded(content_: bytes) -> object:
    return content(decode_state(content_, account()).snapshot)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_not_used(data: st.DataObject) -> None:
    written, decode = data.draw(st.sampled_from([(STATE, decoded), (RECORD, decode_migrations)]))
    damage: Callable[[bytes], bytes] = data.draw(
        st.sampled_from([lambda body: flipped(body, data), lambda body: truncated(body, data)])
    )
    with pytest.raises(Unusable):
        decode(damage(written))


def flipped(body: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, 8 * len(body) - 1))
    return body[: at // 8] + bytes([body[at // 8] ^ 1 << at % 8]) + body[at // 8 + 1 :]


def truncated(body: bytes, data: st.DataObject) -> bytes:
    return body[: data.draw(st.integers(0, len(body) - 1))]


def test_a_file_with_more_bytes_than_were_written_is_not_used() -> None:
    with pytest.raises(Unusable):
        decoded(STATE + b"\x00")
