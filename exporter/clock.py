"""The clock, passed in wherever time is needed so that no test has to wait."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The interface of a clock. All times are in seconds."""

    def time(self) -> float:
        """Return the seconds since the epoch."""

    def monotonic(self) -> float:
        """Return a time that never goes back and is not affected by setting the wall clock."""

    async def sleep(self, seconds: float) -> None:
        """Wait; return at once if `seconds` is not positive."""


class SystemClock:
    """The clocks of the machine."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return a time that never goes back and is not affected by setting the wall clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; return at once if `seconds` is not positive."""
        await asyncio.sleep(max(0.0, seconds))
