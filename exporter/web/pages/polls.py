"""The last polls of each account, for finding out why one was slow or failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.state import Account, PageRead, Poll

SHOWN_POLLS: Final = 10
"""Polls of each account on the page of all; the page of one account has all that are remembered."""
SHOWN_READS: Final = 10
"""Pages shown of a poll: those without an answer, then the slowest."""


@dataclass(frozen=True, slots=True)
class PollView:
    """One poll; `share` is its duration in percent of the longest shown, `reads` the pages worth a look."""

    poll: Poll
    share: float
    reads: tuple[PageRead, ...]
    more_reads: int

    @property
    def rows(self) -> int:
        """Records that its pages had."""
        return sum(read.rows or 0 for read in self.poll.reads)


@dataclass(frozen=True, slots=True)
class AccountPolls:
    """The polls of one account, the newest first, and how many more are remembered."""

    name: str
    polls: tuple[PollView, ...]
    more: int


def polls_view(accounts: Sequence[Account], name: str | None = None) -> tuple[AccountPolls, ...]:
    """Give the last polls of each account, or all that are remembered of one."""
    chosen = [account for account in accounts if name in {None, account.name}]
    most = SHOWN_POLLS if name is None else None
    return tuple(_account_polls(account, most) for account in chosen)


def _account_polls(account: Account, most: int | None) -> AccountPolls:
    newest = tuple(reversed(account.state.history))
    shown = newest[:most]
    longest = max((poll.duration for poll in shown), default=0.0)
    views = tuple(_poll_view(poll, longest) for poll in shown)
    return AccountPolls(account.name, views, len(newest) - len(shown))


def _poll_view(poll: Poll, longest: float) -> PollView:
    reads = sorted(poll.reads, key=lambda read: (read.rows is not None, -read.duration))
    share = 100 * poll.duration / longest if longest else 0.0
    return PollView(poll, share, tuple(reads[:SHOWN_READS]), max(0, len(reads) - SHOWN_READS))
