"""What is issued for a limited time and renewed before it expires: tokens and temporary access keys."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, Protocol, TypeVar

from exporter.auth.secret import digest
from exporter.clock import Clock
from exporter.errors import BadResponse, PollError, RequestTimeout
from exporter.http.foreign_text import clean_text
from exporter.language import Translatable
from exporter.logs import get_logger

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_RENEWAL_MARGIN_SECONDS: Final = 3600.0
"""How long before its end a value is renewed; a fifth of its life if that is less."""

RENEWAL_TIMEOUT_SECONDS: Final = 20.0
"""How long a renewal may take, all its requests together."""

EXPIRED_WHEN_NEW_SECONDS: Final = 300.0
"""How long, by the monotonic clock, a new value is used that has expired already by the other clock."""

EXPIRY_YEARS: Final = (2000, 2100)
"""The years in which a value can expire; any other date is a mistake."""

_NEVER: Final = float("-inf")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lease(Generic[T_co]):
    """A value and its end, in seconds since the epoch."""

    value: T_co
    expires_at: float


def parse_expiry(service: Translatable, text: str) -> float:
    """Return when a value of `service` expires, in seconds since the epoch; a time without a zone is UTC.

    Raise BadResponse if it is not a plausible date.
    """
    try:
        expiry = datetime.fromisoformat(text)
    except ValueError:
        expiry = datetime.min.replace(tzinfo=UTC)
    if not EXPIRY_YEARS[0] <= expiry.year <= EXPIRY_YEARS[1]:
        raise BadResponse(
            f"{service} sent an expiry that is not a plausible date: {clean_text(text, max_characters=40)!r}",
            hint=Translatable(
                "check that the answers come from %(service)s, and the clock of that machine", service=service
            ),
        )
    return expiry.replace(tzinfo=expiry.tzinfo or UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Term:
    """When a value expires and when it is due to be renewed, in seconds since the epoch.

    The renewal time is unknown if the value had expired by this machine's clock when it was new.
    """

    expires_at: float
    renewal_due_at: float | None


@dataclass(slots=True)
class _Current(Generic[T]):
    """The value in use. It is fresh until `renew_at` (seconds since the epoch) or `used_until` (monotonic clock)."""

    lease: Lease[T]
    renewal_due_at: float | None
    renew_at: float
    used_until: float


class Issuer(Protocol[T_co]):
    """A service that issues tokens or temporary keys."""

    @property
    def source(self) -> Translatable:
        """Which service it is and what it issues, in words for a log line."""

    async def issue(self) -> Lease[T_co]:
        """Return a new value. Raise AuthError if the service refuses, and the errors of the transport."""

    async def identity(self) -> tuple[str, ...]:
        """Return what decides which values are issued: the service's address and what it is asked with.

        Raise AuthError if that cannot be read.
        """


class RenewingProvider(Generic[T]):
    """Provides what `issuer` issues, renewed before it expires.

    One renewal is in progress at most, and all that need its result wait for it. While the current value is
    valid nobody waits: it is renewed in the background, and a failed renewal is only logged.
    """

    def __init__(self, issuer: Issuer[T], clock: Clock, timeout: float = RENEWAL_TIMEOUT_SECONDS) -> None:
        self._issuer = issuer
        self._clock = clock
        self._timeout = timeout
        self._current: _Current[T] | None = None
        self._expired_when_new = False
        self._renewal: asyncio.Task[Lease[T]] | None = None

    @property
    def source(self) -> Translatable:
        """The words of the issuer."""
        return self._issuer.source

    @property
    def term(self) -> Term | None:
        """The term of the value in use; None before the first."""
        current = self._current
        return Term(current.lease.expires_at, current.renewal_due_at) if current else None

    async def get(self) -> T:
        """Return a valid value. Raise what the issuer raises if there is none."""
        current = self._current
        if current is not None:
            if self._clock.time() < current.renew_at or self._clock.monotonic() < current.used_until:
                return current.lease.value
            if self._clock.time() < current.lease.expires_at:
                self._start_renewal()
                return current.lease.value
        return (await self._renewed()).value

    async def renew(self, refused: T) -> bool:
        """Replace the value if it is `refused`, and return whether there is now another one."""
        if self._current is not None and self._current.lease.value == refused:
            self._current = None
        return await self.get() != refused

    async def fingerprint(self) -> str:
        """Return a digest of what the issuer is asked with. Raise AuthError if that cannot be read."""
        return digest(await self._issuer.identity())

    async def close(self) -> None:
        """Cancel a renewal that is in progress."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renewed(self) -> Lease[T]:
        """Return the result of the renewal in progress, or of a new one."""
        # A caller that is cancelled must not cancel the renewal: others wait for it.
        return await asyncio.shield(self._start_renewal())

    def _start_renewal(self) -> asyncio.Task[Lease[T]]:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._end_renewal)
        return self._renewal

    def _end_renewal(self, renewal: asyncio.Task[Lease[T]]) -> None:
        self._renewal = None
        error = None if renewal.cancelled() else renewal.exception()
        # Nobody may be waiting for it. What the issuer raises is logged by the caller, or was logged already.
        if error is not None and not isinstance(error, PollError):
            log.error("credentials could not be renewed: a defect of the exporter", exc_info=error)

    async def _renew(self) -> Lease[T]:
        now = self._clock.time()
        try:
            async with asyncio.timeout(self._timeout):
                lease = await self._issuer.issue()
        except TimeoutError:
            error: PollError = RequestTimeout(
                f"there were no new credentials within {self._timeout:g} seconds: {self.source}"
            )
            self._postpone(error, now)
            raise error from None
        except PollError as failure:
            self._postpone(failure, now)
            raise
        self._accept(lease, now)
        return lease

    def _postpone(self, error: PollError, now: float) -> None:
        """Try again halfway to the end of the value, if it is still valid."""
        if self._current is not None and now < self._current.lease.expires_at:
            log.warning("credentials could not be renewed yet", err=error.message, **error.facts())
            self._current.renew_at = (now + self._current.lease.expires_at) / 2

    def _accept(self, lease: Lease[T], now: float) -> None:
        """Use the value from now on, and decide when it is renewed."""
        life = lease.expires_at - now
        logged, self._expired_when_new = self._expired_when_new, life <= 0
        renew_at = lease.expires_at - min(MAX_RENEWAL_MARGIN_SECONDS, life / 5)
        if self._expired_when_new:
            # The issuer believes that the value is valid: another one for each request would not be better.
            self._current = _Current(lease, None, renew_at, self._clock.monotonic() + EXPIRED_WHEN_NEW_SECONDS)
        else:
            self._current = _Current(lease, renew_at, renew_at, _NEVER)
        if self._expired_when_new and not logged:
            log.warning("new credentials have expired by this machine's clock", hint="set this machine's clock (NTP)")
