"""Keeps refused credentials from being sent again, for all accounts that share them.

The API counts refusals per access key, not per account: more than five in a row lock the key for 300 seconds, and wrong
passwords lock a user. So one account at a time tries credentials that have not been accepted yet, and a refusal is a
refusal for every account with the same fingerprint.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import Final, TypeAlias

from exporter.clock import Clock
from exporter.errors import AuthError, PermissionDenied

BACKOFF_SECONDS: Final = 300.0
"""Pause after a refusal, doubled at each further refusal in a row."""

MAX_BACKOFF_SECONDS: Final = 3600.0
"""Longest pause after a refusal."""

TRIAL_SECONDS: Final = 5.0
"""Time in which other accounts wait for the first response to credentials that they share: a hanging API must not
delay them for longer."""

MIN_TRIAL_SECONDS: Final = 0.5
"""The wait is halved after each trial without a response, down to this, so that many accounts whose API hangs do not
delay a healthy one for long. An API that refuses answers sooner."""

MAX_FINGERPRINTS: Final = 1000
"""Number of fingerprints that are remembered; rotated secrets leave theirs behind."""

_MAX_DOUBLINGS: Final = ceil(MAX_BACKOFF_SECONDS / BACKOFF_SECONDS).bit_length()
"""Further doublings exceed the maximum anyway; unbounded they would overflow a float after 1,024 refusals."""


Fingerprint: TypeAlias = Callable[[], Awaitable[str | None]]
"""Returns a digest of the credentials that would be used now, or None if they cannot be read."""

Accept: TypeAlias = Callable[[], None]
"""Reports that the API has accepted the credentials."""


def backoff(refusals: int) -> float:
    """Return the seconds to wait after the n-th refusal in a row."""
    return min(BACKOFF_SECONDS * 2.0 ** min(refusals - 1, _MAX_DOUBLINGS), MAX_BACKOFF_SECONDS)


@dataclass(slots=True, eq=False)
class _Credentials:
    """What the API has answered to credentials.

    `trial` is set when a first response has come; `unanswered` is the number of trials in a row without one.
    """

    accepted: bool = False
    refusals: int = 0
    refusal: AuthError | None = None
    blocked_until: float = -inf
    trial: asyncio.Event | None = None
    unanswered: int = 0


class Lockout:
    """What the API has answered to the credentials of all accounts, by their fingerprint."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._credentials: dict[str, _Credentials] = {}

    @contextlib.asynccontextmanager
    async def attempt(self, fingerprint: str | None) -> AsyncIterator[Accept]:
        """Send requests with credentials in the context; call the value once a response has accepted them.

        Raise AuthError if they were refused and the pause has not passed. An AuthError that leaves the context counts
        as a refusal, and gets the pause as its `retry_after`. Without a fingerprint nothing can be sent.
        """
        if fingerprint is None:
            yield lambda: None
            return
        credentials = self._find(fingerprint)
        trial = await self._admit(credentials)
        refusals = credentials.refusals

        def accept() -> None:
            # A response to a request that was sent before a refusal does not revoke the refusal.
            if credentials.refusals == refusals:
                credentials.accepted, credentials.refusals, credentials.unanswered = True, 0, 0
            if trial:
                trial.set()

        try:
            yield accept
            accept()
        except AuthError as error:
            self._refuse(credentials, error)
            raise
        except PermissionDenied:
            accept()
            raise
        finally:
            self._end(credentials, trial)

    def _find(self, fingerprint: str) -> _Credentials:
        credentials = self._credentials.pop(fingerprint, None) or _Credentials()
        self._credentials[fingerprint] = credentials
        if len(self._credentials) > MAX_FINGERPRINTS:
            del self._credentials[next(iter(self._credentials))]
        return credentials

    async def _admit(self, credentials: _Credentials) -> asyncio.Event | None:
        """Wait until the credentials may be sent. Return the event of the trial, if this is to be one."""
        while not credentials.accepted:
            rest = credentials.blocked_until - self._clock.monotonic()
            if rest > 0 and credentials.refusal is not None:
                raise _not_sent(credentials.refusal, rest)
            if credentials.trial is None:
                credentials.trial = asyncio.Event()
                return credentials.trial
            await self._wait(credentials, credentials.trial)
        return None

    async def _wait(self, credentials: _Credentials, trial: asyncio.Event) -> None:
        seconds = max(TRIAL_SECONDS / 2.0 ** min(credentials.unanswered, _MAX_DOUBLINGS), MIN_TRIAL_SECONDS)
        waits = [asyncio.ensure_future(trial.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if credentials.trial is trial and not trial.is_set():
            credentials.unanswered += 1
        self._end(credentials, trial)

    def _refuse(self, credentials: _Credentials, error: AuthError) -> None:
        now = self._clock.monotonic()
        credentials.accepted, credentials.refusal = False, error
        if now >= credentials.blocked_until:
            credentials.refusals += 1
            credentials.blocked_until = now + backoff(credentials.refusals)
        error.retry_after = credentials.blocked_until - now

    def _end(self, credentials: _Credentials, trial: asyncio.Event | None) -> None:
        """End a trial, whatever came of it, so that the next account can try."""
        if trial is not None:
            trial.set()
            if credentials.trial is trial:
                credentials.trial = None


def _not_sent(refusal: AuthError, rest: float) -> AuthError:
    return AuthError(
        f"credentials not sent again so soon after their refusal: {refusal.message}",
        hint=refusal.hint,
        status=refusal.status,
        code=refusal.code,
        retry_after=rest,
    )


class CredentialsGuard:
    """The credentials of one account, which `lockout` may share with others."""

    def __init__(self, lockout: Lockout, fingerprint: Fingerprint) -> None:
        self._lockout = lockout
        self._fingerprint = fingerprint
        self._used: str | None = None

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[Accept]:
        """Send requests with the credentials in the context, as in `Lockout.attempt`."""
        self._used = await self._fingerprint()
        async with self._lockout.attempt(self._used) as accept:
            yield accept

    async def are_replaced(self) -> bool:
        """Return whether the credentials differ from those of the last attempt."""
        return await self._fingerprint() not in (None, self._used)
