"""When an account is polled next: pure functions of the interval, the failures and the monotonic clock."""

from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from typing import Final

from exporter.errors import AuthError, PollError
from exporter.polling.lockout import BACKOFF_SECONDS

MAX_PAUSE_SECONDS: Final = 3600.0
"""Longest pause after a failed poll, also if the API asks for a longer one."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of an account's polls, in seconds of the monotonic clock.

    The next poll is due at `due`; the interval counts from `previous_due`. No poll is due before `earliest`. `shift`
    moves the poll after next and all later ones.
    """

    interval: float
    due: float
    shift: float = 0.0
    previous_due: float = 0.0
    earliest: float = 0.0

    def after_poll(self, error: PollError | None, now: float) -> "Schedule":
        """Return the schedule after the poll that was due has ended at `now`.

        The interval counts from the start of the first poll; the times that a long poll overran are skipped.
        """
        earliest = now + _pause(error)
        previous_due = self.due + self.shift
        due = _next_due(previous_due, self.interval, earliest)
        return Schedule(self.interval, due, previous_due=previous_due, earliest=earliest)

    def with_interval(self, interval: float, now: float) -> "Schedule":
        """Return the schedule with another interval, counted from the last poll. A poll that is due stays due."""
        due = self.due if self.due <= now else _next_due(self.previous_due, interval, max(self.earliest, now))
        return replace(self, interval=interval, due=due)

    def due_at(self, now: float) -> "Schedule":
        """Return the schedule with the next poll at `now`, from which the interval counts."""
        return replace(self, due=now)


def spread(name: str, interval: float) -> float:
    """Return the shift of the account `name`, at most an interval earlier.

    It is the same after every start. Accounts that start together so do not keep polling at the same instant. A later
    second poll could let the data of the first become stale.
    """
    fraction = int.from_bytes(sha256(name.encode()).digest()[:4]) / 2**32
    return -interval * fraction


def _pause(error: PollError | None) -> float:
    """Return the seconds after a poll in which there must be no other."""
    if error is None:
        return 0.0
    default = BACKOFF_SECONDS if isinstance(error, AuthError) else 0.0
    return min(default if error.retry_after is None else error.retry_after, MAX_PAUSE_SECONDS)


def _next_due(previous_due: float, interval: float, earliest: float) -> float:
    """Return the first multiple of `interval` after `previous_due` that is not before `earliest`."""
    due = previous_due + interval
    return due + interval * max(0, ceil((earliest - due) / interval))
