import asyncio
import email.utils
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Fleet, Simulator, User
from support import DATA, NOW, FakeClock, example

Answer = tuple[int, Any]


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=450, clock=clock, token_lifetime=3600) as simulator:
        yield simulator


async def listed(sim: Simulator, *, token: str | None = None, **query: object) -> Answer:
    """Request the list with the simulator's own token, or another one ("" is none)."""
    sent = sim.token if token is None else token
    headers = {"X-Auth-Token": sent} if sent else {}
    params = {name: str(value) for name, value in query.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sim.url}/v3/sources", headers=headers, params=params) as response,
    ):
        return response.status, await response.json()


async def authenticated(sim: Simulator, user: User, **scope: object) -> tuple[int, Any, str | None]:
    """Request a token from IAM; return status, body and token."""
    identity = {
        "methods": ["password"],
        "password": {"user": {"domain": {"name": user.domain}, "name": user.name, "password": user.password}},
    }
    body = {"auth": {"identity": identity, "scope": scope or {"project": {"name": user.project}}}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sim.url}/v3/auth/tokens?nocatalog=true", json=body) as response,
    ):
        return response.status, await response.json(), response.headers.get("X-Subject-Token")


async def test_the_pages_together_have_every_server_once(sim: Simulator) -> None:
    pages = [await listed(sim, limit=200, offset=offset) for offset in (0, 200, 400)]

    assert [status for status, _ in pages] == [200, 200, 200]
    assert [page["count"] for _, page in pages] == [450, 450, 450]
    assert [server["id"] for _, page in pages for server in page["source_servers"]] == sim.fleet.ids


async def test_a_page_past_the_end_is_empty_and_keeps_the_count(sim: Simulator) -> None:
    assert await listed(sim, offset=450) == (200, {"count": 450, "source_servers": []})
    assert await listed(sim, offset=65535) == (200, {"count": 450, "source_servers": []})


async def test_offsets_count_pages_if_configured(clock: FakeClock) -> None:
    async with Simulator(servers=450, clock=clock, offsets="pages") as sim:
        _, second = await listed(sim, limit=200, offset=1)
        past = await listed(sim, limit=200, offset=200)

        assert [server["id"] for server in second["source_servers"]] == sim.fleet.ids[200:400]
        assert past == (200, {"count": 450, "source_servers": []})


async def test_a_filter_narrows_the_list_and_its_count(sim: Simulator) -> None:
    expected = [record["id"] for record in sim.fleet.records() if record["state"] == "replicate"]
    _, page = await listed(sim, state="replicate", limit=10, offset=5)

    assert page["count"] == len(expected) > 100
    assert [server["id"] for server in page["source_servers"]] == expected[5:15]


async def test_every_server_is_in_one_migration_project(sim: Simulator) -> None:
    projects = ("6a1d2c3e-5b4f-4d6e-8f70-91a2b3c4d501", "nowhere")

    assert [(await listed(sim, migproject=project))[1]["count"] for project in projects] == [150, 0]


@pytest.mark.parametrize(
    "query", [{"limit": 201}, {"limit": -1}, {"offset": 65536}, {"state": "premiging"}, {"connected": "yes"}]
)
async def test_a_bad_parameter_is_refused_in_the_error_format_of_the_api(sim: Simulator, query: dict[str, Any]) -> None:
    status, body = await listed(sim, **query)

    assert status == 400
    assert next(iter(query)) in body["error_msg"]
    assert body["error_code"]


async def test_given_records_are_served_unchanged() -> None:
    async with Simulator(fleet=Fleet.from_records(example()["source_servers"])) as sim:
        assert await listed(sim) == (200, example())


@pytest.mark.parametrize("token", ["", "made-up"])
async def test_a_missing_or_unknown_token_is_refused_by_the_gateway(sim: Simulator, token: str) -> None:
    status, body = await listed(sim, token=token)

    assert status == 401
    assert body["error_code"] == "APIGW.0301"
    assert "decrypt token fail" in body["error_msg"]


async def test_a_user_without_permission_gets_the_403_of_the_reference(sim: Simulator) -> None:
    reference = json.loads((DATA / "error-403.json").read_text())
    _, _, token = await authenticated(sim, sim.unpermitted_user)

    assert await listed(sim, token=sim.unpermitted_token) == (403, reference)
    assert await listed(sim, token=token) == (403, reference)


async def test_a_password_gets_a_token_that_works_until_it_expires(sim: Simulator, clock: FakeClock) -> None:
    status, body, token = await authenticated(sim, sim.user)
    expiry = datetime.strptime(body["token"]["expires_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)

    assert status == 201
    assert expiry.timestamp() == NOW + 3600
    assert body["token"]["project"]["name"] == "cn-north-4"
    clock.advance(3599)
    assert (await listed(sim, token=token))[0] == 200
    clock.advance(1)
    status, refusal = await listed(sim, token=token)
    assert (status, refusal["error_code"]) == (401, "APIGW.0307")


async def test_a_new_token_does_not_end_the_old_one(sim: Simulator) -> None:
    tokens = [(await authenticated(sim, sim.user))[2] for _ in range(2)]

    assert len(set(tokens)) == 2
    assert [(await listed(sim, token=token))[0] for token in tokens] == [200, 200]


async def test_a_token_is_scoped_to_a_project_by_name_or_id_or_to_the_domain(sim: Simulator) -> None:
    _, by_name, _ = await authenticated(sim, sim.user, project={"name": "ap-southeast-3"})
    project = by_name["token"]["project"]
    _, by_id, _ = await authenticated(sim, sim.user, project={"id": project["id"]})
    status, by_domain, _ = await authenticated(sim, sim.user, domain={"name": sim.user.domain})

    assert by_id["token"]["project"] == project
    assert status == 201
    assert by_domain["token"]["domain"]["name"] == sim.user.domain
    status, refusal, token = await authenticated(sim, sim.user, project={"name": "atlantis"})
    assert (status, token) == (401, None)
    assert "could not be found" in refusal["error"]["message"]


async def test_a_wrong_password_is_refused_in_the_error_format_of_iam(sim: Simulator) -> None:
    wrong = User(sim.user.domain, sim.user.name, "wrong", sim.user.project)
    status, body, token = await authenticated(sim, wrong)

    assert (status, token) == (401, None)
    assert body["error"]["code"] == 401
    assert body["error"]["message"] == "The username or password is wrong."


async def test_five_wrong_passwords_lock_the_user_for_15_minutes(sim: Simulator, clock: FakeClock) -> None:
    wrong = User(sim.user.domain, sim.user.name, "wrong", sim.user.project)
    for _ in range(5):
        await authenticated(sim, wrong)

    status, body, _ = await authenticated(sim, sim.user)
    assert status == 401
    assert "locked" in body["error"]["message"]
    clock.advance(900)
    assert (await authenticated(sim, sim.user))[0] == 201


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"auth": "\xff"}', b"[" * 100_000, b'{"auth": {"identity": {"methods": ["token"]}}}']
)
async def test_an_invalid_login_is_a_bad_request(sim: Simulator, body: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sim.url}/v3/auth/tokens", data=body) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["code"] == 400


async def test_every_response_has_a_unique_request_id_and_the_date_of_the_clock(sim: Simulator) -> None:
    ids = set()
    async with aiohttp.ClientSession() as session:
        for path in ("/v3/sources", "/v3/projects", "/nowhere", "/control/state"):
            async with session.get(sim.url + path) as response:
                ids.add(response.headers["X-Request-Id"])
                date = email.utils.parsedate_to_datetime(response.headers["Date"])
                assert date.timestamp() == NOW
    assert len(ids) == 4


async def test_another_path_is_unknown_to_the_gateway(sim: Simulator) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{sim.url}/v3/source") as response:
        assert response.status == 404
        assert (await response.json())["error_code"] == "APIGW.0101"


async def test_the_request_log_has_requests_and_their_status(sim: Simulator) -> None:
    await listed(sim, limit=10, offset=20)
    await listed(sim, token="made-up")
    await authenticated(sim, sim.user)

    assert [(r.api, r.method, r.path, r.query, r.status) for r in sim.requests] == [
        ("sms", "GET", "/v3/sources", {"limit": "10", "offset": "20"}, 200),
        ("sms", "GET", "/v3/sources", {}, 401),
        ("iam", "POST", "/v3/auth/tokens", {"nocatalog": "true"}, 201),
    ]


async def test_many_pages_are_served_concurrently(clock: FakeClock) -> None:
    async with Simulator(servers=3000, clock=clock) as sim:
        pages = await asyncio.gather(*(listed(sim, limit=200, offset=offset) for offset in range(0, 3000, 200)))

        assert [server["id"] for _, page in pages for server in page["source_servers"]] == sim.fleet.ids
        assert len(sim.requests) == 15


async def test_two_simulators_run_side_by_side() -> None:
    async with Simulator(servers=1) as one, Simulator(servers=2) as two:
        assert one.url != two.url
        assert (await listed(one))[1]["count"] == 1
        assert (await listed(two))[1]["count"] == 2


async def test_a_simulator_on_all_addresses_has_a_loopback_url() -> None:
    async with Simulator(servers=1, host="0.0.0.0") as sim:
        assert sim.url.startswith("http://127.0.0.1:")
        assert (await listed(sim))[0] == 200


def test_a_simulator_that_is_not_running_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        _ = Simulator(servers=1).url


async def test_an_address_in_use_is_an_error_and_leaves_no_open_socket() -> None:
    async with Simulator(servers=1) as sim:
        port = int(sim.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with Simulator(servers=1, port=port):
                pass
