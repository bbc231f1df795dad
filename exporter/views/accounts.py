"""One row per account: how its last poll ended, and what to do if it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal
from urllib.parse import urlsplit

from exporter.language import Translatable
from exporter.polling.state import Account

AccountStatus = Literal["waiting", "up", "failing"]


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account. `age` is the seconds since the last poll began, `data_age` since its data was read.

    `servers` is None if no recent data exists; `last_data` is then when the last data was read, and `paused_until` when
    polling continues after it was paused, both in seconds since the epoch. `consecutive_failures` counts the
    remembered polls.
    """

    name: str
    region: str
    host: str
    status: AccountStatus
    interval: float
    age: float | None
    duration: float | None
    pages: int
    servers: int | None
    data_age: float | None
    last_data: float | None
    paused_until: float | None
    consecutive_failures: int
    reason: str = ""
    message: str = ""
    hint: Translatable | None = None


def build_account_views(accounts: Sequence[Account], now: float) -> tuple[AccountView, ...]:
    """Return all accounts in the order of the configuration, at `now` in seconds since the epoch."""
    return tuple(_account_view(account, now) for account in accounts)


def _account_view(account: Account, now: float) -> AccountView:
    poll, snapshot = account.state.last_poll, account.served_snapshot(now)
    error = poll.error if poll else None
    return AccountView(
        name=account.name,
        region=account.settings.api.region or "",
        host=urlsplit(account.settings.api.url).hostname or "",
        status="waiting" if poll is None else "failing" if error else "up",
        interval=account.settings.poll.interval,
        age=max(0.0, now - poll.started_at) if poll else None,
        duration=poll.duration if poll else None,
        pages=poll.pages if poll else 0,
        servers=len(snapshot.servers) if snapshot else None,
        last_data=account.state.snapshot.read_at if account.state.snapshot else None,
        paused_until=account.paused_until,
        data_age=max(0.0, now - snapshot.read_at) if snapshot else None,
        consecutive_failures=sum(1 for _ in takewhile(lambda failed: failed.error, reversed(account.state.history))),
        reason=error.reason if error else "",
        message=error.message if error else "",
        hint=error.hint if error else None,
    )
