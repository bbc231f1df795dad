import itertools
import json
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from exporter.simulator import Fleet
from exporter.simulator.environment import LINUX_CHECKS, WINDOWS_CHECKS
from exporter.sms.model import (
    CHECK_RESULTS,
    CLONE_STATES,
    LOG_COLLECT_STATUSES,
    MIGRATION_CYCLES,
    OS_TYPES,
    SOURCE_STATES,
    TASK_STATES,
    TASK_TYPES,
    SourceServer,
)
from support import NOW, FakeClock, example

MEGABIT = 125_000
HOUR = 3600.0


@pytest.fixture(scope="module")
def lives() -> list[list[dict[str, Any]]]:
    """Return the records of each of 120 servers in 90 minutes, one every 20 seconds."""
    clock = FakeClock()
    fleet = Fleet(120, clock=clock)
    moments = []
    for _ in range(270):
        moments.append(fleet.select().rows(0, 120))
        clock.advance(20)
    return [list(life) for life in zip(*moments, strict=True)]


def movers(fleet: Fleet) -> list[dict[str, Any]]:
    """Return the records of servers that replicate."""
    return [r for r in fleet.records() if r["current_task"] and r["current_task"]["migrate_speed"]]


def test_the_same_seed_has_the_same_history() -> None:
    clocks = FakeClock(), FakeClock()
    one, two = (Fleet(50, seed=7, clock=clock) for clock in clocks)
    for clock in clocks:
        clock.advance(1234.5)

    assert one.records() == two.records()


def test_another_seed_makes_another_fleet(clock: FakeClock) -> None:
    one, two = (Fleet(50, seed=seed, clock=clock) for seed in (1, 2))

    assert not set(one.ids) & set(two.ids)
    assert [r["state"] for r in one.records()] != [r["state"] for r in two.records()]


def test_a_record_depends_on_the_moment_and_not_on_earlier_reads() -> None:
    clock = FakeClock()
    watched, ignored = Fleet(30, clock=clock), Fleet(30, clock=clock)
    for _ in range(20):
        clock.advance(61)
        watched.records()

    assert watched.records() == ignored.records()


@pytest.mark.parametrize("seed", range(1, 6))
def test_nearly_every_state_occurs_from_the_first_second_on(seed: int) -> None:
    clock = FakeClock()
    fleet = Fleet(250, seed=seed, clock=clock)

    for _ in range(24):
        states = [record["state"] for record in fleet.records()]
        assert set(states) <= set(SOURCE_STATES)
        assert len(set(states)) >= 17
        assert 50 <= states.count("replicate") <= 120
        clock.advance(HOUR / 4)


def test_every_state_cycle_and_task_state_of_the_reference_occurs(
    lives: list[list[dict[str, Any]]],
) -> None:
    records = [record for life in lives for record in life]
    tasks = [record["current_task"] for record in records if record["current_task"]]

    assert {record["state"] for record in records} == set(SOURCE_STATES)
    assert {record["migration_cycle"] for record in records} == set(MIGRATION_CYCLES)
    assert {record["os_type"] for record in records} == set(OS_TYPES)
    assert {task["type"] for task in tasks} == set(TASK_TYPES)
    assert {task["log_collect_status"] for task in tasks} == set(LOG_COLLECT_STATUSES)
    assert {task["clone_server"]["clone_state"] for task in tasks if task["clone_server"]} == set(CLONE_STATES)
    assert {task["state"] for task in tasks} <= set(TASK_STATES)
    assert {record["connected"] for record in records} == {True, False}


def test_every_record_is_as_the_reference_documents_it(clock: FakeClock) -> None:
    for record in Fleet(300, clock=clock).records():
        decoded = msgspec.convert(record, SourceServer)
        assert decoded.checks is not None
        assert {check.result for check in decoded.checks} <= set(CHECK_RESULTS)
        assert decoded.init_target_server is not None
        assert {disk.device_use for disk in decoded.init_target_server.disks or ()} <= {"BOOT", "OS", "NORMAL"}


def test_dates_are_whole_seconds_and_addresses_canonical(clock: FakeClock) -> None:
    clock.advance(0.75)
    for record in Fleet(200, clock=clock).records():
        task = record["current_task"] or {}
        dates = [record[name] for name in ("add_date", "stage_action_time", "state_action_time", "last_visit_time")]
        dates += [task.get("start_date"), task.get("estimate_complete_time")]
        assert all(date % 1000 == 0 for date in dates if date is not None)
        assert record["ip"] == str(ip_address(record["ip"]))
        assert "ipv6" not in record or record["ipv6"] == str(ip_address(record["ipv6"]))


def test_some_volumes_are_for_both_boot_and_system(clock: FakeClock) -> None:
    uses = {
        volume["device_use"]
        for record in Fleet(100, clock=clock).records()
        for disk in record["init_target_server"]["disks"]
        for volume in disk.get("physical_volumes", ())
    }
    assert uses == {"BOOT", "OS", "BOOT|OS", "NORMAL", "VOLUME_GROUP"}


def test_most_finished_servers_have_no_sizes(lives: list[list[dict[str, Any]]]) -> None:
    sizes = [record["totalsize"] for life in lives for record in life if record["state"] == "finished"]

    assert 0 < sum(size > 0 for size in sizes) < len(sizes) / 2


def test_the_task_of_a_failed_server_has_failed(lives: list[list[dict[str, Any]]]) -> None:
    failed = [record for life in lives for record in life if record["state"] == "error"]

    assert {record["migration_cycle"] for record in failed} == {"setting", "replicating", "syncing", "cutovering"}
    assert {record["current_task"]["state"] for record in failed} == {"MIGRATE_FAIL"}


def test_names_addresses_and_ids_are_unique(clock: FakeClock) -> None:
    records = Fleet(2000, clock=clock).records()

    for field in ("id", "name", "ip"):
        assert len({record[field] for record in records}) == 2000
    addresses = [record["ipv6"] for record in records if "ipv6" in record]
    assert len(set(addresses)) == len(addresses) > 200


def test_the_default_project_is_0_or_absent(clock: FakeClock) -> None:
    projects = {record.get("enterprise_project_id") for record in Fleet(100, clock=clock).records()}

    assert {"0", 0, None} < projects
    assert len(projects) == 5


def test_replicated_bytes_grow_at_the_reported_speed(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    before = {record["id"]: record for record in movers(fleet)}
    clock.advance(1.0)

    after = [r for r in movers(fleet) if r["id"] in before]
    assert len(after) > 60
    steady = [
        (before[record["id"]], record)
        for record in after
        if record["current_task"]["migrate_speed"] == before[record["id"]]["current_task"]["migrate_speed"]
    ]
    assert len(steady) > 50
    for earlier, later in steady:
        grown = later["replicatesize"] - earlier["replicatesize"]
        assert grown == pytest.approx(later["current_task"]["migrate_speed"] * MEGABIT, abs=1)


def test_the_remaining_time_follows_from_the_remaining_bytes_and_the_speed(clock: FakeClock) -> None:
    records = movers(Fleet(250, clock=clock))

    assert len(records) > 60
    for record in records:
        task = record["current_task"]
        rest = (record["totalsize"] - record["replicatesize"]) / (task["migrate_speed"] * MEGABIT)
        assert task["remain_seconds"] == pytest.approx(rest, abs=0.51)
        assert task["estimate_complete_time"] == pytest.approx((NOW + rest) * 1000, abs=1001)


def test_a_limited_server_is_never_faster_than_its_limit(clock: FakeClock) -> None:
    limited = [r for r in movers(Fleet(500, clock=clock)) if r["current_task"]["speed_limit"]]

    assert limited
    assert all(r["current_task"]["migrate_speed"] <= r["current_task"]["speed_limit"] for r in limited)


def test_replicated_bytes_of_a_task_never_shrink_and_never_exceed_its_size(
    lives: list[list[dict[str, Any]]],
) -> None:
    for life in lives:
        replicated = 0
        task = None
        for record in life:
            assert record["replicatesize"] <= record["totalsize"]
            if record["state"] == "finished":
                continue
            current = record["current_task"] and record["current_task"]["id"]
            assert current != task or record["replicatesize"] >= replicated
            task, replicated = current, record["replicatesize"]


def test_a_change_of_state_or_cycle_has_the_time_of_the_change(lives: list[list[dict[str, Any]]]) -> None:
    for life in lives:
        for before, after in itertools.pairwise(life):
            for field, date in (("state", "state_action_time"), ("migration_cycle", "stage_action_time")):
                if after[date] is None or before[date] is None:
                    continue
                if before[field] == after[field]:
                    assert after[date] >= before[date]
                else:
                    assert before[date] < after[date]


def test_nothing_is_dated_before_the_registration_or_in_the_future(clock: FakeClock) -> None:
    for record in Fleet(250, clock=clock).records():
        dates = [record[name] for name in ("stage_action_time", "state_action_time", "last_visit_time")]
        if record["current_task"]:
            dates.append(record["current_task"]["start_date"])
        assert all(record["add_date"] < date <= NOW * 1000 for date in dates if date is not None)


def test_the_last_visit_is_recent_while_connected_and_then_the_time_of_the_disconnect(
    lives: list[list[dict[str, Any]]],
) -> None:
    for life in lives:
        for before, after in itertools.pairwise(life):
            if after["connected"]:
                assert after["last_visit_time"] > before["last_visit_time"]
            elif not before["connected"]:
                assert after["last_visit_time"] == before["last_visit_time"]


def test_an_unchecked_server_has_no_checks(clock: FakeClock) -> None:
    unavailable = [r for r in Fleet(1000, clock=clock).records() if r["state"] == "unavailable"]
    unchecked = [record for record in unavailable if not record["connected"]]
    failed = [record for record in unavailable if record["connected"]]

    assert unchecked
    assert failed
    for record in unchecked:
        assert record["checks"] == []
        assert record["state_action_time"] is None
    for record in failed:
        errors = [check for check in record["checks"] if check["result"] == "ERROR"]
        assert [check["error_code"][:4] for check in errors] == ["SMS."]


def test_checks_have_the_names_for_their_operating_system(clock: FakeClock) -> None:
    for record in Fleet(100, clock=clock).records():
        names = tuple(check["name"] for check in record["checks"])
        assert names in ((), WINDOWS_CHECKS if record["os_type"] == "WINDOWS" else LINUX_CHECKS)


def test_the_sizes_of_disks_add_up_to_the_migrated_size(clock: FakeClock) -> None:
    with_groups = 0
    for record in Fleet(300, clock=clock).records():
        disks = record["init_target_server"]["disks"]
        groups = record["init_target_server"].get("volume_groups", [])
        with_groups += bool(groups)
        if record["state"] == "replicate" and "used_size" in disks[0]:
            assert sum(disk["used_size"] for disk in disks) == record["totalsize"]
        for disk in disks:
            volumes = disk.get("physical_volumes", [])
            assert sum(volume["size"] for volume in volumes) <= disk["size"]
            assert sum(volume["used_size"] for volume in volumes) in (0, disk.get("used_size"))
        for group in groups:
            sizes = sum(volume["size"] for volume in group["logical_volumes"])
            assert sizes + group["free_size"] == group["size"]
            assert all(v["used_size"] + v["free_size"] == v["size"] for v in group["logical_volumes"])
            assert all(v["free_size"] >= 0 for v in group["logical_volumes"])
    assert with_groups > 20


def test_the_subtask_has_the_progress_of_the_copy(clock: FakeClock) -> None:
    copying = [r for r in Fleet(250, clock=clock).records() if r["state"] == "replicate"]

    for record in copying:
        name, _, percent = record["current_task"]["subtask_info"].partition("-")
        system = record["os_type"]
        assert name in (f"MIGRATE_{system}_FILE", f"MIGRATE_{system}_BLOCK")
        assert int(percent) == record["replicatesize"] * 100 // record["totalsize"]


def test_a_new_migration_is_a_new_task(lives: list[list[dict[str, Any]]]) -> None:
    tasks = [
        list(dict.fromkeys(record["current_task"]["id"] for record in life if record["current_task"])) for life in lives
    ]

    assert max(len(ids) for ids in tasks) >= 2
    assert len({task for ids in tasks for task in ids}) == sum(map(len, tasks))


def test_acceleration_reduces_sizes_but_not_speeds(clock: FakeClock) -> None:
    slow, fast = (movers(Fleet(300, acceleration=factor, clock=clock)) for factor in (60, 600))

    def mean(records: list[dict[str, Any]], *path: str) -> float:
        values = [r[path[0]] if len(path) == 1 else r[path[0]][path[1]] for r in records]
        return float(sum(values) / len(values))

    assert mean(slow, "totalsize") == pytest.approx(10 * mean(fast, "totalsize"), rel=0.25)
    assert mean(slow, "current_task", "migrate_speed") == pytest.approx(
        mean(fast, "current_task", "migrate_speed"), rel=0.25
    )


def test_a_clock_near_its_epoch_produces_no_negative_dates() -> None:
    for record in Fleet(50, clock=FakeClock(0.0)).records():
        assert record["add_date"] == 0
        assert record["stage_action_time"] >= 0


def test_given_records_are_listed_unchanged() -> None:
    records = example()["source_servers"]

    assert Fleet.from_records(records).records() == json.loads(json.dumps(records))


def test_servers_can_be_added_and_removed(clock: FakeClock) -> None:
    fleet = Fleet(10, clock=clock)
    gone = fleet.ids[3]
    fleet.remove(gone)
    added = fleet.add()

    assert len(fleet) == 10
    assert gone not in fleet.ids
    assert fleet.ids[0] == added
    with pytest.raises(KeyError):
        fleet.record(gone)
    fleet.resize(4)
    assert len(fleet.ids) == 4
    fleet.resize(12)
    assert len(set(fleet.ids)) == 12


def test_the_newest_server_is_listed_first(clock: FakeClock) -> None:
    fleet = Fleet(2000, clock=clock)
    dates = [record["add_date"] for record in fleet.records()]

    assert dates == sorted(dates, reverse=True)
    assert len(set(dates[:300])) == 300
    clock.advance(60)
    added = fleet.add()
    assert fleet.records()[0]["id"] == added
    assert fleet.record(added)["add_date"] == (NOW + 60) * 1000 > dates[0]


def test_a_server_that_is_added_starts_its_migration(clock: FakeClock) -> None:
    fleet = Fleet(3, clock=clock)
    clock.advance(HOUR)
    record = fleet.record(fleet.add())

    assert record["migration_cycle"] == "checking"
    assert record["current_task"] is None
    assert record["add_date"] == record["stage_action_time"] == record["last_visit_time"] == (NOW + HOUR) * 1000


def test_overridden_fields_are_constant_and_all_others_change(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    server_id = movers(fleet)[0]["id"]
    fleet.override(server_id, name='hostile "\\\n name', current_task={"speed_limit": 5})
    before = fleet.record(server_id)
    clock.advance(5)
    after = fleet.record(server_id)

    assert after["name"] == 'hostile "\\\n name'
    assert after["current_task"]["speed_limit"] == 5
    assert after["replicatesize"] > before["replicatesize"]
    fleet.clear_overrides(server_id)
    assert fleet.record(server_id)["name"] != 'hostile "\\\n name'


def test_a_failed_server_stays_failed_since_the_time_of_the_failure(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    server_id = movers(fleet)[0]["id"]
    fleet.fail(server_id)
    clock.advance(2 * HOUR)

    record = fleet.record(server_id)
    assert record["state"] == "error"
    assert record["state_action_time"] == NOW * 1000
    assert record["last_visit_time"] == (NOW + 2 * HOUR) * 1000
    assert record["current_task"]["state"] == "MIGRATE_FAIL"
    assert record["current_task"]["remain_seconds"] is None


def test_a_disconnected_server_stays_in_its_state(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    server_id = next(record["id"] for record in movers(fleet) if record["state"] == "replicate")
    fleet.disconnect(server_id)
    clock.advance(2 * HOUR)

    record = fleet.record(server_id)
    assert not record["connected"]
    assert record["state"] == "replicate"
    assert record["last_visit_time"] == NOW * 1000


def test_a_stalled_server_is_connected_and_replicates_nothing(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    moving = next(record for record in movers(fleet) if record["state"] == "replicate")
    fleet.stall(moving["id"])
    clock.advance(2 * HOUR)

    record = fleet.record(moving["id"])
    assert record["connected"]
    assert record["state"] == "replicate"
    assert record["replicatesize"] == moving["replicatesize"]
    assert record["last_visit_time"] == (NOW + 2 * HOUR) * 1000
    waiting = next(record["id"] for record in fleet.records() if record["state"] == "waiting")
    with pytest.raises(ValueError, match="not one in waiting"):
        fleet.stall(waiting)


def test_a_stalled_server_that_fails_keeps_its_progress(clock: FakeClock) -> None:
    fleet = Fleet(250, clock=clock)
    moving = next(record for record in movers(fleet) if record["state"] == "replicate")
    fleet.override(moving["id"], name="renamed")
    fleet.stall(moving["id"])
    clock.advance(2 * HOUR)
    fleet.fail(moving["id"])

    record = fleet.record(moving["id"])
    assert (record["name"], record["state"], record["migration_cycle"]) == ("renamed", "error", "replicating")
    assert record["replicatesize"] == moving["replicatesize"]
    assert record["state_action_time"] == (NOW + 2 * HOUR) * 1000


def test_a_frozen_fleet_does_not_change_until_it_is_unfrozen(clock: FakeClock) -> None:
    fleet = Fleet(50, clock=clock)
    fleet.freeze()
    before = fleet.records()
    clock.advance(HOUR)

    assert fleet.records() == before
    fleet.unfreeze()
    assert fleet.records() != before
    fleet.freeze(NOW)
    assert fleet.records() == before


def test_a_very_large_fleet_is_created_without_its_plans(clock: FakeClock) -> None:
    fleet = Fleet(70_000, clock=clock)

    assert len(set(fleet.ids)) == 70_000
    assert fleet.record(fleet.ids[-1])["name"].endswith("-70000")
