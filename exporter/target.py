"""One account as it stands now: its last poll, its snapshot, and how long that is believed."""

from dataclasses import dataclass

from exporter.errors import PollError
from exporter.settings import AccountSettings
from exporter.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Poll:
    """One attempt to read the list.

    `started_at` is seconds since the epoch, `duration` seconds; `pages` counts the page requests that
    were asked for, retries not included. `error` is None where the list came complete.
    """

    started_at: float
    duration: float
    pages: int
    error: PollError | None = None


class Target:
    """One account that is polled. Its poller alone writes it; all others read."""

    def __init__(self, account: AccountSettings) -> None:
        self.account = account
        self.last_poll: Poll | None = None
        self.snapshot: Snapshot | None = None

    @property
    def name(self) -> str:
        """The value of the label `account`."""
        return self.account.name

    @property
    def up(self) -> bool:
        """Whether the last poll ended complete."""
        return self.last_poll is not None and self.last_poll.error is None

    def visible(self, now: float) -> Snapshot | None:
        """Give the snapshot to serve at `now`, in seconds since the epoch.

        While polls fail the last one is served for the grace time, and then as the policy says.
        """
        if self.snapshot is None or self.account.poll.stale_policy == "keep":
            return self.snapshot
        return self.snapshot if now - self.snapshot.read_at <= self.account.poll.grace else None
