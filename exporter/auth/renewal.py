"""What expires and is renewed in time: one piece of logic for tokens and temporary keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from exporter.clock import Clock
from exporter.errors import PollError

T = TypeVar("T")

LONGEST_MARGIN: Final = 3600.0
"""Seconds before its end that a value is renewed; a fifth of its life where that is less."""

UNTOLD_LIFE: Final = 300.0
"""Seconds that a new value is used for, by the monotonic clock, where the other clock says that it has ended."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """A value and its end, in seconds since the epoch."""

    value: T
    expires_at: float


@dataclass(frozen=True, slots=True)
class Term:
    """When a value expires and when it is due to be renewed, in seconds since the epoch.

    Nobody knows when one is due that had ended by this machine's clock when it was new.
    """

    expires_at: float
    renewal_due_at: float | None


class Renewed(Generic[T]):
    """A value that `obtain` gives for a time; whoever asks together waits for one renewal."""

    def __init__(self, obtain: Callable[[], Awaitable[Lease[T]]], clock: Clock) -> None:
        self._obtain = obtain
        self._clock = clock
        self._lease: Lease[T] | None = None
        self._due_at: float | None = None
        self._renew_at = 0.0
        self._used_until = 0.0
        self._ended_when_new = False
        self._renewing = asyncio.Lock()

    @property
    def term(self) -> Term | None:
        """That of the value in use; None before the first."""
        return Term(self._lease.expires_at, self._due_at) if self._lease else None

    async def get(self) -> T:
        """Give the value, renewed where its end is near; while it is valid a failed renewal is no failure."""
        if (value := self._fresh()) is not None:
            return value
        async with self._renewing:
            if (value := self._fresh()) is not None:
                return value
            now = self._clock.time()
            try:
                self._lease = await self._obtain()
            except PollError as error:
                if self._lease is None or now >= self._lease.expires_at:
                    raise
                log.warning("credentials could not be renewed yet", err=error.message, **error.facts())
                self._renew_at = (now + self._lease.expires_at) / 2
            else:
                self._schedule(self._lease.expires_at, now)
            return self._lease.value

    def _schedule(self, expires_at: float, now: float) -> None:
        """Decide when the value that is new at `now` is renewed."""
        life = expires_at - now
        self._renew_at = expires_at - min(LONGEST_MARGIN, max(0.0, life) / 5)
        told, self._ended_when_new = self._ended_when_new, life <= 0
        # Who gave it believes it valid: to ask again for each request would give no better one.
        self._used_until = self._clock.monotonic() + UNTOLD_LIFE if self._ended_when_new else 0.0
        self._due_at = None if self._ended_when_new else self._renew_at
        if self._ended_when_new and not told:
            log.warning("new credentials have ended by this machine's clock", hint="set this machine's clock (NTP)")

    def _fresh(self) -> T | None:
        if self._lease is None:
            return None
        fresh = self._clock.time() < self._renew_at or self._clock.monotonic() < self._used_until
        return self._lease.value if fresh else None

    def drop(self, value: T) -> None:
        """Forget `value` because it was refused; a newer one stays."""
        if self._lease is not None and self._lease.value == value:
            self._lease = None
