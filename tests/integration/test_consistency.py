"""The collector `consistency`: one request per task that has a result and has changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from detail_api import POLL, READING, Api, error, refuse
from exporter.polling.connections import Runtime
from exporter.polling.consistency import MAX_FAILURES, MAX_REQUESTS
from exporter.service import running
from programs import serving
from support import NOW, NOWHERE, FakeClock, Scrape, scrape

ON = {"consistency": True}
ENDED = 1_799_999_000
ONE = {"num_total_files": 90, "num_different_files": 2, "num_target_miss_files": 1, "num_target_more_files": 0}
TWO = {"num_total_files": 10, "num_different_files": 1, "num_target_miss_files": 0, "num_target_more_files": 4}
RESULT = {
    "finished_time": ENDED * 1000,
    "check_result": "text",
    "consistency_result": [{"dir_check": "/srv", **ONE}, {"dir_check": "/home", **TWO}],
}
OLDER = {"finished_time": (ENDED - 60) * 1000, "consistency_result": [{"dir_check": "/srv", "num_different_files": 77}]}


@pytest.fixture
def api(clock: FakeClock) -> Api:
    return Api(clock)


def verified(number: int, **fields: Any) -> dict[str, Any]:
    """Return a server whose task has a result."""
    task = {"id": f"t{number}", "state": "SYNCING"}
    return {"id": f"s{number}", "state": "syncing", "is_consistency_result_exist": True, "current_task": task, **fields}


def answer(directory: dict[str, int]) -> dict[str, Any]:
    return {"result_list": [{"finished_time": ENDED * 1000, "consistency_result": [directory]}]}


def result_requests(api: Api) -> dict[str, int]:
    """Return the number of requests for the result of each task."""
    return {path.split("/")[3]: count for path, count in api.requests.items() if path.endswith("-result")}


def differences(seen: Scrape) -> dict[str, float]:
    return {dict(own)["result"]: value for own, value in seen.values("task_consistency_files").items()}


@pytest.mark.parametrize(
    "body",
    [
        {"task_id": "t1", "result_list": [OLDER, RESULT]},
        {"task_id": "t1", "result_list": [json.dumps(RESULT), json.dumps(OLDER)]},
        RESULT,
    ],
    ids=["list of objects", "list of texts", "without a list"],
)
async def test_the_newest_result_is_read_in_each_published_shape(api: Api, body: dict[str, Any]) -> None:
    api.servers = [verified(1)]
    api.results = {"t1": body}
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert differences(seen) == {"different": 3, "missing": 1, "extra": 4}
    assert seen.value("task_consistency_checked_files", server_id="s1") == 100
    assert seen.value("task_consistency_checked_timestamp_seconds", server_id="s1") == ENDED
    assert seen.value("collector_up", collector="consistency") == 1
    assert seen.total("exporter_unreadable_values_total") == 0


async def test_only_tasks_that_have_a_result_are_requested(api: Api) -> None:
    api.servers = [
        verified(1),
        verified(2, is_consistency_result_exist=False),
        verified(3, is_consistency_result_exist=None),
        verified(4, current_task=None),
        verified(5, current_task={"id": "../templates"}),
    ]
    api.results = {"t1": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert api.requests == {"/v3/sources": 1, "/v3/tasks/t1/consistency-result": 1}
    assert len(seen.values("task_consistency_checked_files")) == 1


async def test_a_result_is_requested_again_only_after_a_change_of_the_task(api: Api) -> None:
    api.servers = [verified(1), verified(2)]
    api.results = {"t1": answer(ONE), "t2": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        # Progress alone is no change.
        api.servers[0] = verified(1, replicatesize=5, current_task={"id": "t1", "state": "SYNCING", "migrate_speed": 3})
        await api.pass_time(2 * READING)
        assert result_requests(api) == {"t1": 1, "t2": 1}
        assert (await scrape(service.urls[0])).value(
            "collector_last_success_timestamp_seconds"
        ) == NOW + 2 * READING - POLL
        api.servers[0] = verified(1, state_action_time=NOW * 1000)
        api.results["t1"] = answer(TWO)
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
    assert result_requests(api) == {"t1": 2, "t2": 1}
    assert seen.value("task_consistency_files", server_id="s1", result="extra") == 4
    assert seen.value("task_consistency_files", server_id="s2", result="extra") == 0


@pytest.mark.parametrize("servers", [[verified(1)], []])
async def test_without_an_answer_of_the_api_no_reading_succeeds(api: Api, servers: list[dict[str, Any]]) -> None:
    api.servers = servers
    api.results = {"t1": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        await api.pass_time(READING + POLL)
        before = await scrape(service.urls[0])
        api.answers["sources"] = refuse
        await api.pass_time(2 * READING)
        seen = await scrape(service.urls[0])
        del api.answers["sources"]
        await api.pass_time(6 * READING)
        after = await scrape(service.urls[0])
    requests = {"t1": 1} if servers else {}
    assert result_requests(api) == requests
    name = "collector_last_success_timestamp_seconds"
    assert (before.value("collector_up"), seen.value("collector_up"), after.value("collector_up")) == (1, 0, 1)
    assert before.value(name) == seen.value(name) == NOW + READING - POLL
    assert after.value(name) == NOW + 9 * READING - POLL
    assert seen.total("collector_failures_total", reason="permission") == 2


async def test_a_result_that_fails_while_the_list_fails_is_no_success(api: Api) -> None:
    api.servers = [verified(1), verified(2)]
    api.results = {"t1": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        last = (await scrape(service.urls[0])).value("collector_last_success_timestamp_seconds")
        api.answers["sources"] = refuse
        await api.pass_time(2 * READING)
        seen = await scrape(service.urls[0])
    assert seen.value("collector_last_success_timestamp_seconds") == last


async def test_the_result_of_an_earlier_task_is_not_exposed_for_its_successor(api: Api) -> None:
    api.servers = [verified(1)]
    api.results = {"t1": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        api.servers = [verified(1, current_task={"id": "t2"})]
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
    assert result_requests(api) == {"t1": 1, "t2": 1}
    assert not differences(seen)


async def test_a_result_that_the_api_no_longer_reports_is_gone(api: Api) -> None:
    api.servers = [verified(1)]
    api.results = {"t1": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        api.servers = [verified(1, is_consistency_result_exist=False)]
        await api.pass_time(READING)
        assert not differences(await scrape(service.urls[0]))


async def test_many_results_are_read_over_several_readings(api: Api) -> None:
    count = 2 * MAX_REQUESTS + 1
    api.servers = [verified(number) for number in range(count)]
    api.results = {f"t{number}": answer(ONE) for number in range(count)}
    async with api.exporting(collector=ON, api={"rate_limit": 100_000}) as service:
        assert len(result_requests(api)) == MAX_REQUESTS
        await api.pass_time(READING)
        assert len(result_requests(api)) == 2 * MAX_REQUESTS
        await api.pass_time(2 * READING)
        seen = await scrape(service.urls[0])
    assert set(result_requests(api).values()) == {1}
    assert len(seen.values("task_consistency_checked_files")) == count


async def test_a_result_that_cannot_be_read_leaves_the_others_and_is_requested_after_them(api: Api) -> None:
    api.servers = [verified(1), verified(2)]
    api.results = {"t2": answer(ONE)}
    with capture_logs() as events:
        async with api.exporting(collector=ON) as service:
            seen = await scrape(service.urls[0])
            assert seen.value("collector_up") == 0
            assert seen.value("collector_failures_total", reason="bad_response") == 1
            assert seen.value("task_consistency_checked_files", server_id="s2") == 90
            await api.pass_time(4 * READING)
            seen = await scrape(service.urls[0])
            # It does not let the results that could be read become stale.
            assert seen.value("task_consistency_checked_files", server_id="s2") == 90
            api.results["t1"] = answer(TWO)
            await api.pass_time(READING)
            seen = await scrape(service.urls[0])
    assert seen.value("collector_up") == 1
    assert seen.value("task_consistency_checked_files", server_id="s1") == 10
    assert result_requests(api) == {"t1": 6, "t2": 1}
    assert [event["event"] for event in events].count("collector failed") == 1


async def test_a_result_that_can_no_longer_be_read_keeps_its_values_and_is_requested_after_the_others(
    api: Api,
) -> None:
    api.servers = [verified(1), verified(2)]
    api.results = {"t1": answer(ONE), "t2": answer(ONE)}
    async with api.exporting(collector=ON) as service:
        del api.results["t1"]
        api.results |= {"t2": answer(TWO), "t3": answer(TWO)}
        api.servers = [verified(number, state_action_time=NOW * 1000) for number in (1, 2)]
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
        assert seen.value("task_consistency_checked_files", server_id="s1") == 90
        assert seen.value("task_consistency_checked_files", server_id="s2") == 10
        api.servers.append(verified(3))
        await api.pass_time(READING)
    tasks = [path.split("/")[3] for path in api.paths if path.endswith("-result")]
    assert tasks == ["t1", "t2", "t1", "t2", "t3", "t1"]


async def test_an_endpoint_that_answers_only_errors_gets_few_requests_and_its_data_becomes_stale(api: Api) -> None:
    count = MAX_FAILURES + 5
    api.servers = [verified(number) for number in range(count)]
    api.results = {f"t{number}": answer(ONE) for number in range(count)}
    async with api.exporting(collector=ON) as service:
        api.servers = [verified(number, state_action_time=NOW * 1000) for number in range(count)]
        api.answers["consistency"] = lambda: error(400, "SMS.0001")
        await api.pass_time(3 * READING)
        seen = await scrape(service.urls[0])
        assert len(seen.values("task_consistency_checked_files")) == count
        assert seen.value("collector_last_success_timestamp_seconds") == NOW
        assert sum(result_requests(api).values()) == count + 3 * MAX_FAILURES
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
    assert not seen.values("task_consistency_checked_files")
    assert (seen.value("up"), seen.value("collector_up")) == (1, 0)


async def test_an_api_that_asks_for_fewer_requests_ends_the_reading_and_keeps_what_was_read(api: Api) -> None:
    api.servers = [verified(number) for number in range(5)]
    answered: list[int] = []

    def answer_twice() -> web.Response:
        answered.append(1)
        if len(answered) > 2:
            return web.Response(status=429, headers={"Retry-After": "3600"})
        return web.json_response(answer(ONE))

    api.answers["consistency"] = answer_twice
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert len(result_requests(api)) == 3
    assert len(seen.values("task_consistency_checked_files")) == 2
    assert seen.value("collector_failures_total", reason="throttled") == 1


async def test_a_missing_permission_is_one_request_per_reading_and_names_the_action(api: Api) -> None:
    api.servers = [verified(1), verified(2)]
    api.answers["consistency"] = refuse
    with capture_logs() as events:
        async with api.exporting(collector=ON) as service:
            assert sum(result_requests(api).values()) == 1
            del api.answers["consistency"]
            api.results = {"t1": answer(ONE), "t2": answer(ONE)}
            await api.pass_time(READING)
            seen = await scrape(service.urls[0])
    (line,) = [event for event in events if event["event"] == "collector failed"]
    assert "sms:server:getConsistencyCheckResult" in line["hint"]
    assert seen.value("collector_up") == 1
    assert len(seen.values("task_consistency_checked_files")) == 2


@pytest.mark.parametrize(
    ("body", "unreadable", "series"),
    [
        ({"result_list": ["no JSON"]}, "consistency[].result_list", 0),
        ({"result_list": "text"}, "consistency[].result_list", 0),
        ({"result_list": [7, RESULT]}, "consistency[].result_list", 3),
        ({"result_list": [{**RESULT, "finished_time": "soon"}]}, "consistency[].result_list.finished_time", 3),
        ({"result_list": [None, {}]}, None, 0),
        ({"result_list": []}, None, 0),
        ({}, None, 0),
    ],
)
async def test_an_unusual_result_never_fails_the_collector(
    api: Api, body: object, unreadable: str | None, series: int
) -> None:
    api.servers = [verified(1)]
    api.results = {"t1": body}
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert seen.value("collector_up") == 1
    fields = [dict(own)["field"] for own in seen.values("exporter_unreadable_values_total")]
    assert fields == ([unreadable] if unreadable else [])
    assert len(seen.values("task_consistency_files")) == series


@pytest.mark.parametrize(
    "respond",
    [lambda: web.Response(body=b"[]"), lambda: web.Response(body=b"{"), lambda: error(500, "SMS.0001")],
)
async def test_a_response_that_is_no_result_is_a_failed_reading(
    api: Api, clock: FakeClock, respond: Callable[[], web.Response]
) -> None:
    api.servers = [verified(1)]
    api.answers["consistency"] = respond
    async with api.exporting(readers=1, collector=ON) as service:
        while not (await scrape(service.urls[0])).total("collector_failures_total"):
            clock.advance(await clock.until_asleep(2))
        seen = await scrape(service.urls[0])
    assert (seen.value("up"), seen.value("collector_up")) == (1, 0)


async def test_after_a_restart_with_saved_state_only_changed_tasks_are_requested(api: Api, tmp_path: Path) -> None:
    api.servers = [verified(1), verified(2)]
    api.results = {"t1": answer(ONE), "t2": answer(ONE)}
    async with serving(api.respond) as url:
        settings = api.settings(url, collector=ON, state={"path": str(tmp_path)})
        async with running(settings, Runtime(api.clock, {}, NOWHERE)):
            await api.clock.until_asleep(2)
            await api.pass_time(POLL)
        api.servers[1] = verified(2, state_action_time=NOW * 1000)
        async with running(settings, Runtime(api.clock, {}, NOWHERE)) as service:
            await api.clock.until_asleep(2)
            seen = await scrape(service.urls[0])
    assert result_requests(api) == {"t1": 1, "t2": 2}
    assert len(seen.values("task_consistency_checked_files")) == 2
