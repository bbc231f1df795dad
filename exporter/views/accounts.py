"""Each account as its polls left it: how it stands, and what to do where they fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from exporter.polling.state import Account

Condition = Literal["waiting", "up", "failing"]


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account. `age` is the seconds since the last poll began, `data_age` since the list was read.

    `servers` is None where no list is served. `failed_in_a_row` counts the polls remembered.
    """

    name: str
    region: str
    host: str
    condition: Condition
    interval: float
    age: float | None
    duration: float | None
    pages: int
    servers: int | None
    data_age: float | None
    failed_in_a_row: int
    reason: str = ""
    message: str = ""
    hint: str = ""


def account_views(accounts: Sequence[Account], now: float) -> tuple[AccountView, ...]:
    """Give all accounts in the order of the configuration, at `now` in seconds since the epoch."""
    return tuple(_account_view(account, now) for account in accounts)


def _account_view(account: Account, now: float) -> AccountView:
    poll, snapshot = account.state.last_poll, account.served_snapshot(now)
    error = poll.error if poll else None
    return AccountView(
        name=account.name,
        region=account.settings.api.region or "",
        host=urlsplit(account.settings.api.url).hostname or "",
        condition="waiting" if poll is None else "failing" if error else "up",
        interval=account.settings.poll.interval,
        age=max(0.0, now - poll.started_at) if poll else None,
        duration=poll.duration if poll else None,
        pages=poll.pages if poll else 0,
        servers=len(snapshot.servers) if snapshot else None,
        data_age=max(0.0, now - snapshot.read_at) if snapshot else None,
        failed_in_a_row=_failed_in_a_row(account),
        reason=error.reason if error else "",
        message=error.message if error else "",
        hint=error.hint if error else "",
    )


def _failed_in_a_row(account: Account) -> int:
    failed = 0
    for poll in reversed(account.state.history):
        if poll.error is None:
            break
        failed += 1
    return failed
