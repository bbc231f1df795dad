"""When an account is polled next: pure functions of the interval, the failures and the monotonic clock."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from exporter.errors import AuthError, PermissionDenied, PollError

AUTH_BACKOFF_SECONDS: Final = 300.0
"""Pause after refused credentials, doubled at each further refusal: more than five refusals in a row lock
an access key for 300 seconds, and wrong passwords lock a user."""

MAX_BACKOFF_SECONDS: Final = 3600.0
"""Longest pause, also if the API asks for a longer one."""

_MAX_DOUBLINGS: Final = ceil(MAX_BACKOFF_SECONDS / AUTH_BACKOFF_SECONDS).bit_length()
"""Further doublings exceed the maximum anyway; unbounded they would overflow a float after 1,024 refusals."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of an account's polls, in seconds of the monotonic clock.

    The next poll is due at `due`, the last one was due at `previous_due`. No poll is due before `earliest`.
    `refusals` counts the refusals of the credentials since the API last accepted them.
    """

    interval: float
    due: float
    previous_due: float = 0.0
    earliest: float = 0.0
    refusals: int = 0

    def after_poll(self, error: PollError | None, now: float) -> "Schedule":
        """Return the schedule after the poll that was due has ended at `now`.

        The interval counts from the start of the first poll; the times that a long poll overran are skipped.
        """
        refusals = self.refusals
        if isinstance(error, AuthError):
            refusals += 1
        elif error is None or isinstance(error, PermissionDenied):
            refusals = 0
        earliest = now + _pause(error, refusals)
        due = _next_due(self.due, self.interval, earliest)
        return Schedule(self.interval, due, previous_due=self.due, earliest=earliest, refusals=refusals)

    def with_interval(self, interval: float, now: float) -> "Schedule":
        """Return the schedule with another interval, counted from the last poll. A poll that is due stays due."""
        due = self.due if self.due <= now else _next_due(self.previous_due, interval, max(self.earliest, now))
        return replace(self, interval=interval, due=due)

    def due_at(self, now: float) -> "Schedule":
        """Return the schedule with the next poll at `now`, from which the interval counts."""
        return replace(self, due=now)


def _pause(error: PollError | None, refusals: int) -> float:
    """Return the seconds after a poll in which there must be no other."""
    if isinstance(error, AuthError):
        return min(AUTH_BACKOFF_SECONDS * 2.0 ** min(refusals - 1, _MAX_DOUBLINGS), MAX_BACKOFF_SECONDS)
    return min(error.retry_after or 0.0, MAX_BACKOFF_SECONDS) if error is not None else 0.0


def _next_due(previous_due: float, interval: float, earliest: float) -> float:
    """Return the first multiple of `interval` after `previous_due` that is not before `earliest`."""
    due = previous_due + interval
    return due + interval * max(0, ceil((earliest - due) / interval))
