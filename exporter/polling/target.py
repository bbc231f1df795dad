"""One account as it stands now: its last polls, its snapshot, and how long that is believed."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.errors import PollError
from exporter.polling.snapshot import Snapshot
from exporter.settings import AccountSettings

KEPT_POLLS: Final = 50
"""Polls of an account that are remembered, to be looked at by a person."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """One page as it was asked for, retries and waits included.

    `offset` and `limit` are those of the query, `narrowing` its filters beside the account's own.
    `duration` is seconds. `rows` is None where no page came; `failure` is then the reason, or None
    where the poll ended before the page came.
    """

    offset: int
    limit: int
    narrowing: str
    duration: float
    rows: int | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """One attempt to read the list.

    `started_at` is seconds since the epoch, `duration` seconds; `pages` counts the page requests that
    were asked for, retries not included. `error` is None where the list came complete. `reads` are the
    pages in the order in which they ended.
    """

    started_at: float
    duration: float
    pages: int
    error: PollError | None = None
    reads: tuple[PageRead, ...] = ()


@dataclass(slots=True)
class _Known:
    """What the polls of one list have left."""

    last_poll: Poll | None = None
    history: deque[Poll] = field(default_factory=lambda: deque(maxlen=KEPT_POLLS))
    snapshot: Snapshot | None = None


class Target:
    """One account that is polled. Its poller alone writes it; all others read.

    With `like`, a target of the same list under other options, both know the same, whichever is polled.
    """

    def __init__(self, account: AccountSettings, like: "Target | None" = None) -> None:
        self.account = account
        self._known: _Known = like._known if like else _Known()  # noqa: SLF001 - of its own kind

    @property
    def name(self) -> str:
        """The value of the label `account`."""
        return self.account.name

    @property
    def last_poll(self) -> Poll | None:
        """The poll that ended last."""
        return self._known.last_poll

    @last_poll.setter
    def last_poll(self, poll: Poll | None) -> None:
        self._known.last_poll = poll

    @property
    def history(self) -> Sequence[Poll]:
        """The last polls, the newest last."""
        return self._known.history

    @property
    def snapshot(self) -> Snapshot | None:
        """What the last complete list said."""
        return self._known.snapshot

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot | None) -> None:
        self._known.snapshot = snapshot

    @property
    def up(self) -> bool:
        """Whether the last poll ended complete."""
        return self.last_poll is not None and self.last_poll.error is None

    def remember(self, poll: Poll) -> None:
        """Take over the poll that ended last."""
        if poll.error is not None:
            # What a failure passed through holds whole pages, which must not be kept with it.
            poll.error.__cause__ = poll.error.__context__ = poll.error.__traceback__ = None
        self.last_poll = poll
        self._known.history.append(poll)

    def visible(self, now: float) -> Snapshot | None:
        """Give the snapshot to serve at `now`, in seconds since the epoch.

        While polls fail the last one is served for the grace time, and then as the policy says.
        """
        if self.snapshot is None or self.account.poll.stale_policy == "keep":
            return self.snapshot
        # As long ahead as behind: where the clock was set back, a list must not stay fresh until it is there again.
        return self.snapshot if abs(now - self.snapshot.read_at) <= self.account.poll.grace else None
