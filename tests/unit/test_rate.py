import asyncio

import pytest

from exporter.sms.client import RateLimit


class PatientClock:
    """Time that advances by what is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


async def pass_all(rate: float, requests: int) -> tuple[list[float], list[float]]:
    """Return when that many concurrent requests may be sent, and how long each of them waited."""
    clock = PatientClock()
    limit = RateLimit(rate, clock)
    times: list[float] = []

    async def request() -> float:
        waited = await limit.wait()
        times.append(clock.now)
        return waited

    waits = await asyncio.gather(*(request() for _ in range(requests)))
    return times, waits


@pytest.mark.parametrize("rate", [1, 2.5, 20])
async def test_no_second_has_more_requests_than_allowed(rate: float) -> None:
    times, _ = await pass_all(rate, 100)
    assert all(sum(start <= time <= start + 1 for time in times) <= rate for start in times)


async def test_requests_that_wait_use_the_whole_rate_and_return_how_long_they_waited() -> None:
    times, waits = await pass_all(20, 60)
    assert times == [0] * 20 + [pytest.approx(1.1)] * 20 + [pytest.approx(2.2)] * 20
    assert max(waits) == pytest.approx(1.1)


async def test_a_rate_below_one_is_one_request_in_several_seconds() -> None:
    times, _ = await pass_all(0.5, 3)
    assert times == [0, pytest.approx(2.2), pytest.approx(4.4)]
