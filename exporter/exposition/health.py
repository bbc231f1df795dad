"""The exporter's own metrics, also while the API is down and before the first poll.

They are fresh at every scrape: rendered anew when something was counted, and at least every second, so that any
number of scrapers cost little more than one.
"""

import platform
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import REASONS, PollError, Throttled
from exporter.exposition.account_health import AccountCollector, SamplesOfFamilies, build_families, split_by_account
from exporter.exposition.text import Syntax, render_metrics
from exporter.families.family import PREFIX
from exporter.http.api_errors import read_http_date
from exporter.http.transport import Api, Response
from exporter.polling.state import Account, Poll
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing

SKIPPED: Final = ("duplicate", "invalid")
"""Why a record of a complete list is not exposed."""

FRESH: Final = 1.0
"""Seconds for which the rendered metrics are handed out if nothing was counted: no longer than that they miss what
is not counted, as what the process uses."""

_DURATIONS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestObserver:
    """Counts one account's requests and waits."""

    def __init__(self, metrics: "_Metrics", account: str, clock: Clock) -> None:
        self._metrics = metrics
        self._account = account
        self._clock = clock
        self.clock_skew: float | None = None

    def request_ended(self, api: Api, code: str, seconds: float, response: Response | None) -> None:
        """Count a request, and compare the API's clock with ours."""
        self._metrics.changed(self._account)
        self._metrics.requests.labels(self._account, api, code).inc()
        self._metrics.request_duration.labels(api).observe(seconds)
        date = response.headers.get("Date") if response and api == "sms" else None
        if date and (told := read_http_date(date)) is not None:
            self.clock_skew = self._clock.time() - told

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Count a retry, and the wait before it where the API asked for fewer requests."""
        self._metrics.changed(self._account)
        self._metrics.retries.labels(self._account).inc()
        if isinstance(failure, Throttled):
            self._metrics.throttle_wait.labels(self._account).inc(seconds)

    def throttled(self, seconds: float) -> None:
        """Count what the exporter's own rate limit made a request wait."""
        self._metrics.changed(self._account)
        self._metrics.throttle_wait.labels(self._account).inc(seconds)


class _Metrics:
    """What is counted as it happens, and how often something was: of each account, and under "" of all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes: Counts[str] = Counts()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}exporter_{name}", text, labels, registry=registry)

        self.polls = counter("polls", "Polls that ended.", "account")
        self.failures = counter("poll_failures", "Polls that failed, by reason.", "account", "reason")
        self.requests = counter(
            "api_requests",
            "Requests sent, by HTTP status; the code error stands for no answer.",
            "account",
            "api",
            "code",
        )
        self.retries = counter("api_retries", "Requests tried again after a passing failure.", "account")
        self.throttle_wait = counter(
            "api_throttle_wait_seconds",
            "Time that requests waited because of a rate limit, the API's or our own.",
            "account",
        )
        self.skipped = counter(
            "skipped_records",
            "Records left out of complete lists: twice on one page, or without a readable id.",
            "account",
            "reason",
        )
        self.unknown = counter(
            "unknown_values",
            "Values outside the documented enumeration of their field; they count as other.",
            "field",
        )
        self.unreadable = counter(
            "unreadable_values",
            "Values of a type that their field cannot have; they are left out.",
            "field",
        )
        self.by_account = (self.polls, self.failures, self.requests, self.retries, self.throttle_wait, self.skipped)
        self.request_duration = Histogram(
            f"{PREFIX}exporter_api_request_duration_seconds",
            "Time from sending a request to its last byte.",
            ("api",),
            buckets=_DURATIONS,
            registry=registry,
        )

    def changed(self, account: str) -> None:
        """Take note that something is counted of `account`, and so of all."""
        self.changes[account] += 1
        self.changes[""] += 1


class Health:
    """The exporter's own metrics, of `accounts`, on a registry made here.

    `series_dropped` tells, by collector, how many series of an account were dropped for its ceiling.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        clock: Clock,
        series_dropped: Callable[[str], Mapping[str, int]],
        *,
        revision: str = "unknown",
    ) -> None:
        # The time of creation of each counter would be a series of its own beside it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._collected: _Collected | None = None
        self.registry = CollectorRegistry()
        self._metrics = _Metrics(self.registry)
        self._observers: dict[str, RequestObserver] = {}
        self._collector = AccountCollector(clock, lambda account: self.of(account).clock_skew)
        self.registry.register(self._collector)
        self.follow(accounts, series_dropped)
        build = Gauge(
            f"{PREFIX}exporter_build_info",
            "What was built, and what it runs on.",
            ("version", "revision", "pythonversion"),
            registry=self.registry,
        )
        build.labels(__version__, revision, platform.python_version()).set(1)
        self._reloaded = Gauge(
            f"{PREFIX}exporter_config_last_reload_successful",
            "Whether the configuration was last read without an error.",
            registry=self.registry,
        )
        self._reloaded_at = Gauge(
            f"{PREFIX}exporter_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read without an error.",
            registry=self.registry,
        )
        self.reloaded(successful=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def of(self, account: str) -> RequestObserver:
        """Give what hears of the requests of `account`."""
        if account not in self._observers:
            self._observers[account] = RequestObserver(self._metrics, account, self._clock)
        return self._observers[account]

    def follow(self, accounts: Sequence[Account], series_dropped: Callable[[str], Mapping[str, int]]) -> None:
        """Tell of these accounts from here on. The counters of those that stay go on."""
        for account in accounts:
            self.of(account.name)
            self._start_at_zero(account.name)
        self._collector.follow(accounts, series_dropped)
        self._collected = None

    def forget_others(self) -> None:
        """Drop what was counted of accounts that are not polled."""
        for account in self._observers.keys() - {account.name for account in self._collector.accounts}:
            del self._observers[account]
            for counter in self._metrics.by_account:
                counter.remove_by_labels({"account": account})
        self._collected = None

    def reloaded(self, *, successful: bool) -> None:
        """Take note of how the configuration was read."""
        self._reloaded.set(successful)
        if successful:
            self._reloaded_at.set(self._clock.time())
        self._collected = None

    def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll and what its list had that is not exposed."""
        self._metrics.changed(account.name)
        self._metrics.polls.labels(account.name).inc()
        if poll.error is not None:
            self._metrics.failures.labels(account.name, poll.error.reason).inc()
        if listing is None:
            return
        self._metrics.skipped.labels(account.name, "duplicate").inc(listing.duplicates)
        self._metrics.skipped.labels(account.name, "invalid").inc(listing.invalid)
        for field, count in listing.unreadable.items():
            self._metrics.unreadable.labels(field).inc(count)
        for (field, _), count in (account.state.snapshot.unknown if account.state.snapshot else {}).items():
            self._metrics.unknown.labels(field).inc(count)

    def render(self, syntax: Syntax, account: str | None = None) -> bytes:
        """Give the exposition of all of it, of what is known of one account, or of what belongs to no account: "".

        In OpenMetrics it has the line that ends a body.
        """
        now, changes, name = self._clock.monotonic(), self._metrics.changes, account or ""
        kept = self._collected
        if kept is None or kept.changes[name] != changes[name] or now - kept.at >= FRESH:
            kept = self._collected = _Collected(list(self.registry.collect()), changes.copy(), now)
        return kept.rendered(syntax, account)

    def _start_at_zero(self, account: str) -> None:
        """Expose each counter before it first counts, so that `increase()` sees the first time."""
        self._metrics.polls.labels(account)
        self._metrics.retries.labels(account)
        self._metrics.throttle_wait.labels(account)
        for reason in REASONS:
            self._metrics.failures.labels(account, reason)
        for reason in SKIPPED:
            self._metrics.skipped.labels(account, reason)


class _Collected:
    """All metrics at one moment, after how many changes that was, and what was rendered of them.

    To collect those of one account costs as much as to collect all: they are parted once for all that ask.
    """

    def __init__(self, collected: Sequence[Metric], changes: Counts[str], at: float) -> None:
        self.changes = changes
        self.at = at
        self._collected = collected
        self._rendered: dict[tuple[Syntax, str | None], bytes] = {}

    @cached_property
    def _parts(self) -> Mapping[str, SamplesOfFamilies]:
        return split_by_account(self._collected)

    def rendered(self, syntax: Syntax, account: str | None) -> bytes:
        if (syntax, account) not in self._rendered:
            asked = self._collected if account is None else build_families(self._parts.get(account, ()))
            self._rendered[syntax, account] = render_metrics(asked, syntax)
        return self._rendered[syntax, account]
