import asyncio
import email.utils
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from exporter.simulator import KINDS, Fault, Simulator
from support import DATA, NOW, FakeClock

SERVERS = 30


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=SERVERS, clock=clock) as simulator:
        yield simulator


class Reply:
    """A complete response."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


async def fetch(sim: Simulator, offset: int = 0, limit: int = 10) -> Reply:
    params = {"limit": str(limit), "offset": str(offset)}
    async with (
        aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session,
        session.get(f"{sim.url}/v3/sources", params=params, allow_redirects=False) as response,
    ):
        return Reply(response, await response.read())


async def ids(sim: Simulator) -> tuple[list[list[str]], list[int]]:
    """Read three pages of ten records; return their ids and counts."""
    pages = [(await fetch(sim, offset)).json() for offset in (0, 10, 20)]
    return [[server["id"] for server in page["source_servers"]] for page in pages], [p["count"] for p in pages]


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0)


async def test_a_fault_from_the_start_affects_the_first_request(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock, faults=["server-error,times=1"]) as sim:
        assert (await fetch(sim)).status == 500
        assert (await fetch(sim)).status == 200


async def test_throttling_has_a_retry_after_only_with_a_value(sim: Simulator) -> None:
    for fault in ("throttled,times=1", "throttled=7,times=1", "throttled-until=90,times=1"):
        sim.faults.add(fault)
    replies = [await fetch(sim) for _ in range(3)]

    assert {reply.status for reply in replies} == {429}
    assert {reply.json()["error_code"] for reply in replies} == {"APIGW.0308"}
    assert "Retry-After" not in replies[0].headers
    assert replies[1].headers["Retry-After"] == "7"
    date = email.utils.parsedate_to_datetime(replies[2].headers["Retry-After"])
    assert date.timestamp() == NOW + 90


async def test_a_server_error_has_the_error_format_of_the_api(sim: Simulator) -> None:
    sim.faults.add("server-error")
    reply = await fetch(sim)

    assert reply.status == 500
    assert set(reply.json()) == {"error_code", "error_msg"}


async def test_a_bad_gateway_responds_with_html(sim: Simulator) -> None:
    sim.faults.add("bad-gateway")
    reply = await fetch(sim)

    assert reply.status == 502
    assert reply.headers["Content-Type"].startswith("text/html")


async def test_valid_credentials_can_be_refused(sim: Simulator) -> None:
    sim.faults.add("forbidden,times=1")
    sim.faults.add("unauthorized,times=1")
    forbidden, unauthorized = await fetch(sim), await fetch(sim)

    assert forbidden.status == 403
    assert forbidden.json() == json.loads((DATA / "error-403.json").read_text())
    assert unauthorized.status == 401
    assert unauthorized.json()["error_code"] == "APIGW.0301"


async def test_tokens_expire_in_the_middle_of_a_poll(sim: Simulator) -> None:
    sim.faults.add("token-expiry,after=1")
    replies = [await fetch(sim, offset) for offset in (0, 10, 20)]

    assert [reply.status for reply in replies] == [200, 401, 401]
    assert replies[1].json()["error_code"] == "APIGW.0307"


async def test_html_has_status_200(sim: Simulator) -> None:
    sim.faults.add("html")
    reply = await fetch(sim)

    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert reply.body.startswith(b"<!DOCTYPE html>")


async def test_a_redirect_points_to_the_same_path_at_another_host(sim: Simulator) -> None:
    sim.faults.add("redirect=http://elsewhere.example:81")
    reply = await fetch(sim)

    assert reply.status == 302
    assert reply.headers["Location"] == "http://elsewhere.example:81/v3/sources?limit=10&offset=0"


async def test_a_reset_is_no_response(sim: Simulator) -> None:
    sim.faults.add("reset")

    with pytest.raises(aiohttp.ClientConnectionError):
        await fetch(sim)
    assert sim.requests[-1].status is None


async def test_a_reset_in_the_middle_of_a_body_is_half_a_response(sim: Simulator) -> None:
    sim.faults.add("reset-mid-body")

    with pytest.raises(aiohttp.ClientError):
        await fetch(sim)
    assert sim.requests[-1].status == 200


async def test_a_truncated_body_looks_complete_and_is_not_json(sim: Simulator) -> None:
    sim.faults.add("truncated")
    reply = await fetch(sim)

    assert len(reply.body) == int(reply.headers["Content-Length"]) > 1000
    with pytest.raises(json.JSONDecodeError):
        reply.json()


async def test_latency_lasts_as_long_as_the_clock_says(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("latency=30")
    reading = asyncio.create_task(fetch(sim))

    assert await clock.until_asleep() == 30
    clock.advance(30)
    assert (await reading).status == 200


async def test_latency_ends_with_its_fault(sim: Simulator, clock: FakeClock) -> None:
    sim.faults.add("latency=30")
    reading = asyncio.create_task(fetch(sim))
    await clock.until_asleep()

    sim.faults.clear("latency")
    assert (await reading).status == 200


@pytest.mark.parametrize("name", ["hang-before-body", "hang-mid-body", "endless-body"])
async def test_a_body_that_hangs_is_reset_when_the_fault_is_removed(sim: Simulator, name: str) -> None:
    fault = sim.faults.add(f"{name},times=1")
    reading = asyncio.create_task(fetch(sim))
    await until(lambda: fault.hits)
    sim.faults.clear()

    with pytest.raises(aiohttp.ClientError):
        await reading
    assert (await fetch(sim)).status == 200


async def test_a_request_that_hangs_can_be_repeated_when_the_fault_is_removed(sim: Simulator) -> None:
    fault = sim.faults.add("hang")
    reading = asyncio.create_task(fetch(sim))
    await until(lambda: fault.hits)
    sim.faults.clear()

    # aiohttp's client repeats a request by itself if the connection broke before any response.
    assert (await reading).status == 200
    assert [request.status for request in sim.requests] == [None, 200]


@pytest.mark.parametrize("name", ["hang", "hang-before-body", "hang-mid-body", "endless-body", "latency=9"])
async def test_requests_that_hang_end_when_the_simulator_closes(clock: FakeClock, name: str) -> None:
    async with Simulator(servers=SERVERS, clock=clock) as sim:
        fault = sim.faults.add(name)
        reading = asyncio.create_task(fetch(sim))
        await until(lambda: fault.hits)
    await asyncio.wait([reading])

    assert reading.exception() is None or isinstance(reading.exception(), aiohttp.ClientError)


async def test_the_headers_arrive_before_a_body_that_hangs(sim: Simulator) -> None:
    fault = sim.faults.add("hang-before-body")
    async with (
        aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session,
        session.get(f"{sim.url}/v3/sources") as response,
    ):
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 10_000
        assert not fault.ended.is_set()


async def test_an_endless_body_does_not_end(sim: Simulator) -> None:
    sim.faults.add("endless-body")
    size = 0
    async with (
        aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session,
        session.get(f"{sim.url}/v3/sources") as response,
    ):
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > 20_000_000:
                break
    assert size > 20_000_000


async def test_one_record_has_values_of_wrong_types(sim: Simulator) -> None:
    sim.faults.add("wrong-types")
    first, second, *_ = (await fetch(sim)).json()["source_servers"]

    assert first["id"] == sim.fleet.ids[0]
    assert not isinstance(first["cpu_quantity"], int)
    assert isinstance(second["cpu_quantity"], int)


async def test_a_page_lacks_records(sim: Simulator) -> None:
    sim.faults.add("short-page,after=1,times=1")
    pages, counts = await ids(sim)

    assert [len(page) for page in pages] == [10, 9, 10]
    assert counts == [30, 30, 30]


async def test_the_count_changes_from_page_to_page(sim: Simulator) -> None:
    sim.faults.add("count-changes")

    assert (await ids(sim))[1] == [31, 32, 33]


async def test_a_record_is_on_two_pages(sim: Simulator) -> None:
    sim.faults.add("duplicates-across-pages")
    pages, counts = await ids(sim)

    assert pages[0][-1] == pages[1][0]
    assert pages[1][-1] == pages[2][0]
    assert len({server for page in pages for server in page}) == 28
    assert counts == [30, 30, 30]


async def test_a_record_is_twice_on_a_page(sim: Simulator) -> None:
    sim.faults.add("duplicates-within-page,times=1")
    pages, _ = await ids(sim)

    assert pages[0][0] == pages[0][-1]
    assert len({server for page in pages for server in page}) == 29


async def test_records_move_between_two_pages(sim: Simulator) -> None:
    sim.faults.add("moved")
    pages, counts = await ids(sim)

    every = sim.fleet.ids
    assert pages == [every[:10], every[11:21], [*every[21:], every[0]]]
    assert counts == [30, 30, 30]


async def test_a_list_is_empty(sim: Simulator) -> None:
    sim.faults.add("empty-list,times=1")

    assert (await fetch(sim)).json() == {"count": 0, "source_servers": []}
    assert (await fetch(sim)).json()["count"] == 30


async def test_the_clock_of_the_api_is_ahead(sim: Simulator) -> None:
    sim.faults.add("clock-skew=300")

    date = email.utils.parsedate_to_datetime((await fetch(sim)).headers["Date"])
    assert date.timestamp() == NOW + 300


@pytest.mark.parametrize("name", ["server-error", "bad-gateway", "html", "truncated", "throttled=3"])
async def test_iam_and_metadata_fail_independently_of_the_list(sim: Simulator, name: str) -> None:
    sim.faults.add(f"{name},api=iam")
    sim.faults.add(f"{name},api=metadata")
    async with aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session:
        for path in ("/v3/projects", "/openstack/latest/securitykey"):
            async with session.get(sim.url + path) as response:
                body = await response.read()
                assert response.status != 200 or not body.endswith(b"}")
    assert (await fetch(sim)).status == 200


async def test_the_simulator_works_after_every_fault(sim: Simulator, clock: FakeClock) -> None:
    values: dict[str, float | str] = {
        "latency": 1.0,
        "throttled-until": 5,
        "redirect": "http://h",
        "clock-skew": 60.0,
        "page-size": 50,
    }
    for name in KINDS:
        fault = sim.faults.add(Fault(name, values.get(name), times=1))
        reading = asyncio.create_task(fetch(sim))
        await until(lambda fault=fault: fault.hits or fault.name in {"clock-skew", "long-token"})  # type: ignore[misc]
        sim.faults.clear()
        clock.advance(1)
        await asyncio.wait([reading])
        assert reading.exception() is None or isinstance(reading.exception(), aiohttp.ClientError)
        sim.tokens.restore_static()
        assert (await fetch(sim)).json()["count"] == SERVERS
