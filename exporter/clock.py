"""Time as something passed in, so that no test has to wait for it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the exporter asks of time. All figures are seconds."""

    def time(self) -> float:
        """Give the seconds since the epoch."""

    def monotonic(self) -> float:
        """Give a reading that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all where `seconds` is not positive."""


class SystemClock:
    """The machine's own time."""

    def time(self) -> float:
        """Give the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Give a reading that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; not at all where `seconds` is not positive."""
        await asyncio.sleep(max(0.0, seconds))
