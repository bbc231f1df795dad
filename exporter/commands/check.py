"""`check`: whether the configuration can be used, and with `--live` whether the API lets each account in."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pydantic import Field

from exporter.auth import Credentials
from exporter.auth.renewal import Term
from exporter.commands.reading import OnceSettings
from exporter.errors import ConfigurationError, PollError, RequestTimeout
from exporter.http.api_errors import read_http_date
from exporter.http.transport import Api, Response
from exporter.polling.connections import Runtime, account_client
from exporter.settings import AccountSettings, Settings
from exporter.sms.client import RetryBudget, SourcesClient
from exporter.sms.decoding import Records
from exporter.sms.paging import LIMIT
from exporter.views.formatting import escape_unprintable, format_duration, format_latency, format_time

DESCRIPTION: Final = (
    "Checks the configuration and tells where each account is polled and what it authenticates with. "
    "With --live it also authenticates and reads the first page of each account's list."
)
STATUSES: Final = MappingProxyType(
    {
        0: "All is well.",
        1: "The API did not let an account in, or gave no page.",
        2: "The configuration cannot be used, or an account has no credentials.",
    },
)

COLUMN: Final = 15
"""Where a fact begins behind its name."""
NOTICED: Final = 2.0
"""Seconds of clock skew from which it is one: the API tells its time in whole seconds."""


class CheckSettings(OnceSettings):
    """Options of a check."""

    live: bool = Field(False, description="Ask the API too: authenticate, and read one page of each account.")


@dataclass(frozen=True)
class Finding:
    """What a check found of one account.

    `count` is the API's number of servers and `rows` what the page had, `latency` seconds from sending the
    request to its last byte, `skew` seconds by which this machine's clock is ahead of the API's; None where
    the API was not asked or did not tell. `usable` is False where the configuration itself is at fault.
    """

    account: AccountSettings
    source: str = ""
    term: Term | None = None
    count: int | None = None
    rows: int | None = None
    latency: float | None = None
    skew: float | None = None
    error: PollError | None = None
    usable: bool = True

    @property
    def status(self) -> int:
        """The exit status that it asks for."""
        return 0 if self.error is None else 1 if self.usable else 2

    def lines(self) -> Iterator[str]:
        """Tell it as a report: the account and how it stands, then a fact a line."""
        condition = "ok" if self.error is None else f"failed ({self.error.reason})"
        yield f"account {self.account.name}: {condition}"
        api = self.account.api
        yield _fact("endpoint", f"{api.url} ({api.region})" if api.region and not api.endpoint else api.url)
        if self.source:
            until = f", until {format_time(self.term.expires_at)} UTC" if self.term else ""
            yield _fact("credentials", f"{self.source}{until}")
        if self.count is not None:
            whole = "" if self.rows == self.count else f", {self.rows} of them on the first page"
            yield _fact("servers", f"{self.count}{whole}")
        if self.latency is not None:
            yield _fact("answered in", format_latency(self.latency))
        if self.skew is not None:
            yield _fact("clock", _skew(self.skew))
        if self.error is not None:
            yield _fact("error", escape_unprintable(self.error.message))
            if self.error.request_id:
                yield _fact("request id", escape_unprintable(self.error.request_id))
            yield _fact("what to do", self.error.hint)


async def check(settings: Settings, runtime: Runtime, *, live: bool) -> Sequence[Finding]:
    """Check all accounts at the same time, and give a finding for each."""
    return await asyncio.gather(*(_check_account(account, runtime, live=live) for account in settings.targets()))


async def _check_account(account: AccountSettings, runtime: Runtime, *, live: bool) -> Finding:
    heard = _Ear(runtime)
    try:
        async with account_client(account, heard, runtime) as (client, credentials):
            finding = Finding(account, credentials.source)
            return await _ask(finding, client, credentials, heard) if live else finding
    except ConfigurationError as error:
        if not isinstance(error.__cause__, PollError):
            raise
        return Finding(account, error=error.__cause__, usable=False)


async def _ask(finding: Finding, client: SourcesClient, credentials: Credentials, heard: "_Ear") -> Finding:
    """Read the first page; a failure is told at once, not retried."""
    timeout = finding.account.poll.timeout
    try:
        async with asyncio.timeout(timeout):
            page = Records().page(await client.page(0, LIMIT, {}, RetryBudget(0)))
        finding = replace(finding, count=page.count, rows=page.rows)
    except TimeoutError:
        finding = replace(finding, error=RequestTimeout(f"no page came within {timeout:g} seconds"))
    except PollError as error:
        finding = replace(finding, error=error)
    return replace(finding, term=credentials.term, latency=heard.latency, skew=heard.skew)


class _Ear:
    """Hears how long the API took and what its clock says."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self.latency: float | None = None
        self.skew: float | None = None

    def request_ended(self, api: Api, code: str, seconds: float, response: Response | None) -> None:
        """Keep what the API's answer tells; IAM and metadata are not asked about."""
        del code
        if api != "sms" or response is None:
            return
        self.latency = seconds
        if (told := read_http_date(response.headers.get("Date", ""))) is not None:
            self.skew = self._clock.time() - told

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Nothing is retried."""

    def throttled(self, seconds: float) -> None:
        """One request waits for no other."""


def _fact(name: str, value: str) -> str:
    return f"  {name}".ljust(COLUMN) + value


def _skew(seconds: float) -> str:
    if abs(seconds) < NOTICED:
        return "as the API's"
    return f"{format_duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} the API's"
