"""Waits until the next poll of an account, or the next reading of one of its collectors, is due."""

import asyncio
from collections.abc import Callable
from typing import Final

from exporter.clock import Clock
from exporter.polling.lockout import CredentialsGuard

CREDENTIALS_CHECK_SECONDS: Final = 5.0
"""Interval of the checks whether refused credentials were replaced."""


class Waiting:
    """The time between two polls or readings that use the credentials of `guard`."""

    def __init__(self, clock: Clock, guard: CredentialsGuard) -> None:
        self._clock = clock
        self._guard = guard
        self._sleeping: asyncio.Future[None] | None = None

    async def until_due(self, get_due: Callable[[], float], *, refused: bool) -> bool:
        """Wait until the time that `get_due` returns, in seconds of the monotonic clock.

        Return early, and True, if the credentials were `refused` and have been replaced since the last attempt.
        """
        while (remaining := get_due() - self._clock.monotonic()) > 0:
            await self._sleep(min(remaining, CREDENTIALS_CHECK_SECONDS) if refused else remaining)
            if refused and await self._guard.are_replaced():
                return True
        return False

    def look_again(self) -> None:
        """Let `until_due` find out now what is due: it may have changed."""
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def _sleep(self, seconds: float) -> None:
        self._sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([self._sleeping])
        finally:
            self._sleeping.cancel()
