"""The complete path of the data: pages over HTTP, a snapshot, an exposition over HTTP."""

import asyncio
import math

import pytest

from exporter.simulator import Fleet, Simulator
from support import FakeClock, Scrape, example, example_servers, exporting, fetch, next_poll, scrape


def simulated(clock: FakeClock, servers: int) -> Simulator:
    return Simulator(servers=servers, seed=7, clock=clock)


async def test_the_example_of_the_reference_has_one_server_and_nine_duplicates(clock: FakeClock) -> None:
    fleet = Fleet.from_records(example()["source_servers"], clock=clock)
    async with Simulator(fleet=fleet, clock=clock) as simulator, exporting(simulator, clock) as service:
        seen = await scrape(service.urls[0])
    assert seen.value("up") == 1
    assert seen.total("source_servers") == 1
    assert seen.value("snapshot_source_servers") == 1
    assert seen.value("api_source_servers") == 10
    assert seen.value("exporter_skipped_records_total", reason="duplicate") == 9


async def test_the_example_with_distinct_ids_has_ten_servers(clock: FakeClock) -> None:
    fleet = Fleet.from_records(example_servers(), clock=clock)
    async with Simulator(fleet=fleet, clock=clock) as simulator, exporting(simulator, clock) as service:
        seen = await scrape(service.urls[0])
    states = {dict(labels)["state"]: count for labels, count in seen.values("source_servers").items() if count}
    assert states == {"finished": 3, "error": 1, "waiting": 1, "unavailable": 5}
    assert seen.value("source_servers_by_connection", connected="true") == 4
    assert seen.value("source_servers_by_connection", connected="false") == 6
    assert seen.value("source_servers_size_bytes", state="error") == 42949672960
    assert seen.value("source_servers_replicated_bytes", state="error") == 42949672960
    assert seen.total("source_server_connected") == 4


async def test_a_server_without_a_state_counts_as_other(clock: FakeClock) -> None:
    states: dict[str, dict[str, object]] = {
        "null": {"state": None},
        "absent": {},
        "new": {"state": "born"},
        "known": {"state": "error"},
    }
    fleet = Fleet.from_records([{"id": name, **state} for name, state in states.items()], clock=clock)
    async with Simulator(fleet=fleet, clock=clock) as simulator, exporting(simulator, clock) as service:
        seen = await scrape(service.urls[0])
    counts = {dict(labels)["state"]: count for labels, count in seen.values("source_servers").items() if count}
    assert counts == {"error": 1, "other": 3}
    assert seen.label_values("source_server_info", "server_id") == sorted(states)


async def test_a_403_fails_the_poll_with_the_reason_permission(clock: FakeClock) -> None:
    async with (
        simulated(clock, 3) as simulator,
        exporting(simulator, clock, auth={"token": simulator.unpermitted_token}) as service,
    ):
        seen = await scrape(service.urls[0])
    assert seen.value("up") == 0
    assert seen.value("exporter_poll_failures_total", reason="permission") == 1
    assert seen.total("exporter_poll_failures_total") == 1
    assert seen.values("source_servers") == {}


@pytest.mark.parametrize("servers", [1, 199, 200, 201, 1000, 10_000])
async def test_every_server_is_exposed_once_with_one_request_per_page(clock: FakeClock, servers: int) -> None:
    pages = math.ceil(servers / 200)
    async with simulated(clock, servers) as simulator, exporting(simulator, clock) as service:
        answers = await asyncio.gather(*(fetch(f"{service.urls[0]}/metrics") for _ in range(10)))
        assert len(simulator.requests) == pages
        await next_poll(clock)
        assert len(simulator.requests) == 2 * pages
        ids = simulator.fleet.ids
    # Of the same list, and within a second of the clock: to read one is to read all.
    (text,) = {text for _, text, _ in answers}
    seen = Scrape(text)
    assert seen.label_values("source_server_info", "server_id") == sorted(ids)
    assert seen.total("source_servers") == seen.value("api_source_servers") == servers
    assert seen.value("exporter_poll_pages") == pages


async def test_a_server_deleted_in_the_api_is_gone_after_the_next_poll(clock: FakeClock) -> None:
    async with simulated(clock, 3) as simulator, exporting(simulator, clock) as service:
        gone = simulator.fleet.ids[0]
        simulator.fleet.remove(gone)
        assert (await scrape(service.urls[0])).values("source_server_info", server_id=gone)
        await next_poll(clock)
        seen = await scrape(service.urls[0])
    assert gone not in seen.text
    assert seen.total("source_servers") == 2


async def test_a_server_added_in_the_api_shows_up_at_the_next_poll(clock: FakeClock) -> None:
    async with simulated(clock, 3) as simulator, exporting(simulator, clock) as service:
        added = simulator.fleet.add()
        assert added not in (await scrape(service.urls[0])).text
        await next_poll(clock)
        assert (await scrape(service.urls[0])).values("source_server_info", server_id=added)


async def test_an_empty_account_is_up_with_no_server(clock: FakeClock) -> None:
    async with simulated(clock, 0) as simulator, exporting(simulator, clock) as service:
        seen = await scrape(service.urls[0])
    assert (seen.value("up"), seen.total("source_servers")) == (1, 0)


async def test_an_api_with_offsets_in_pages_is_read_completely(clock: FakeClock) -> None:
    counting_pages = Simulator(servers=450, clock=clock, offsets="pages")
    async with counting_pages as simulator, exporting(simulator, clock) as service:
        await next_poll(clock)
        seen = await scrape(service.urls[0])
    assert seen.total("source_servers") == 450
    assert seen.value("exporter_poll_pages") == 3


async def test_filters_are_passed_on(clock: FakeClock) -> None:
    async with simulated(clock, 300) as simulator:
        async with exporting(simulator, clock, filter={"state": "replicate", "connected": True}) as service:
            seen = await scrape(service.urls[0])
        assert simulator.requests[0].query["state"] == "replicate"
        assert simulator.requests[0].query["connected"] == "true"
    assert 0 < seen.total("source_servers") < 300
    assert seen.total("source_servers") == seen.value("source_servers", state="replicate")


async def test_health_is_exposed_during_the_first_poll(clock: FakeClock) -> None:
    async with simulated(clock, 3) as simulator:
        simulator.faults.add("hang")
        async with exporting(simulator, clock, polled=False) as service:
            seen = await scrape(service.urls[0])
            ready, _, _ = await fetch(f"{service.urls[0]}/-/ready")
            healthy, _, _ = await fetch(f"{service.urls[0]}/-/healthy")
    assert (ready, healthy) == (503, 200)
    assert (seen.value("up"), seen.value("exporter_polls_total")) == (0, 0)
    assert seen.value("exporter_poll_failures_total", reason="timeout") == 0
    assert seen.values("account_info")
    assert seen.values("source_servers") == {}


async def test_the_exporter_is_ready_once_a_first_poll_has_ended_even_failed(clock: FakeClock) -> None:
    async with simulated(clock, 3) as simulator, exporting(simulator, clock, auth={"token": "wrong"}) as service:
        ready, _, _ = await fetch(f"{service.urls[0]}/-/ready")
    assert ready == 200
