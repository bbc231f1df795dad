"""The further lists of the simulated API: served from the same fleet as the list of source servers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Simulator
from exporter.simulator.authentication import ACTIONS, BadAction
from exporter.sms.details import UNKNOWN_ERROR, find_error_code
from support import NOW, FakeClock

SECRET_PATHS = ("/v3/sources/ID/command", "/v3/tasks/ID/certkey", "/v3/tasks/ID/passphrase", "/v3/vm/templates")


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=450, clock=clock) as simulator:
        yield simulator


async def get(sim: Simulator, path: str, *, token: str | None = None, **query: object) -> tuple[int, Any]:
    headers = {"X-Auth-Token": sim.token if token is None else token}
    params = {name: str(value) for name, value in query.items()}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{sim.url}{path}", params=params) as response,
    ):
        return response.status, await response.json()


async def rows_of(sim: Simulator, path: str, key: str, limit: int) -> list[dict[str, Any]]:
    """Read a whole list."""
    rows: list[dict[str, Any]] = []
    while True:
        _, page = await get(sim, path, limit=limit, offset=len(rows))
        rows += page[key]
        if not page[key]:
            assert page["count"] == len(rows)
            return rows


def records(sim: Simulator, **fields: object) -> list[dict[str, Any]]:
    return [record for record in sim.fleet.records() if fields.items() <= record.items()]


async def test_every_task_of_the_fleet_is_listed_and_agrees_with_its_server(sim: Simulator) -> None:
    tasks = await rows_of(sim, "/v3/tasks", "tasks", 200)

    servers = [record for record in sim.fleet.records() if record["current_task"]]
    assert len(tasks) == len(servers) > 300
    for task, record in zip(tasks, servers, strict=True):
        known = record["current_task"]
        for field in ("id", "type", "state", "migrate_speed", "speed_limit", "subtask_info", "estimate_complete_time"):
            assert task[field] == known[field]
        assert task["source_server"]["id"] == record["id"]
        assert task["source_server"]["state"] == record["state"]
        current = task["sub_tasks"][-1]
        assert known["subtask_info"] == f"{current['name']}-{current['progress']}"


@pytest.mark.parametrize(
    ("path", "key", "default", "largest"),
    [
        ("/v3/tasks", "tasks", 100, 200),
        ("/v3/errors", "migration_errors", 50, 100),
        ("/v3/migprojects", "migprojects", 50, 100),
    ],
)
async def test_each_list_has_its_own_limits(sim: Simulator, path: str, key: str, default: int, largest: int) -> None:
    for record in records(sim, state="replicate"):
        sim.fleet.fail(record["id"])
    status, page = await get(sim, path, offset=0)

    assert status == 200
    assert len(page[key]) == min(default, page["count"])
    assert (await get(sim, path, offset=0, limit=0))[1] == page
    assert (await get(sim, path, offset=0, limit=largest))[0] == 200
    assert (await get(sim, path, offset=0, limit=largest + 1))[0] == 400
    assert (await get(sim, path, offset=65_535))[1] == {"count": page["count"], key: []}


async def test_the_pages_of_a_list_fit_together_although_the_fleet_changes(sim: Simulator, clock: FakeClock) -> None:
    _, first = await get(sim, "/v3/tasks", limit=200, offset=0)
    clock.advance(30)
    _, second = await get(sim, "/v3/tasks", limit=200, offset=200)
    _, again = await get(sim, "/v3/tasks", limit=200, offset=0)

    ids = [task["id"] for task in (*first["tasks"], *second["tasks"])]
    assert len(set(ids)) == len(ids) == min(400, first["count"])
    assert second["count"] == first["count"]
    assert again != first


async def test_a_task_is_found_for_a_minute_after_its_server_has_begun_the_next_one(
    sim: Simulator, clock: FakeClock
) -> None:
    before = {record["current_task"]["id"] for record in sim.fleet.records() if record["current_task"]}
    clock.advance(50)
    after = {record["current_task"]["id"] for record in sim.fleet.records() if record["current_task"]}

    ended = sorted(before - after)
    assert ended
    for task in (*ended, min(before & after)):
        status, found = await get(sim, f"/v3/tasks/{task}")
        assert (status, found["id"]) == (200, task)
    clock.advance(4 * 3600)
    assert (await get(sim, f"/v3/tasks/{ended[0]}"))[0] == 404


async def test_the_task_of_a_removed_server_is_not_found(sim: Simulator) -> None:
    record = records(sim, state="finished")[0]
    assert (await get(sim, f"/v3/tasks/{record['current_task']['id']}"))[0] == 200
    sim.fleet.remove(record["id"])
    assert (await get(sim, f"/v3/tasks/{record['current_task']['id']}"))[0] == 404


async def test_the_offset_of_the_list_of_errors_is_mandatory(sim: Simulator) -> None:
    status, body = await get(sim, "/v3/errors")

    assert status == 400
    assert "offset is mandatory" in body["error_msg"]
    assert (await get(sim, "/v3/tasks"))[0] == 200


async def test_tasks_are_filtered_as_documented(sim: Simulator) -> None:
    record = records(sim, state="replicate", enterprise_project_id="0")[0]
    task = record["current_task"]

    for query in ({"id": task["id"]}, {"source_server_id": record["id"]}):
        _, page = await get(sim, "/v3/tasks", **query)
        assert [row["id"] for row in page["tasks"]] == [task["id"]]
    _, running = await get(sim, "/v3/tasks", state="RUNNING", enterprise_project_id="0")
    assert running["count"] > 1
    assert {(row["state"], row["enterprise_project_id"]) for row in running["tasks"]} == {("RUNNING", "0")}
    # A state that tasks have and that the filter refuses.
    assert (await get(sim, "/v3/tasks", state="SYNC_FAIL"))[0] == 400


async def test_the_list_of_errors_has_exactly_the_failed_servers(sim: Simulator) -> None:
    sim.fleet.fail(records(sim, state="replicate")[0]["id"])
    errors = await rows_of(sim, "/v3/errors", "migration_errors", 100)

    failed = records(sim, state="error")
    assert [(error["source_id"], error["name"], error["source_ip"]) for error in errors] == [
        (record["id"], record["name"], record["ip"]) for record in failed
    ]
    assert all(0 < len(error["error_json"]) <= 255 for error in errors)
    codes = {find_error_code(error["error_json"]) for error in errors}
    assert len(codes - {UNKNOWN_ERROR}) > 4
    assert any(json.loads(error["error_json"])["error_code"] for error in errors if error["error_json"][0] == "{")


async def test_some_error_texts_are_prose_and_some_have_no_code(sim: Simulator) -> None:
    for record in sim.fleet.records():
        sim.fleet.fail(record["id"])
    texts = [error["error_json"] for error in await rows_of(sim, "/v3/errors", "migration_errors", 100)]

    assert 0 < sum(not text.startswith("{") for text in texts) < len(texts) / 3
    assert any(find_error_code(text) == UNKNOWN_ERROR for text in texts)


async def test_a_failed_server_and_its_task_have_the_same_error(sim: Simulator) -> None:
    record = records(sim, state="replicate")[0]
    _, before = await get(sim, f"/v3/tasks/{record['current_task']['id']}")
    sim.fleet.fail(record["id"])
    _, task = await get(sim, f"/v3/tasks/{record['current_task']['id']}")
    errors = await rows_of(sim, "/v3/errors", "migration_errors", 100)

    assert before["error_json"] == ""
    assert {error["source_id"]: error["error_json"] for error in errors}[record["id"]] == task["error_json"] != ""


async def test_errors_are_filtered_by_enterprise_project(sim: Simulator) -> None:
    _, page = await get(sim, "/v3/errors", offset=0, limit=100, enterprise_project_id="0")

    expected = [
        record["id"] for record in records(sim, state="error") if record.get("enterprise_project_id", "0") == "0"
    ]
    assert [error["source_id"] for error in page["migration_errors"]] == expected
    assert 0 < len(expected) < len(records(sim, state="error"))


async def test_the_details_of_a_task_have_what_the_list_has_not(sim: Simulator) -> None:
    record = records(sim, state="finished")[0]
    status, task = await get(sim, f"/v3/tasks/{record['current_task']['id']}")

    assert status == 200
    assert task["finish_date"] == record["state_action_time"]
    assert task["start_date"] == record["current_task"]["start_date"]
    assert task["source_server"]["migration_cycle"] == "cutovered"
    assert task["project_id"] == record["current_task"]["project_id"]
    assert [subtask["progress"] for subtask in task["sub_tasks"]] == [100] * len(task["sub_tasks"])


async def test_an_unknown_task_is_not_found(sim: Simulator) -> None:
    for path in ("/v3/tasks/nothing", "/v3/tasks/nothing/consistency-result"):
        status, body = await get(sim, path)
        assert (status, body["error_code"]) == (404, "SMS.7606")


async def test_the_servers_of_a_project_are_found_by_its_id(sim: Simulator) -> None:
    projects = await rows_of(sim, "/v3/migprojects", "migprojects", 100)
    counts = {
        project["name"]: (await get(sim, "/v3/sources", migproject=project["id"], limit=1))[1]["count"]
        for project in projects
    }

    assert counts == {"default": 150, "wave-1": 150, "wave-2": 150, "wave-3": 0}
    assert [project["exist_server"] for project in projects] == [True, True, True, False]


@pytest.mark.parametrize("shape", ["objects", "texts", "single"])
async def test_a_consistency_result_has_each_published_shape(clock: FakeClock, shape: Any) -> None:
    async with Simulator(servers=100, clock=clock, consistency=shape) as sim:
        record = records(sim, is_consistency_result_exist=True)[0]
        status, found = await get(sim, f"/v3/tasks/{record['current_task']['id']}/consistency-result")
    assert status == 200
    if shape == "single":
        assert found.keys() == {"consistency_result", "finished_time"}
        result = found
    else:
        assert found["task_id"] == record["current_task"]["id"]
        (result,) = found["result_list"]
        result = json.loads(result) if shape == "texts" else result
    assert record["stage_action_time"] <= result["finished_time"] <= NOW * 1000
    for directory in result["consistency_result"]:
        assert directory.keys() == {
            "dir_check",
            "num_total_files",
            "num_different_files",
            "num_target_miss_files",
            "num_target_more_files",
        }
        assert directory["num_total_files"] > 0


async def test_tasks_have_consistency_results_of_all_shapes(sim: Simulator) -> None:
    kinds = set()
    for record in records(sim, is_consistency_result_exist=True):
        _, found = await get(sim, f"/v3/tasks/{record['current_task']['id']}/consistency-result")
        kinds.add(type(found["result_list"][0]) if "result_list" in found else None)

    assert kinds == {dict, str, None}


async def test_a_task_that_was_not_verified_has_no_consistency_result(sim: Simulator) -> None:
    task = records(sim, state="replicate")[0]["current_task"]["id"]

    assert await get(sim, f"/v3/tasks/{task}/consistency-result") == (200, {"task_id": task, "result_list": []})


async def test_the_overview_counts_the_servers_by_state(sim: Simulator) -> None:
    _, overview = await get(sim, "/v3/sources/overview")

    states = [record["state"] for record in sim.fleet.records()]
    for state in ("replicate", "syncing", "error", "finished", "waiting"):
        assert overview[state] == states.count(state)
    assert overview["unconfigured"] == states.count("waiting")


async def test_the_catalog_names_the_endpoint_of_the_service(sim: Simulator) -> None:
    status, body = await get(sim, "/v3/auth/catalog")

    (service,) = [service for service in body["catalog"] if service["type"] == "sms"]
    assert status == 200
    assert service["endpoints"][0]["url"] == sim.url


ENDPOINTS = {
    "sms:server:list": "/v3/sources",
    "sms:server:listTask": "/v3/tasks",
    "sms:server:getTask": "/v3/tasks/TASK",
    "sms:server:listErrors": "/v3/errors",
    "sms:migproject:list": "/v3/migprojects",
    "sms:server:getConsistencyCheckResult": "/v3/tasks/TASK/consistency-result",
    "sms:server:overview": "/v3/sources/overview",
}


def test_every_action_has_an_endpoint() -> None:
    assert set(ACTIONS) == ENDPOINTS.keys()


@pytest.mark.parametrize(("action", "path"), ENDPOINTS.items())
async def test_a_permission_can_be_removed_alone_and_restored(clock: FakeClock, action: str, path: str) -> None:
    async with Simulator(servers=50, clock=clock, denied=[action]) as sim:
        task = records(sim, state="replicate")[0]["current_task"]["id"]

        async def statuses() -> dict[str, int]:
            return {name: (await get(sim, each.replace("TASK", task), offset=0))[0] for name, each in ENDPOINTS.items()}

        assert await statuses() == {name: 403 if name == action else 200 for name in ENDPOINTS}
        _, body = await get(sim, path.replace("TASK", task), offset=0)
        assert body["error_code"] == "SMS.9004"
        assert action in body["error_msg"]
        sim.permissions.allow(action)
        assert set((await statuses()).values()) == {200}


@pytest.mark.parametrize("path", ENDPOINTS.values())
async def test_every_endpoint_requires_a_token(sim: Simulator, path: str) -> None:
    assert (await get(sim, path, token="made-up", offset=0))[0] == 401
    assert (await get(sim, path, token=sim.unpermitted_token, offset=0))[0] == 403


def test_an_unknown_action_is_refused_with_a_list_of_all() -> None:
    with pytest.raises(BadAction, match="sms:server:delete: unknown IAM action; the actions are sms:server:list,"):
        Simulator(servers=0, denied=["sms:server:delete"])


async def test_a_fault_of_one_endpoint_affects_no_other(sim: Simulator) -> None:
    sim.faults.add("server-error,path=/v3/errors")

    assert (await get(sim, "/v3/errors", offset=0))[0] == 500
    assert (await get(sim, "/v3/tasks"))[0] == 200
    assert (await get(sim, "/v3/sources"))[0] == 200


async def test_faults_of_pages_affect_the_further_lists(sim: Simulator) -> None:
    sim.faults.add("wrong-types,path=/v3/tasks")
    _, page = await get(sim, "/v3/tasks")

    assert page["tasks"][0]["sub_tasks"] == "none"
    assert isinstance(page["tasks"][1]["sub_tasks"], list)
    sim.faults.add("short-page=2,path=/v3/migprojects")
    assert len((await get(sim, "/v3/migprojects"))[1]["migprojects"]) == 2


@pytest.mark.parametrize("path", SECRET_PATHS)
async def test_endpoints_with_secrets_or_effects_do_not_exist(sim: Simulator, path: str) -> None:
    assert (await get(sim, path))[0] == 404
