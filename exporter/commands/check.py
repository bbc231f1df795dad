"""`check`: validate the configuration, and with `--live` authenticate every account at the API."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pydantic import Field

from exporter.auth import Credentials
from exporter.auth.renewal import Term
from exporter.clock import SystemClock
from exporter.commands.languages import get_translator
from exporter.commands.live_check import LiveCheck, LiveFindings
from exporter.commands.options import OnceSettings, load_once
from exporter.commands.output import PROG, print_text
from exporter.commands.process import get_runtime
from exporter.commands.report import count_cells, print_report
from exporter.commands.usage import ALL_OPTIONS_HINT
from exporter.errors import AuthError, ConfigurationError, PollError, RequestTimeout, escape_unprintable
from exporter.http.transport import Api, Request, Response
from exporter.language import Translatable
from exporter.polling.connections import Runtime, account_client
from exporter.polling.protection import find_unprotected
from exporter.settings import AccountSettings, DetailSettings, FilterSettings, Settings
from exporter.settings.faults import find_near_name
from exporter.settings.manual import Manual
from exporter.sms.client import ListClient, RetryBudget
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from exporter.translation import IN_ENGLISH, Translator
from exporter.views.formatting import format_duration, format_latency, format_time

DESCRIPTION: Final = (
    "Checks the configuration and prints the endpoint and the credentials of each account. "
    "With --live it also authenticates, reads the first pages of each account's list, and sends one request for each "
    "collector that is on."
)
EXIT_CODES: Final = MappingProxyType(
    {
        0: "No problem was found.",
        1: "Authentication failed, the API returned no page, or a collector that is on cannot read its data.",
        2: "The configuration is invalid, or an account has no credentials.",
    },
)

COLUMN: Final = 15
"""Column at which the values of a report begin."""
MIN_REPORTED_SKEW_SECONDS: Final = 2.0
"""Clock skew below this is not reported: the API reports its time in whole seconds."""


class CheckSettings(OnceSettings):
    """Options of a check."""

    live: bool = Field(False, description="Also call the API: authenticate, and send a few requests for each account.")


def main(argv: Sequence[str]) -> int:
    """Check, print the report and return the exit code."""
    manual = Manual(f"{PROG} check", DESCRIPTION, EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = load_once(CheckSettings, argv, manual)
    return report(settings, live=settings.live)


def report(settings: Settings, *, live: bool) -> int:
    """Check these settings, print the report and return the exit code."""
    translator = get_translator()
    web = _check_web(settings, translator)
    findings = asyncio.run(check(settings, get_runtime(), live=live))
    print_report((line for finding in findings for line in finding.lines(translator)), COLUMN)
    if web:
        print_text(translator.gettext("web: %(summary)s") % {"summary": web})
    return max(finding.exit_code for finding in findings)


def _check_web(settings: Settings, translator: Translator) -> str:
    """Return a summary of the web configuration; empty if there is none. Raise ConfigurationError."""
    file = settings.web.config_file
    if file is None:
        return ""
    from exporter.web.toolkit import read_policy, summary

    return summary(read_policy(file, SystemClock()).config, translator)


@dataclass(frozen=True)
class Finding:
    """What a check found for one account.

    `count` is the number of servers that the API reports, `rows` the number on the first page, `latency` the seconds
    from sending the request to the last byte of the response, and `skew` the seconds by which this machine's clock is
    ahead of the API's, and `live` what further requests found. They are None without `--live`, or if the API did not
    report them. `issuer_url` is the address of the service that issues the credentials; empty if they are stored.
    `is_configured` is False if the account has no credentials.
    """

    account: AccountSettings
    source: Translatable | None = None
    issuer_url: str = ""
    term: Term | None = None
    count: int | None = None
    rows: int | None = None
    latency: float | None = None
    skew: float | None = None
    live: LiveFindings | None = None
    error: PollError | None = None
    is_configured: bool = True

    @property
    def exit_code(self) -> int:
        """The exit code for this account."""
        if self.error is None:
            return 1 if self.live is not None and self.live.failed else 0
        return 1 if self.is_configured else 2

    def lines(self, translator: Translator = IN_ENGLISH) -> Iterator[str]:
        """Yield the report: the account and its condition, then one fact per line."""
        _ = translator.gettext
        condition = _("ok") if self.error is None else _("failed (%(reason)s)") % {"reason": self.error.reason}
        yield _("account %(name)s: %(condition)s") % {"name": self.account.name, "condition": condition}
        api = self.account.api
        yield _fact(_("endpoint"), f"{api.url} ({api.region})" if api.region and not api.endpoint else api.url)
        for warning in (
            *_check_filter(self.account.filter),
            *find_unprotected(self.account, self.issuer_url),
        ):
            yield _fact(_("warning"), translator.translate(warning))
        if self.source:
            yield _fact(_("credentials"), self._credentials(self.source, translator))
        if self.count is not None:
            first_page = _("%(count)s, %(rows)s of them on the first page") if self.rows != self.count else "%(count)s"
            yield _fact(_("servers"), first_page % {"count": self.count, "rows": self.rows})
        if self.latency is not None:
            yield _fact(_("latency"), format_latency(self.latency, translator))
        if self.skew is not None:
            yield _fact(_("clock"), _skew(self.skew, translator))
        if self.live is not None:
            yield from (_fact(name, value) for name, value in self.live.facts(translator))
        if self.error is not None:
            yield _fact(_("error"), escape_unprintable(self.error.message))
            if self.error.request_id:
                yield _fact(_("request id"), escape_unprintable(self.error.request_id))
            yield _fact(_("hint"), translator.translate(self.error.hint))

    def _credentials(self, source: Translatable, translator: Translator) -> str:
        where = translator.translate(source)
        if self.term is None:
            return where
        until = translator.gettext("%(credentials)s, until %(time)s UTC")
        return until % {"credentials": where, "time": format_time(self.term.expires_at)}


async def check(settings: Settings, runtime: Runtime, *, live: bool) -> Sequence[Finding]:
    """Check all accounts at the same time and return one finding per account."""
    details = settings.collector.details if live else None
    return await asyncio.gather(*(_check_account(account, runtime, details) for account in settings.targets()))


async def _check_account(account: AccountSettings, runtime: Runtime, details: DetailSettings | None) -> Finding:
    """Check one account; call the API if `details` are given."""
    observer = _LatencyObserver()
    try:
        async with account_client(account, observer, runtime) as (client, credentials):
            finding = Finding(account, credentials.source, credentials.issuer_url)
            if details is None:
                return await _read_secrets(finding, credentials)
            finding, page = await _read_page(finding, client, credentials, runtime)
            finding = replace(finding, term=credentials.term, latency=observer.latency, skew=observer.skew)
            if page is None:
                return finding
            return replace(finding, live=await LiveCheck(client, account, page).run(details))
    except ConfigurationError as error:
        if not isinstance(error.__cause__, PollError):
            raise
        return Finding(account, error=error.__cause__, is_configured=False)


async def _read_secrets(finding: Finding, credentials: Credentials) -> Finding:
    """Return an error if a secret file is empty or cannot be read."""
    try:
        await credentials.check()
    except AuthError as error:
        return replace(finding, error=error, is_configured=False)
    return finding


async def _read_page(
    finding: Finding,
    client: ListClient,
    credentials: Credentials,
    runtime: Runtime,
) -> tuple[Finding, bytes | None]:
    """Read the first page, without retries: a wrong access key must count as one refusal only. Return it as well."""
    timeout = finding.account.poll.timeout
    try:
        async with asyncio.timeout(timeout), runtime.lockout.attempt(await credentials.fingerprint()):
            body = await client.page(0, SOURCE_SERVERS.max_page_rows, {}, RetryBudget(0))
        page = await Records(SOURCE_SERVERS).decode(body)
    except TimeoutError:
        return replace(finding, error=RequestTimeout(f"the API returned no page within {timeout:g} seconds")), None
    except PollError as error:
        return replace(finding, error=error), None
    return replace(finding, count=page.count, rows=page.rows), body


class _LatencyObserver:
    """Keeps the latency and the clock skew of the last response."""

    def __init__(self) -> None:
        self.latency: float | None = None
        self.skew: float | None = None

    def request_ended(self, api: Api, _: Request, code: str, seconds: float, response: Response | None) -> None:
        """Keep the latency and the clock of the SMS API; IAM and the metadata service are ignored."""
        del code
        if api != "sms" or response is None:
            return
        self.latency = seconds
        self.skew = response.clock_skew

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Do nothing: no request is retried."""

    def throttled(self, seconds: float) -> None:
        """Do nothing: one request is never throttled."""


def _check_filter(options: FilterSettings) -> Iterator[Translatable]:
    """Yield a warning for each value that the API does not document: it may answer with an error or an empty list."""
    for name, value, documented in (
        ("filter.state", options.state, SOURCE_STATES),
        ("filter.migration-cycle", options.migration_cycle, MIGRATION_CYCLES),
    ):
        if value is not None and value not in documented:
            if near := find_near_name(value, documented):
                yield Translatable(
                    "%(option)s: the API does not document '%(value)s'; did you mean %(near)s?",
                    option=name,
                    value=value,
                    near=near,
                )
            else:
                yield Translatable(
                    "%(option)s: the API does not document '%(value)s'; the API documents %(values)s",
                    option=name,
                    value=value,
                    values=", ".join(documented),
                )


def _fact(name: str, value: str) -> str:
    return f"  {name}{' ' * (COLUMN - 2 - count_cells(name))}{value}"


def _skew(seconds: float, translator: Translator) -> str:
    if abs(seconds) < MIN_REPORTED_SKEW_SECONDS:
        return translator.gettext("in sync with the API")
    ahead = translator.gettext("%(duration)s ahead of the API")
    behind = translator.gettext("%(duration)s behind the API")
    return (ahead if seconds > 0 else behind) % {"duration": format_duration(abs(seconds), translator)}
