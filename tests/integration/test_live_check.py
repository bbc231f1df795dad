"""`check --live`: permissions of collectors, paging, the unit of speeds, and what the API does not document."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from detail_api import Api, error, refuse
from exporter.commands.check import Finding, check
from exporter.polling.collectors import DETAIL_COLLECTORS
from exporter.polling.connections import Runtime
from exporter.simulator import Simulator
from programs import serving
from support import NOWHERE, FakeClock, settings

ALL = dict.fromkeys(DETAIL_COLLECTORS, True)


@pytest.fixture
def api(clock: FakeClock) -> Api:
    return Api(clock)


async def run(api: Api, /, **groups: Any) -> Finding:
    """Check the account of this API."""
    async with serving(api.respond) as url:
        tree = api.settings(url, **({"collector": ALL} | groups))
        (found,) = await check(tree, Runtime(api.clock, {}, NOWHERE), live=True)
    return found


def facts(found: Finding, name: str) -> list[str]:
    """Return the values of the lines with a name."""
    return [line[15:] for line in found.lines() if line[2:15].strip() == name]


def migrating(server_id: str, speed: float, unit_bytes: int) -> dict[str, Any]:
    """Return a server that needs 100 more seconds at a speed in a unit."""
    left = int(speed * unit_bytes * 100)
    task = {"id": "t1", "migrate_speed": speed, "remain_seconds": 100}
    return {"id": server_id, "totalsize": left + 50, "replicatesize": 50, "current_task": task}


async def test_every_collector_that_is_on_gets_one_request(api: Api) -> None:
    api.servers[0] |= {"is_consistency_result_exist": True, "current_task": {"id": "t1"}}
    api.results = {"t1": {"result_list": []}}
    found = await run(api)
    assert found.exit_code == 0
    assert facts(found, "collector") == [
        "errors: ok (records: 1)",
        "task_details: ok (records: 0)",
        "consistency: ok",
        "projects: ok (records: 0)",
    ]
    paths = ["/v3/sources", "/v3/errors", "/v3/tasks", "/v3/tasks/t1/consistency-result", "/v3/migprojects"]
    assert api.requests == dict.fromkeys(paths, 1)


@pytest.mark.parametrize("refused", DETAIL_COLLECTORS)
async def test_a_missing_permission_names_the_action_and_fails_the_check(api: Api, refused: str) -> None:
    api.servers[0]["current_task"] = {"id": "t1"}
    api.answers[refused] = refuse
    found = await run(api)
    assert found.exit_code == 1
    assert f"{refused}: failed (permission)" in facts(found, "collector")
    (hint,) = facts(found, "hint")
    assert DETAIL_COLLECTORS[refused].action in hint


async def test_collectors_that_are_off_get_no_request(api: Api) -> None:
    found = await run(api, collector={})
    assert (found.exit_code, facts(found, "collector")) == (0, [])
    assert api.requests == {"/v3/sources": 1}


async def test_a_task_without_a_result_shows_that_the_permission_is_there(api: Api) -> None:
    api.servers[0]["current_task"] = {"id": "t1"}
    found = await run(api, collector={"consistency": True})
    assert facts(found, "collector") == ["consistency: ok, no server has a result"]
    api.servers[0]["current_task"] = None
    found = await run(api, collector={"consistency": True})
    assert facts(found, "collector") == ["consistency: not checked: no server has a migration task"]
    assert found.exit_code == 0


async def test_a_response_that_is_no_list_fails_the_collector_and_not_the_others(api: Api) -> None:
    api.servers[0]["current_task"] = {"id": "t1"}
    api.answers["errors"] = api.answers["consistency"] = lambda: web.Response(text="<html>")
    api.answers["task_details"] = lambda: error(500, "SMS.0001")
    found = await run(api)
    assert found.exit_code == 1
    assert facts(found, "collector") == [
        "errors: failed (bad_response)",
        "task_details: failed (server_error)",
        "consistency: failed (bad_response)",
        "projects: ok (records: 0)",
    ]
    assert api.requests["/v3/tasks"] == 1


@pytest.mark.parametrize(
    ("count", "step", "paging", "line"),
    [
        (2, 1, "auto", "not known: the list has only one page"),
        (0, 1, "auto", "not known: the list has only one page"),
        (250, 1, "auto", "offsets count records"),
        (250, 200, "auto", "offsets count pages"),
        (250, 200, "records", "offsets count pages, but api.paging is records"),
        (250, 1, "pages", "offsets count records, but api.paging is pages"),
        (250, 0, "auto", "the second page repeats the first: check for a gateway or proxy that drops query parameters"),
    ],
)
async def test_the_second_page_shows_what_offsets_count(
    api: Api, count: int, step: int, paging: str, line: str
) -> None:
    api.servers = [{"id": f"s{number}"} for number in range(count)]
    api.offset_step = step
    found = await run(api, api={"paging": paging}, collector={})
    assert facts(found, "paging") == [line]
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(lambda: error(500, "SMS.0001"), "server_error"), (lambda: web.Response(text="<html>"), "bad_response")],
)
async def test_a_second_page_that_fails_does_not_fail_the_check(
    api: Api, answer: Callable[[], web.Response], reason: str
) -> None:
    api.servers = [{"id": f"s{number}"} for number in range(250)]
    respond = api.respond

    async def fail_second_page(request: web.Request) -> web.StreamResponse:
        return answer() if request.query["offset"] != "0" else await respond(request)

    async with serving(fail_second_page) as url:
        (found,) = await check(api.settings(url, collector={}), Runtime(api.clock, {}, NOWHERE), live=True)
    assert facts(found, "paging") == [f"not known: the second page failed ({reason})"]
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("unit_bytes", "configured", "line"),
    [
        (125_000, "mbit", "probably mbit, by the estimates of 3 servers"),
        (1_000_000, "mbyte", "probably mbyte, by the estimates of 3 servers"),
        (1_048_576, "mbit", "probably mbyte, by the estimates of 3 servers, but api.migrate-speed-unit is mbit"),
        (1000, "mbit", "not known: the speeds do not fit the estimates of 3 servers"),
    ],
)
async def test_the_estimates_of_the_api_show_the_unit_of_its_speeds(
    api: Api, unit_bytes: int, configured: str, line: str
) -> None:
    idle = {"id": "s5", "current_task": {"migrate_speed": 0, "remain_seconds": 9}, "totalsize": 7}
    fitting = [migrating(f"s{number}", 8 + number, unit_bytes) for number in range(2)]
    api.servers = [*fitting, migrating("s3", 3, unit_bytes), idle]
    found = await run(api, api={"migrate_speed_unit": configured}, collector={})
    assert facts(found, "speed unit") == [line]


async def test_without_a_running_migration_the_unit_is_not_known(api: Api) -> None:
    found = await run(api, collector={})
    assert facts(found, "speed unit") == ["not known: no server has a speed and an estimate of its remaining time"]


async def test_undocumented_fields_and_values_are_named(api: Api) -> None:
    api.servers[0] |= {
        "state": "premiging",
        "new_field": {"inner": 1},
        "current_task": {"id": "t1", "new_task_field": 1, "log_share_url": "https://secret.example.org"},
        "checks": [{"id": 1, "new\n": 2}],
    }
    api.tasks = [{"id": "t1", "sub_tasks": [{"id": 7, "user_op": "x"}]}]
    api.results = {"t1": {"task_id": "t1", "result_list": [{"consistency_result": [{"dir_check": "/", "size": 1}]}]}}
    found = await run(api)
    fields, values = facts(found, "unknown")
    assert fields == (
        "fields that the API does not document: checks[].new, current_task.new_task_field, new_field, "
        "result_list[].consistency_result[].size, tasks[].sub_tasks[].user_op"
    )
    assert values == "values that the API does not document: state=premiging"
    assert "secret" not in "".join(found.lines())
    assert found.exit_code == 0


async def test_the_simulator_sends_only_what_is_documented(clock: FakeClock) -> None:
    async with Simulator(servers=250, clock=clock) as simulator:
        tree = settings(api={"endpoint": simulator.url}, auth={"token": simulator.token}, collector=ALL)
        (found,) = await check(tree, Runtime(clock, {}, NOWHERE), live=True)
    assert found.exit_code == 0
    assert facts(found, "unknown") == []
    assert facts(found, "paging") == ["offsets count records"]
    assert facts(found, "speed unit")[0].startswith("probably mbit")
    assert len(facts(found, "collector")) == len(DETAIL_COLLECTORS)
