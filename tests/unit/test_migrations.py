from typing import Any

import pytest

from exporter.polling.migrations import MAX_MIGRATIONS, Migration, Migrations, merge_migrations, record_migrations
from exporter.polling.snapshot import Details, Snapshot, next_snapshot
from exporter.sms.details import MigrationError
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from support import NOW, account, server

MILLISECONDS = 1000


class Record:
    """The record of an account, and its last snapshot."""

    def __init__(self, migrations: Migrations = ()) -> None:
        self.migrations = migrations
        self.last: Snapshot | None = None

    def poll(self, *servers: SourceServer, read_at: float = NOW, **details: Details) -> Migrations:
        snapshot = next_snapshot(Listing(servers, len(servers)), account(), read_at, self.last, details)
        self.migrations = record_migrations(self.migrations, snapshot, self.last)
        self.last = snapshot
        return self.migrations

    def results(self) -> list[tuple[str, str]]:
        return [(migration.server_id, migration.result) for migration in self.migrations]


def migrating(server_id: str = "s1", **fields: Any) -> SourceServer:
    task = {"id": "t1", "start_date": (NOW - 3600) * MILLISECONDS}
    given = {"name": "web-1", "ip": "10.0.0.1", "totalsize": 100, "replicatesize": 40, "current_task": task}
    return server(server_id, **{"state": "replicate", **given, **fields})


def test_a_server_that_finishes_is_recorded_with_its_start_end_and_bytes() -> None:
    record = Record()
    assert record.poll(migrating()) == ()
    (recorded,) = record.poll(migrating(state="finished", replicatesize=100), read_at=NOW + 60)
    assert recorded == Migration(
        server_id="s1",
        name="web-1",
        ip="10.0.0.1",
        task_id="t1",
        result="finished",
        started_at=NOW - 3600,
        ended_at=NOW + 60,
        size=100,
        replicated=100,
    )
    assert recorded.duration == 3660


def test_the_end_is_the_time_that_the_api_reports() -> None:
    record = Record()
    record.poll(migrating())
    reported = (NOW + 30) * MILLISECONDS
    (recorded,) = record.poll(migrating(state="finished", state_action_time=reported), read_at=NOW + 60)
    assert recorded.ended_at == NOW + 30


def test_an_end_in_the_future_or_before_the_start_is_not_believed() -> None:
    for reported in (NOW + 3600, NOW - 7200):
        record = Record()
        record.poll(migrating())
        finished = migrating(state="finished", state_action_time=reported * MILLISECONDS)
        assert record.poll(finished, read_at=NOW + 60)[0].ended_at == NOW + 60


def test_a_start_in_the_future_is_unknown() -> None:
    record = Record()
    task = {"id": "t1", "start_date": 2**62}
    record.poll(migrating(current_task=task))
    (recorded,) = record.poll(migrating(state="finished", current_task=task), read_at=NOW + 60)
    assert (recorded.started_at, recorded.ended_at) == (None, NOW + 60)


def test_a_finished_server_without_sizes_keeps_those_of_the_list_before() -> None:
    record = Record()
    record.poll(migrating(replicatesize=99))
    (recorded,) = record.poll(migrating(state="finished", totalsize=0, replicatesize=0))
    assert (recorded.size, recorded.replicated) == (100, 99)


def test_a_finished_server_is_recorded_once_and_stays_after_it_is_deleted() -> None:
    record = Record()
    record.poll(migrating())
    recorded = record.poll(migrating(state="finished"))
    assert record.poll(migrating(state="finished", last_visit_time=1)) is recorded
    assert record.poll() is recorded


def test_each_failure_of_a_server_and_its_later_success_are_recorded() -> None:
    record = Record()
    for state in ("replicate", "error", "replicate", "error", "replicate", "finished"):
        record.poll(migrating(state=state))
    assert record.results() == [("s1", "failed"), ("s1", "failed"), ("s1", "finished")]


def test_a_server_that_has_finished_before_the_first_list_is_recorded_once() -> None:
    record = Record()
    record.poll(migrating("s1", state="finished"), migrating("s2", state="error"), migrating("s3"))
    assert record.results() == [("s1", "finished"), ("s2", "failed")]
    restarted = Record(record.migrations)
    restarted.poll(migrating("s1", state="finished"), migrating("s2", state="error"), migrating("s3"))
    assert restarted.migrations is record.migrations


def errors_read_at(moment: float) -> Details:
    return Details(moment, {"s1": MigrationError(id="s1", error_json='{"code": "SMS.0515"}')})


def test_a_failure_gets_its_error_code_when_that_has_been_read() -> None:
    record = Record()
    record.poll(migrating())
    assert record.poll(migrating(state="error"), read_at=NOW + 60)[0].error_code == ""
    assert record.poll(migrating(state="error"), errors=errors_read_at(NOW + 60))[0].error_code == "SMS.0515"
    assert record.poll(migrating(state="error"), errors=errors_read_at(NOW + 120)) is record.migrations


def test_an_error_that_was_read_before_a_failure_is_not_that_of_the_failure() -> None:
    record = Record()
    record.poll(migrating())
    recorded = record.poll(migrating(state="error"), read_at=NOW + 60, errors=errors_read_at(NOW + 59))
    assert recorded[0].error_code == ""


def test_a_record_that_is_full_drops_the_oldest() -> None:
    old = Migration(server_id="old", name="", result="finished", ended_at=1.0)
    record = Record((old,) * MAX_MIGRATIONS)
    record.poll(migrating())
    record.poll(migrating(state="finished"))
    assert len(record.migrations) == MAX_MIGRATIONS
    assert record.migrations[-1].server_id == "s1"


def test_a_record_that_was_not_known_is_continued() -> None:
    earlier = Record()
    earlier.poll(migrating("s1", state="finished"), migrating("s2", state="error"))
    meanwhile = Record()
    meanwhile.poll(migrating("s1", state="finished"), migrating("s2", state="replicate"))
    meanwhile.poll(migrating("s1", state="finished"), migrating("s2", state="finished"))
    merged = Record(merge_migrations(earlier.migrations, meanwhile.migrations))
    assert merged.results() == [("s1", "finished"), ("s2", "failed"), ("s2", "finished")]


def test_merging_a_record_with_an_earlier_part_of_itself_adds_nothing_twice() -> None:
    record = Record()
    for state in ("replicate", "error", "replicate", "finished"):
        record.poll(migrating(state=state))
    assert merge_migrations(record.migrations, record.migrations) == record.migrations
    assert merge_migrations(record.migrations[:1], record.migrations) == record.migrations


def test_migrations_that_end_between_two_lists_are_recorded_in_the_order_of_their_ends() -> None:
    record = Record()
    record.poll(migrating("s1"), migrating("s2"))
    ends = {"s1": NOW + 50, "s2": NOW + 40}
    record.poll(
        *(migrating(name, state="finished", state_action_time=end * MILLISECONDS) for name, end in ends.items()),
        read_at=NOW + 60,
    )
    assert record.results() == [("s2", "finished"), ("s1", "finished")]


@pytest.mark.parametrize(("task", "task_id"), [({"id": "t2"}, "t2"), (None, "t1")])
def test_the_task_is_that_of_the_last_list_or_else_of_the_one_before(task: dict[str, str] | None, task_id: str) -> None:
    record = Record()
    record.poll(migrating())
    assert record.poll(migrating(state="finished", current_task=task), read_at=NOW + 60)[0].task_id == task_id


@pytest.mark.parametrize(
    ("start_date", "started_at"),
    [(None, None), (0, None), (1000, 1), (NOW * MILLISECONDS, NOW), (NOW * MILLISECONDS + 1, None)],
)
def test_a_start_is_between_the_epoch_and_the_list(start_date: int | None, started_at: float | None) -> None:
    finished = migrating(state="finished", current_task={"id": "t1", "start_date": start_date})
    (recorded,) = Record().poll(finished)
    assert (recorded.started_at, recorded.ended_at) == (started_at, NOW)


def test_an_end_at_the_moment_of_the_start_is_not_believed() -> None:
    start = (NOW - 3600) * MILLISECONDS
    for reported, ended_at in ((start, NOW), (start + 1000, NOW - 3599)):
        (recorded,) = Record().poll(migrating(state="finished", state_action_time=reported))
        assert recorded.ended_at == ended_at
