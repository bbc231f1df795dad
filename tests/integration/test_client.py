"""How often the API is asked, and for how long."""

import asyncio

from aiohttp import web

from exporter.simulator import Simulator
from programs import serving
from support import FakeClock, Scrape, exporting, fetch, scrape

RATE = 8


async def test_no_more_requests_a_second_are_sent_than_allowed(clock: FakeClock) -> None:
    loop = asyncio.get_running_loop()
    sent: list[float] = []

    async def page(request: web.Request) -> web.Response:
        sent.append(loop.time())
        offset = int(request.query["offset"])
        records = [{"id": f"s{number}"} for number in range(offset, offset + 200)]
        return web.json_response({"count": 4000, "source_servers": records})

    class Endpoint:
        token = "t"

        def __init__(self, url: str) -> None:
            self.url = url

    async with serving(page) as url:
        endpoint = Endpoint(url)
        async with exporting(endpoint, clock, api={"rate_limit": RATE}) as service:  # type: ignore[arg-type]
            _, text, _ = await fetch(f"{service.urls[0]}/metrics")
    assert Scrape(text).total("source_servers") == 4000
    assert len(sent) == 20
    # A full bucket and what flows into it in the second.
    assert max(sum(start <= other < start + 1 for other in sent) for start in sent) <= 2 * RATE
    assert sent[-1] - sent[0] > 1


async def test_a_poll_that_takes_too_long_as_a_whole_is_a_timeout(clock: FakeClock) -> None:
    async with Simulator(servers=450, clock=clock) as simulator:
        simulator.faults.add("hang,after=1")
        async with exporting(simulator, clock, poll={"timeout": "300ms"}) as service:
            seen = await scrape(service.urls[0])
            (account,) = service.accounts
    assert seen.value("exporter_poll_failures_total", reason="timeout") == 1
    assert account.state.last_poll is not None
    assert "not complete after 0.3 seconds" in str(account.state.last_poll.error)
    assert seen.values("source_servers") == {}
