"""How often a poll requests a page again, and how many pages at the same time."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from aiohttp import web

from exporter.sms.client import INITIAL_BACKOFF_SECONDS
from programs import serving
from support import FakeApi, FakeClock, Scrape, exporting, scrape

ROWS = 200


class PagedApi:
    """An API with a list of some pages. `fails` says by offset and attempt whether the answer is an error."""

    def __init__(self, pages: int, fails: Callable[[int, int], bool], status: int = 503, **headers: str) -> None:
        self.attempts: Counter[int] = Counter()
        self._count = pages * ROWS
        self._fails = fails
        self._status = status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(self, request: web.Request) -> web.Response:
        offset = int(request.query["offset"])
        self.attempts[offset] += 1
        if self._fails(offset, self.attempts[offset]):
            return web.Response(status=self._status, headers=self._headers)
        records = [{"id": f"s{number}"} for number in range(offset, offset + ROWS)]
        return web.json_response({"count": self._count, "source_servers": records})

    async def poll(self, clock: FakeClock) -> Scrape:
        """Poll once, and return the metrics after the poll."""
        async with (
            serving(self.handle) as url,
            # Without a practical limit of the rate, so that only back-offs wait.
            exporting(FakeApi(url), clock, api={"rate_limit": 1000}, polled=False) as service,
        ):
            (poller,) = service.pollers
            while await clock.until_asleep() and not poller.polled.is_set():
                clock.advance(await clock.until_asleep())
            return await scrape(service.urls[0])


def is_first_attempt_of_the_first(pages: int) -> Callable[[int, int], bool]:
    return lambda offset, attempt: offset < pages * ROWS and attempt == 1


async def test_a_poll_retries_twenty_pages_and_succeeds(clock: FakeClock) -> None:
    api = PagedApi(30, is_first_attempt_of_the_first(20))
    seen = await api.poll(clock)
    assert (seen.value("up"), seen.total("source_servers")) == (1, 30 * ROWS)
    assert seen.value("exporter_api_retries_total") == 20
    assert sum(api.attempts.values()) == 30 + 20


async def test_a_poll_in_which_more_than_twenty_pages_fail_once_fails(clock: FakeClock) -> None:
    api = PagedApi(30, is_first_attempt_of_the_first(21))
    seen = await api.poll(clock)
    assert seen.value("exporter_poll_failures_total", reason="server_error") == 1
    assert seen.value("exporter_api_retries_total") == 20


async def test_a_page_is_requested_four_times(clock: FakeClock) -> None:
    api = PagedApi(1, lambda _, attempt: attempt < 4)
    assert (await api.poll(clock)).value("up") == 1
    assert api.attempts == {0: 4}
    api = PagedApi(1, lambda *_: True)
    seen = await api.poll(FakeClock())
    assert (seen.value("up"), seen.value("exporter_poll_failures_total", reason="server_error")) == (0, 1)
    assert api.attempts == {0: 4}


async def test_the_first_pause_before_a_page_is_requested_again_is_short(clock: FakeClock) -> None:
    assert (await PagedApi(1, lambda _, attempt: attempt == 1).poll(clock)).value("up") == 1
    assert 0 < clock.monotonic() <= INITIAL_BACKOFF_SECONDS


@pytest.mark.parametrize("seconds", [1, 15])
async def test_a_page_is_requested_again_after_the_pause_that_the_api_asks_for(seconds: int, clock: FakeClock) -> None:
    api = PagedApi(1, lambda _, attempt: attempt == 1, status=429, Retry_After=str(seconds))
    seen = await api.poll(clock)
    assert (seen.value("up"), api.attempts) == (1, {0: 2})
    assert seconds <= clock.monotonic() <= seconds + INITIAL_BACKOFF_SECONDS
    assert seen.value("exporter_api_throttle_wait_seconds_total") == pytest.approx(clock.monotonic())


async def test_a_poll_does_not_wait_for_a_page_as_long_as_sixteen_seconds(clock: FakeClock) -> None:
    api = PagedApi(1, lambda _, attempt: attempt == 1, Retry_After="16")
    seen = await api.poll(clock)
    assert (seen.value("up"), api.attempts, clock.monotonic()) == (0, {0: 1}, 0)


@pytest.mark.parametrize("concurrency", [2, 6])
async def test_as_many_pages_as_configured_are_requested_at_the_same_time(concurrency: int, clock: FakeClock) -> None:
    waiting: list[asyncio.Future[None]] = []
    most = 0

    async def page(request: web.Request) -> web.Response:
        nonlocal most
        offset = int(request.query["offset"])
        if offset:
            # No page after the first is answered before the others are requested.
            waiting.append(asyncio.get_running_loop().create_future())
            most = max(most, len(waiting))
            if len(waiting) == concurrency:
                while waiting:
                    waiting.pop().set_result(None)
            else:
                await waiting[-1]
        records = [{"id": f"s{number}"} for number in range(offset, offset + ROWS)]
        return web.json_response({"count": 13 * ROWS, "source_servers": records})

    async with serving(page) as url, exporting(FakeApi(url), clock, api={"concurrency": concurrency}) as service:
        seen = await scrape(service.urls[0])
    assert (seen.value("up"), seen.total("source_servers")) == (1, 13 * ROWS)
    assert most == concurrency
