"""The rate limit of requests."""

import asyncio
from collections import deque
from typing import Final

from exporter.clock import Clock

MARGIN: Final = 1.1
"""By how much the time window is longer: requests arrive later than they are sent, and not all equally late."""


class RateLimit:
    """Lets at most `rate` requests pass in every second, in the order in which they come.

    With less than one request per second there is one in `1 / rate` seconds.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._clock = clock
        self._window = MARGIN * max(1.0, 1.0 / rate)
        self._passed: deque[float] = deque(maxlen=max(1, int(rate)))
        self._queue = asyncio.Lock()

    async def wait(self) -> float:
        """Wait until a request may be sent, and return for how many seconds."""
        queued = self._clock.monotonic()
        async with self._queue:
            if len(self._passed) == self._passed.maxlen:
                await self._clock.sleep(self._passed[0] + self._window - self._clock.monotonic())
            now = self._clock.monotonic()
            self._passed.append(now)
        return now - queued
