from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from exporter.simulator import KINDS, Simulator
from support import FakeClock

Call = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=250, clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def call(sim: Simulator) -> AsyncIterator[Call]:
    """Call the control endpoint with a method, the path below it and a body."""
    async with aiohttp.ClientSession() as session:

        async def calling(method: str, path: str, body: object = None) -> tuple[int, Any]:
            async with session.request(method, f"{sim.url}/control/{path}", json=body) as response:
                return response.status, await response.json() if response.status != 204 else None

        yield calling


async def status_of_the_list(sim: Simulator) -> int:
    async with (
        aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session,
        session.get(f"{sim.url}/v3/sources") as response,
    ):
        return response.status


async def test_the_state_has_servers_faults_and_requests(sim: Simulator, call: Call, clock: FakeClock) -> None:
    sim.faults.add("throttled=5,times=2")
    await status_of_the_list(sim)
    status, state = await call("GET", "state")

    assert status == 200
    assert state["time"] == clock.time()
    assert state["servers"] == sum(state["states"].values()) == 250
    assert state["requests"] == 1
    assert [(fault["name"], fault["value"], fault["hits"]) for fault in state["faults"]] == [("throttled", 5, 1)]


async def test_servers_are_found_by_the_query_of_the_api(sim: Simulator, call: Call) -> None:
    _, found = await call("GET", "servers?state=replicate")
    status, refusal = await call("GET", "servers?state=nonsense")

    expected = [record["id"] for record in sim.fleet.records() if record["state"] == "replicate"]
    assert [server["id"] for server in found] == expected
    assert status == 400
    assert "state must be one of" in refusal["error_msg"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"count": "\xff"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_bad_request(sim: Simulator, body: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sim.url}/control/servers", data=body) as response,
    ):
        assert response.status == 400


async def test_any_field_of_a_record_can_be_overridden(sim: Simulator, call: Call) -> None:
    status, record = await call("PATCH", f"servers/{sim.fleet.ids[0]}", {"server_id": 1, "self": 2, "name": "x"})
    assert status == 200
    assert (record["server_id"], record["self"], record["name"]) == (1, 2, "x")


async def test_servers_are_added_and_removed(sim: Simulator, call: Call) -> None:
    status, added = await call("POST", "servers")
    assert status == 201
    assert sim.fleet.ids[0] == added["id"]
    assert (await call("DELETE", f"servers/{added['id']}"))[0] == 204
    assert added["id"] not in sim.fleet.ids
    assert await call("POST", "servers", {"count": 7}) == (200, {"servers": 7})
    assert len(sim.fleet) == 7


async def test_servers_can_fail_disconnect_and_stall(call: Call, clock: FakeClock) -> None:
    _, (one, two, three, *_) = await call("GET", "servers?state=replicate&connected=true")
    await call("POST", f"servers/{one['id']}/fail")
    await call("POST", f"servers/{two['id']}/disconnect")
    await call("POST", f"servers/{three['id']}/stall")
    clock.advance(7200)
    shown = [(await call("GET", f"servers/{server['id']}"))[1] for server in (one, two, three)]

    assert [server["state"] for server in shown] == ["error", "replicate", "replicate"]
    assert [server["connected"] for server in shown] == [True, False, True]
    assert shown[2]["replicatesize"] == three["replicatesize"]


async def test_a_server_continues_when_its_overrides_are_removed(sim: Simulator, call: Call) -> None:
    server_id = sim.fleet.ids[0]
    before = sim.fleet.record(server_id)
    _, changed = await call("PATCH", f"servers/{server_id}", {"name": "x", "current_task": None})
    _, restored = await call("DELETE", f"servers/{server_id}/overrides")

    assert (changed["name"], changed["current_task"]) == ("x", None)
    assert restored == before


async def test_a_server_that_does_not_replicate_cannot_stall(call: Call) -> None:
    _, (waiting, *_) = await call("GET", "servers?state=waiting")
    status, refusal = await call("POST", f"servers/{waiting['id']}/stall")

    assert status == 409
    assert "waiting" in refusal["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "servers/none"),
        ("PATCH", "servers/none"),
        ("DELETE", "servers/none"),
        ("DELETE", "servers/none/overrides"),
        ("POST", "servers/none/fail"),
    ],
)
async def test_an_unknown_server_is_not_found(call: Call, method: str, path: str) -> None:
    assert (await call(method, path, {}))[0] == 404


async def test_faults_are_added_and_removed(sim: Simulator, call: Call) -> None:
    status, fault = await call("POST", "faults", {"fault": "server-error"})
    assert (status, fault["name"]) == (201, "server-error")
    assert await status_of_the_list(sim) == 500
    await call("POST", "faults", {"fault": "throttled=3"})
    _, listed = await call("GET", "faults")
    assert [fault["name"] for fault in listed["faults"]] == ["server-error", "throttled"]
    assert listed["kinds"].keys() == KINDS.keys()
    await call("DELETE", "faults/server-error")
    assert await status_of_the_list(sim) == 429
    await call("DELETE", "faults")
    assert await status_of_the_list(sim) == 200


@pytest.mark.parametrize("body", [{"fault": "gremlins"}, {"fault": 5}, {}, [], "text"])
async def test_an_invalid_fault_is_refused_with_a_reason(call: Call, body: object) -> None:
    status, refusal = await call("POST", "faults", body)

    assert status == 400
    assert refusal["error"]


async def test_tokens_expire_and_are_restored(sim: Simulator, call: Call) -> None:
    await call("POST", "tokens/expire")
    assert await status_of_the_list(sim) == 401
    await call("POST", "tokens/restore")
    assert await status_of_the_list(sim) == 200


async def test_the_fleet_is_frozen_and_unfrozen(sim: Simulator, call: Call, clock: FakeClock) -> None:
    await call("POST", "freeze")
    before = sim.fleet.records()
    clock.advance(60)
    assert sim.fleet.records() == before
    await call("DELETE", "freeze")
    assert sim.fleet.records() != before


async def test_control_requests_are_neither_affected_by_faults_nor_logged(sim: Simulator, call: Call) -> None:
    sim.faults.add("server-error")

    assert (await call("GET", "state"))[0] == 200
    assert sim.requests == []


async def test_a_permission_is_removed_and_restored(call: Call) -> None:
    _, before = await call("GET", "permissions")
    _, removed = await call("DELETE", "permissions/sms:server:listErrors")
    _, restored = await call("PUT", "permissions/sms:server:listErrors")

    assert set(before.values()) == {True}
    assert [action for action, allowed in removed.items() if not allowed] == ["sms:server:listErrors"]
    assert restored == before
    status, refusal = await call("DELETE", "permissions/sms:server:nothing")
    assert status == 404
    assert "the actions are sms:server:list" in refusal["error"]
