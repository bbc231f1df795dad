"""Results of consistency verifications are read one after the other, within the time of a reading."""

import json
from typing import Any

import msgspec
import pytest

from exporter.errors import BadResponse
from exporter.polling.consistency import read_consistency
from exporter.polling.detail_client import LeftOut
from exporter.polling.snapshot import Snapshot
from exporter.sms.consistency import ConsistencyResult, get_result_path, is_task_id, parse_consistency_result
from exporter.sms.tolerant import Findings
from support import server, snapshot

RESULT = {"result_list": [{"consistency_result": [{"num_total_files": 7}]}]}


class SlowClient:
    """A client whose readings have time for a number of requests."""

    def __init__(self, requests_per_reading: int) -> None:
        self._requests_per_reading = requests_per_reading
        self.paths: list[str] = []
        self.left_out = LeftOut()

    @property
    def has_time(self) -> bool:
        return len(self.paths) < self._requests_per_reading

    async def read_object(self, path: str, _: str) -> bytes:
        self.paths.append(path)
        return msgspec.json.encode(RESULT)


def verified(count: int) -> Snapshot:
    """Return a snapshot of servers that have a result."""
    return snapshot(
        *(
            server(f"s{number}", is_consistency_result_exist=True, current_task={"id": f"t{number}"})
            for number in range(count)
        )
    )


async def read(client: Any, servers: Snapshot, previous: Any) -> Any:
    return await read_consistency(client, servers, previous)


async def test_results_for_which_there_is_no_time_are_read_later_and_are_no_failure() -> None:
    first, second, third = SlowClient(2), SlowClient(2), SlowClient(2)
    servers = verified(3)
    reading = await read(first, servers, {})
    assert (sorted(reading.records), reading.error) == (["s0", "s1"], None)
    reading = await read(second, servers, reading.records)
    assert (sorted(reading.records), reading.error) == (["s0", "s1", "s2"], None)
    assert len({*first.paths, *second.paths}) == 3
    await read(third, servers, reading.records)
    assert third.paths == []


def parse(content: object) -> tuple[ConsistencyResult | None, dict[str, int]]:
    """Return the newest result in a response, and what could not be read."""
    findings = Findings()
    return parse_consistency_result(msgspec.json.encode(content), findings), dict(findings.unreadable)


def result_of(finished_time: int | None = None, *numbers: int | None, **fields: Any) -> dict[str, Any]:
    directories = [{"num_total_files": number} for number in numbers]
    return {"finished_time": finished_time, "check_result": "true", "consistency_result": directories, **fields}


@pytest.mark.parametrize(
    "content",
    [
        {"result_list": [result_of(5, 7)]},
        {"result_list": [json.dumps(result_of(5, 7))]},
        result_of(5, 7),
        {"result_list": [result_of(4, 1), result_of(5, 7), result_of(None, 9), result_of(3, 2)]},
        {"result_list": [{}, result_of(5, 7), None, "null"]},
    ],
)
def test_the_newest_result_of_every_shape_of_the_response_is_read(content: object) -> None:
    found, unreadable = parse(content)
    assert found is not None
    assert (found.finished_time, found.total_files, found.check_result) == (5, 7, "true")
    assert unreadable == {}


def test_a_result_with_a_time_is_newer_than_one_without() -> None:
    found, _ = parse({"result_list": [result_of(None, 9), result_of(1, 7)]})
    assert found is not None
    assert found.total_files == 7


@pytest.mark.parametrize("content", [{}, {"result_list": []}, {"result_list": [{}]}, {"result_list": None}])
def test_a_response_without_a_result_has_none(content: object) -> None:
    assert parse(content) == (None, {})


@pytest.mark.parametrize("wrong", [{}, "text", 5])
def test_a_list_of_results_that_is_none_is_unreadable(wrong: object) -> None:
    assert parse({"result_list": wrong}) == (None, {"result_list": 1})


@pytest.mark.parametrize("wrong", ["not JSON", [], "5", 5])
def test_an_item_that_is_no_result_is_unreadable_and_costs_no_other(wrong: object) -> None:
    found, unreadable = parse({"result_list": [wrong, result_of(5, 7)]})
    assert found is not None
    assert (found.finished_time, unreadable) == (5, {"result_list": 1})


def test_a_response_that_is_no_object_is_an_error() -> None:
    for body in (b"[]", b"5", b"", b"<html>", b"null"):
        with pytest.raises(BadResponse, match="something other than the consistency result of a task"):
            parse_consistency_result(body, Findings())


@pytest.mark.parametrize(
    ("numbers", "total"), [((), None), ((None,), None), ((None, 0), 0), ((1, None, 2), 3), ((5,), 5)]
)
def test_the_files_of_all_directories_are_added_up(numbers: tuple[int | None, ...], total: int | None) -> None:
    keys = ("num_total_files", "num_different_files", "num_target_miss_files", "num_target_more_files")
    directories = [dict.fromkeys(keys, number) for number in numbers]
    found, _ = parse({"result_list": [result_of(5, consistency_result=directories)]})
    assert found is not None
    assert [found.total_files, found.different_files, found.missing_files, found.extra_files] == [total] * 4


@pytest.mark.parametrize(
    ("text", "is_id"), [("a", True), ("A-z_9", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("a/b", False)]
)
def test_only_the_id_of_a_task_becomes_part_of_a_path(text: str, is_id: bool) -> None:
    assert is_task_id(text) == is_id
    assert get_result_path("t1") == "/v3/tasks/t1/consistency-result"


@pytest.mark.parametrize(
    ("changed", "is_read"),
    [
        ({}, False),
        ({"replicatesize": 5}, False),
        ({"state": "finished"}, True),
        ({"current_task": {"id": "t", "state": "SYNCING"}}, True),
        ({"current_task": {"id": "t", "start_date": 5}}, True),
        ({"current_task": {"id": "t2"}}, True),
    ],
)
async def test_a_result_is_read_again_if_the_task_or_the_state_of_its_server_changed(
    changed: dict[str, Any], is_read: bool
) -> None:
    fields = {"is_consistency_result_exist": True, "current_task": {"id": "t"}}
    known = await read(SlowClient(1), snapshot(server("a", **fields)), {})
    again = SlowClient(1)
    await read(again, snapshot(server("a", **(fields | changed))), known.records)
    assert bool(again.paths) == is_read


@pytest.mark.parametrize(
    "fields",
    [
        {"current_task": {"id": "t"}},
        {"is_consistency_result_exist": False, "current_task": {"id": "t"}},
        {"is_consistency_result_exist": True},
        {"is_consistency_result_exist": True, "current_task": {"id": ""}},
        {"is_consistency_result_exist": True, "current_task": {"id": "../x"}},
    ],
)
async def test_no_result_is_requested_of_a_server_without_one_or_without_a_task(fields: dict[str, Any]) -> None:
    client = SlowClient(1)
    assert (await read(client, snapshot(server("a", **fields)), {})).records == {}
    assert client.paths == []
