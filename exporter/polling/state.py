"""What the polls of an account have learned, and the account that is served: settings and state together."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.auth import Credentials
from exporter.errors import PollError
from exporter.polling.migrations import Migrations
from exporter.polling.progress import ProgressHistory
from exporter.polling.snapshot import Details, Snapshot
from exporter.settings import NO_DETAILS, AccountSettings, DetailSettings

STALE_DETAILS: Final = 3
"""Number of intervals after which what a collector read of another list is no longer served."""

MAX_POLLS: Final = 50
"""Number of polls that an account remembers, for the page of polls."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """One request for a page, retries and waits included.

    `offset` and `limit` are those of the query, `narrowing` its filters beside the account's own.
    `duration` is in seconds. `rows` is None if no page came; `failure` is then the reason, or None if
    the poll ended before the page came.
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

    `started_at` is in seconds since the epoch, `duration` in seconds. `pages` is the number of pages requested,
    retries not included. `error` is None if the list was complete. `reads` are the pages in the order in which
    they ended.
    """

    started_at: float
    duration: float
    pages: int
    error: PollError | None = None
    reads: tuple[PageRead, ...] = ()

    @property
    def ended_at(self) -> float:
        """When it ended, in seconds since the epoch."""
        return self.started_at + self.duration


@dataclass(frozen=True, slots=True)
class CollectorState:
    """What a collector that reads another list knows: its last complete reading, and the error of a later one."""

    details: Details | None = None
    error: PollError | None = None

    @property
    def up(self) -> bool:
        """Whether the last reading was complete."""
        return self.details is not None and self.error is None


NOT_READ: Final = CollectorState()
"""The state of a collector before its first reading has ended."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How the state of an account is saved.

    `restored` is True if it began with what an earlier process saved. `up` is whether the last attempt to save it
    succeeded, None before the first. `written_at` is when it was last saved, in seconds since the epoch.
    """

    restored: bool = False
    up: bool | None = None
    written_at: float | None = None


@dataclass(slots=True, eq=False)
class AccountState:
    """What the polls of one list have learned. The account's poller writes it, and its readers of other lists.

    `history` has the last polls, the newest last. `snapshot` is of the last complete list, `progress` of those
    before it. `next_poll_at` is when the next poll is due, in seconds since the epoch, None before the first poll
    has ended. `undocumented_logged_at` is when an undocumented value, by (field, value), was last logged.
    `collectors` has the collectors that read other lists, by name, and `logged` what each of them has logged, such
    as (id of a server, error code). `migrations` is the record of finished and failed migrations, and `persistence`
    how the state is saved; both are None if it is not. Whoever replaces `snapshot` or `migrations` holds
    `publishing` from the moment at which it reads the previous one.
    """

    history: deque[Poll] = field(default_factory=lambda: deque(maxlen=MAX_POLLS))
    snapshot: Snapshot | None = None
    progress: ProgressHistory = field(default_factory=ProgressHistory)
    next_poll_at: float | None = None
    undocumented_logged_at: dict[tuple[str, str], float] = field(default_factory=dict)
    collectors: dict[str, CollectorState] = field(default_factory=dict)
    logged: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    migrations: Migrations | None = None
    persistence: Persistence | None = None
    publishing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def last_poll(self) -> Poll | None:
        """The poll that ended last."""
        return self.history[-1] if self.history else None

    @property
    def up(self) -> bool:
        """Whether the last poll read a complete list."""
        return self.last_poll is not None and self.last_poll.error is None

    def record(self, poll: Poll) -> None:
        """Add the poll that ended last."""
        if poll.error is not None:
            # The frames and causes of an error refer to whole pages, which would be kept with it.
            poll.error.__cause__ = poll.error.__context__ = poll.error.__traceback__ = None
        self.history.append(poll)


@dataclass(frozen=True, slots=True)
class Account:
    """One account as one configuration has it. After a reload another one may share its state.

    `credentials` is None if the account is not polled. `details` says which other lists are read, and how often.
    """

    settings: AccountSettings
    state: AccountState = field(default_factory=AccountState)
    credentials: Credentials | None = None
    details: DetailSettings = NO_DETAILS

    @property
    def name(self) -> str:
        """The value of the label `account`."""
        return self.settings.name

    @property
    def details_interval(self) -> float:
        """The interval at which other lists are read, in seconds."""
        return self.settings.poll.interval * self.details.polls

    @property
    def details_timeout(self) -> float:
        """The time in seconds that a collector may take to read other lists."""
        return self.settings.poll.timeout * self.details.polls

    @property
    def paused_until(self) -> float | None:
        """When the next poll is due, in seconds since the epoch, if a failure delays it beyond the interval."""
        poll, next_poll = self.state.last_poll, self.state.next_poll_at
        if poll is None or poll.error is None or next_poll is None:
            return None
        return next_poll if next_poll - poll.ended_at > self.settings.poll.interval + 1 else None

    def collector_state(self, collector: str) -> CollectorState:
        """Return the state of a collector that reads another list."""
        return self.state.collectors.get(collector, NOT_READ)

    def served_details(self, now: float) -> Mapping[str, Details]:
        """Return what other lists had at `now`, by collector, without what is older than STALE_DETAILS intervals."""
        if not self.details.collectors:
            return MappingProxyType({})
        max_age = STALE_DETAILS * self.details_interval
        details = {name: self.collector_state(name).details for name in self.details.collectors}
        return {name: each for name, each in details.items() if each and abs(now - each.read_at) <= max_age}

    def served_snapshot(self, now: float) -> Snapshot | None:
        """Return the snapshot to serve at `now`, in seconds since the epoch; None if it is too old.

        While polls fail, the last snapshot is served until it is stale and then as the policy says.
        """
        snapshot = self.state.snapshot
        if snapshot is None or self.settings.poll.stale_policy == "keep":
            return snapshot
        # In both directions: after the clock was set back, a snapshot must not stay fresh until the clock catches up.
        return snapshot if abs(now - snapshot.read_at) <= self.settings.poll.stale_after else None
