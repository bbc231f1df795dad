"""The recent polls of each account: find out why one was slow or failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.state import Account, PageRead, Poll

MAX_SHOWN_POLLS: Final = 10
"""Polls shown per account on the page of all accounts; the page of one account shows all that are kept."""
MAX_SHOWN_READS: Final = 10
"""Page requests shown per poll: failed ones first, then the slowest."""


@dataclass(frozen=True, slots=True)
class PollView:
    """One poll. `share` is its duration in percent of the longest poll shown; `more_reads` are not shown."""

    poll: Poll
    share: float
    reads: tuple[PageRead, ...]
    more_reads: int

    @property
    def rows(self) -> int:
        """The number of records on its pages."""
        return sum(read.rows or 0 for read in self.poll.reads)


@dataclass(frozen=True, slots=True)
class AccountPolls:
    """The polls of one account, the newest first, and the number of those that are not shown."""

    name: str
    polls: tuple[PollView, ...]
    more: int


def build_polls_view(accounts: Sequence[Account], maximum: int | None = MAX_SHOWN_POLLS) -> Sequence[AccountPolls]:
    """Return the last polls of each account; all that are kept without a maximum."""
    return [_account_polls(account, maximum) for account in accounts]


def _account_polls(account: Account, maximum: int | None) -> AccountPolls:
    newest = tuple(reversed(account.state.history))
    shown = newest[:maximum]
    longest = max((poll.duration for poll in shown), default=0.0)
    views = tuple(_poll_view(poll, longest) for poll in shown)
    return AccountPolls(account.name, views, len(newest) - len(shown))


def _poll_view(poll: Poll, longest: float) -> PollView:
    reads = sorted(poll.reads, key=lambda read: (read.rows is not None, -read.duration))
    share = 100 * poll.duration / longest if longest else 0.0
    return PollView(poll, share, tuple(reads[:MAX_SHOWN_READS]), max(0, len(reads) - MAX_SHOWN_READS))
