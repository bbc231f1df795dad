import itertools
from typing import Any

import pytest

from exporter.simulator import Fleet
from exporter.simulator.details import build_task
from exporter.sms.details import SUBTASKS
from support import NOW, FakeClock


@pytest.fixture(scope="module")
def lives() -> list[list[tuple[dict[str, Any], dict[str, Any] | None]]]:
    """Return the record and the task of each of 40 servers in 90 minutes, every 30 seconds."""
    clock = FakeClock()
    fleet = Fleet(40, clock=clock)
    moments = []
    for _ in range(180):
        migrations = fleet.select().migrations()
        moments.append([(dict(each.record), build_task(each) if each.task else None) for each in migrations])
        clock.advance(30)
    return [list(life) for life in zip(*moments, strict=True)]


def test_subtasks_run_in_order(lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]]) -> None:
    for _, task in itertools.chain.from_iterable(lives):
        if task is None:
            continue
        starts = [subtask["start_date"] for subtask in task["sub_tasks"]]
        assert starts == sorted(starts)
        assert task["sub_tasks"][0]["name"] == "CREATE_CLOUD_SERVER"
        for subtask in task["sub_tasks"]:
            assert subtask["end_date"] is None or subtask["progress"] == 100
            assert subtask["end_date"] is None or subtask["start_date"] < subtask["end_date"]


def test_every_kind_of_subtask_occurs(lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]]) -> None:
    tasks = [task for _, task in itertools.chain.from_iterable(lives) if task]
    names = {subtask["name"] for task in tasks for subtask in task["sub_tasks"]}

    assert names <= set(SUBTASKS)
    assert {"CLONE_VM", "SYNC_WINDOWS_BLOCK", "SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK", "CONFIGURE_WINDOWS"} <= names


def test_nothing_ends_or_starts_in_the_future(
    lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]],
) -> None:
    for life in lives:
        for number, (_, task) in enumerate(life):
            now = (NOW + number * 30) * 1000
            for subtask in task["sub_tasks"] if task else ():
                assert subtask["start_date"] <= now
                assert subtask["end_date"] is None or subtask["end_date"] <= now + 1


def test_only_a_subtask_of_work_that_continues_advances(
    lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]],
) -> None:
    waiting = {"error", "stopping", "stopped", "skipping", "premigready", "premiged", "finished", "cleared"}
    for life in lives:
        for (before, earlier), (after, later) in itertools.pairwise(life):
            if earlier and later and before["state"] == after["state"] in waiting and earlier["id"] == later["id"]:
                assert earlier["sub_tasks"] == later["sub_tasks"]


def test_a_set_up_that_failed_stopped_in_a_subtask(
    lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]],
) -> None:
    failed = [
        task
        for record, task in itertools.chain.from_iterable(lives)
        if task and record["state"] == "error" and record["migration_cycle"] == "setting"
    ]
    assert failed
    for task in failed:
        last = task["sub_tasks"][-1]
        assert (last["name"], last["progress"], last["end_date"]) == (
            "ATTACH_AGENT_IMAGE",
            pytest.approx(90, abs=1),
            None,
        )


def test_a_server_in_continuous_synchronization_has_a_recent_end_of_a_synchronization(
    lives: list[list[tuple[dict[str, Any], dict[str, Any] | None]]],
) -> None:
    lags = []
    for life in lives:
        for number, (record, task) in enumerate(life):
            ends = [
                subtask["end_date"]
                for subtask in (task or {"sub_tasks": []})["sub_tasks"]
                if subtask["name"].startswith("SYNC_") and subtask["end_date"]
            ]
            if record["state"] == "syncing" and record["connected"] and ends:
                lags.append(NOW + number * 30 - max(ends) / 1000)
    assert len(lags) > 100
    assert min(lags) >= 0
    assert sorted(lags)[len(lags) // 2] < 40


def test_the_lag_of_a_stalled_server_grows(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)

    def last_sync(server_id: str) -> int:
        (task,) = [build_task(each) for each in fleet.select().migrations() if each.record["id"] == server_id]
        return max(subtask["end_date"] or 0 for subtask in task["sub_tasks"] if subtask["name"].startswith("SYNC"))

    server_id = next(
        each.record["id"]
        for each in fleet.select().migrations()
        if each.record["state"] == "syncing" and each.record["connected"] and each.subtasks[-2].name.startswith("SYNC")
    )
    fleet.stall(server_id)
    before = last_sync(server_id)
    clock.advance(7200)
    assert last_sync(server_id) == before > 0


def test_the_load_of_the_agent_is_part_of_that_of_its_server(clock: FakeClock) -> None:
    for each in Fleet(250, clock=clock).with_tasks().migrations():
        task = build_task(each)
        assert 0 < task["agent_cpu_usage"] <= task["total_cpu_usage"] <= 100
        assert 0 < task["agent_mem_usage"] < task["total_mem_usage"] < each.record["memory"] / 2**20
        assert 0 <= task["agent_disk_io"] <= task["total_disk_io"]


def test_target_servers_have_unique_addresses_outside_every_real_network(clock: FakeClock) -> None:
    addresses = [each.address for each in Fleet(2000, clock=clock).with_tasks().migrations() if each.address]

    assert len(set(addresses)) == len(addresses) > 1000
    assert all(address.startswith(("198.18.", "198.19.")) for address in addresses)


def test_a_server_without_a_task_has_no_target(clock: FakeClock) -> None:
    for each in Fleet(250, clock=clock).select().migrations():
        assert bool(each.address) <= bool(each.task)
        assert bool(each.subtasks) == bool(each.task)


def test_given_records_are_listed_in_the_further_lists_too(clock: FakeClock) -> None:
    record = {"id": "s1", "state": "error", "current_task": {"id": "t1", "state": "MIGRATE_FAIL"}}
    (migration,) = Fleet.from_records([record, {"id": "s2"}], clock=clock).with_tasks().migrations()
    task = build_task(migration)

    assert (task["id"], task["state"], task["source_server"]["id"]) == ("t1", "MIGRATE_FAIL", "s1")
    assert (task["sub_tasks"], task["migration_ip"]) == ([], None)
