"""The exporter's own metrics, also while the API is down and before the first poll.

They are rendered when something was counted, and at least every second, so that any number of scrapers costs little
more than one.
"""

import platform
from collections import Counter as Multiset
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from exporter.families.family import PREFIX, unit_of
from exporter.http.transport import Api, Request, Response
from exporter.polling.detail_client import LeftOut
from exporter.polling.state import Account, Poll
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing

SKIPPED: Final = ("duplicate", "invalid")
"""Why a record of a complete list is not exposed."""

MAX_AGE_SECONDS: Final = 1.0
"""Time for which rendered metrics are served while nothing is counted. Gauges of the process may be that old."""

_DURATIONS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestObserver:
    """Counts one account's requests and waits."""

    def __init__(self, metrics: "_Metrics", account: str) -> None:
        self._metrics = metrics
        self._account = account
        self.clock_skew: float | None = None
        """This machine's clock minus the API's in seconds, None before the first response."""

    def request_ended(self, api: Api, _: Request, code: str, seconds: float, response: Response | None) -> None:
        """Count a request, and note the clock skew."""
        self._metrics.changed(self._account)
        self._metrics.requests.labels(self._account, api, code).inc()
        self._metrics.request_duration.labels(api).observe(seconds)
        if api == "sms" and response is not None and response.clock_skew is not None:
            self.clock_skew = response.clock_skew

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Count a retry, and the wait before it if the API asked for fewer requests."""
        self._metrics.changed(self._account)
        self._metrics.retries.labels(self._account).inc()
        if isinstance(failure, Throttled):
            self._metrics.throttle_wait.labels(self._account).inc(seconds)

    def throttled(self, seconds: float) -> None:
        """Count the time that a request waited for the exporter's own rate limit."""
        self._metrics.changed(self._account)
        self._metrics.throttle_wait.labels(self._account).inc(seconds)


class _Metrics:
    """The counters and the histogram.

    `changes` is the number of changes by account, and under "" of all accounts.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes: Multiset[str] = Multiset()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}exporter_{name}", text, labels, registry=registry, unit=unit_of(name))

        self.polls = counter("polls", "Number of polls.", "account")
        self.failures = counter("poll_failures", "Number of failed polls, by reason.", "account", "reason")
        self.collector_failures = Counter(
            f"{PREFIX}collector_failures",
            "Number of failed readings of a collector that sends further requests, by reason.",
            ("account", "collector", "reason"),
            registry=registry,
        )
        self.requests = counter(
            "api_requests",
            "Number of requests, by HTTP status code; the code is error if there was no response.",
            "account",
            "api",
            "code",
        )
        self.retries = counter("api_retries", "Number of retries after temporary failures.", "account")
        self.throttle_wait = counter(
            "api_throttle_wait_seconds",
            "Time that requests waited because of a rate limit of the API or of the exporter.",
            "account",
        )
        self.skipped = counter(
            "skipped_records",
            "Number of records left out of complete lists: on a page twice, or without a readable ID.",
            "account",
            "reason",
        )
        self.unknown = counter(
            "unknown_values",
            "Number of values outside the documented enumeration of their field; they count as other.",
            "field",
        )
        self.unreadable = counter(
            "unreadable_values",
            "Number of values of a type that their field cannot have; they are left out.",
            "field",
        )
        self.by_account = (
            self.polls,
            self.failures,
            self.collector_failures,
            self.requests,
            self.retries,
            self.throttle_wait,
            self.skipped,
        )
        self.request_duration = Histogram(
            f"{PREFIX}exporter_api_request_duration_seconds",
            "Time from sending a request to the last byte of the response.",
            ("api",),
            unit="seconds",
            buckets=_DURATIONS,
            registry=registry,
        )

    def changed(self, account: str) -> None:
        """Note that a metric of `account` has changed."""
        self.changes[account] += 1
        self.changes[""] += 1


class Health:
    """The exporter's own metrics, on a registry of their own; those of accounts once `follow` is called."""

    def __init__(self, clock: Clock, revision: str) -> None:
        # prometheus-client would add a series with the time of creation to each counter.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._collected: _Collected | None = None
        self.registry = CollectorRegistry()
        self._metrics = _Metrics(self.registry)
        self._observers: dict[str, RequestObserver] = {}
        self._collector = AccountCollector(clock, lambda account: self.observer(account).clock_skew)
        self.registry.register(self._collector)
        build = Gauge(
            f"{PREFIX}exporter_build_info",
            "Version and revision of the exporter, and the version of Python.",
            ("version", "revision", "pythonversion"),
            registry=self.registry,
        )
        build.labels(__version__, revision, platform.python_version()).set(1)
        self._reloaded = Gauge(
            f"{PREFIX}exporter_config_last_reload_successful",
            "Whether the last reload of the configuration succeeded.",
            registry=self.registry,
        )
        self._reloaded_at = Gauge(
            f"{PREFIX}exporter_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully.",
            unit="seconds",
            registry=self.registry,
        )
        self.reloaded(successful=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def observer(self, account: str) -> RequestObserver:
        """Return the observer of the account's requests."""
        if account not in self._observers:
            self._observers[account] = RequestObserver(self._metrics, account)
        return self._observers[account]

    def follow(self, accounts: Sequence[Account], series_dropped: Callable[[str], Mapping[str, int]]) -> None:
        """Expose these accounts from now on. The counters of accounts that stay continue.

        `series_dropped` returns, by collector, how many series of an account its series limit drops.
        """
        for account in accounts:
            self.observer(account.name)
            self._start_at_zero(account)
        self._collector.follow(accounts, series_dropped)
        self._collected = None

    def forget_others(self) -> None:
        """Remove the series of accounts that are not polled."""
        for account in self._observers.keys() - {account.name for account in self._collector.accounts}:
            del self._observers[account], self._metrics.changes[account]
            for counter in self._metrics.by_account:
                counter.remove_by_labels({"account": account})
        self._collected = None

    def reloaded(self, *, successful: bool) -> None:
        """Record the result of a reload."""
        self._reloaded.set(successful)
        if successful:
            self._reloaded_at.set(self._clock.time())
        self._collected = None

    def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll, and the records and values of its list that are not exposed."""
        self._metrics.changed(account.name)
        self._metrics.polls.labels(account.name).inc()
        if poll.error is not None:
            self._metrics.failures.labels(account.name, poll.error.reason).inc()
        if listing is None:
            return
        self._count_left_out(account.name, listing, "")
        unknown: Multiset[str] = Multiset()
        for (field, _), count in listing.unknown.items():
            unknown[field] += count
        for field, count in unknown.items():
            self._metrics.unknown.labels(field).inc(count)

    def collector_read(self, account: Account, collector: str, error: PollError | None, left_out: LeftOut) -> None:
        """Count the reading of a collector that reads more than the list of source servers."""
        self._metrics.changed(account.name)
        if error is not None:
            self._metrics.collector_failures.labels(account.name, collector, error.reason).inc()
        self._count_left_out(account.name, left_out, f"{collector}[].")

    def _count_left_out(self, account: str, left_out: LeftOut | Listing[SourceServer], prefix: str) -> None:
        """Count the records and values that are not exposed; `prefix` comes before the path of a field."""
        self._metrics.skipped.labels(account, "duplicate").inc(left_out.duplicates)
        self._metrics.skipped.labels(account, "invalid").inc(left_out.invalid)
        for field, count in left_out.unreadable.items():
            self._metrics.unreadable.labels(f"{prefix}{field}").inc(count)

    def render(self, syntax: Syntax, account: str | None = None, names: frozenset[str] | None = None) -> bytes:
        """Return the exposition of all metrics, of those of one account, or of those without an account ("").

        With `names`, only metrics that have one of these names are included. In OpenMetrics the result includes the
        line that ends a body.
        """
        now, changes, name = self._clock.monotonic(), self._metrics.changes, account or ""
        kept = self._collected
        if kept is None or kept.changes[name] != changes[name] or now - kept.at >= MAX_AGE_SECONDS:
            kept = self._collected = _Collected(list(self.registry.collect()), changes.copy(), now)
        return kept.render(syntax, account, names)

    def _start_at_zero(self, account: Account) -> None:
        """Expose each counter at 0, so that `increase()` sees the first change."""
        name = account.name
        for collector in account.details.collectors:
            for reason in REASONS:
                self._metrics.collector_failures.labels(name, collector, reason)
        self._metrics.polls.labels(name)
        self._metrics.retries.labels(name)
        self._metrics.throttle_wait.labels(name)
        for reason in REASONS:
            self._metrics.failures.labels(name, reason)
        for reason in SKIPPED:
            self._metrics.skipped.labels(name, reason)


class _Collected:
    """All metrics at one moment, and their renderings.

    Collecting one account costs as much as collecting all, so the collection is split by account once.
    """

    def __init__(self, collected: Sequence[Metric], changes: Multiset[str], at: float) -> None:
        self.changes = changes
        self.at = at
        self._collected = collected
        self._rendered: dict[tuple[Syntax, str | None], bytes] = {}

    @cached_property
    def _by_account(self) -> Mapping[str, SamplesOfFamilies]:
        return split_by_account(self._collected)

    def render(self, syntax: Syntax, account: str | None, names: frozenset[str] | None) -> bytes:
        if names is not None:
            # Any names can be requested, so these renderings are not kept.
            selected = (metric for metric in self._select(account) if not names.isdisjoint(_names_of(metric)))
            return render_metrics(selected, syntax)
        if (syntax, account) not in self._rendered:
            self._rendered[syntax, account] = render_metrics(self._select(account), syntax)
        return self._rendered[syntax, account]

    def _select(self, account: str | None) -> Iterable[Metric]:
        return self._collected if account is None else build_families(self._by_account.get(account, ()))


def _names_of(metric: Metric) -> tuple[str, ...]:
    """Return the name of a family, and that of a counter in the text format."""
    return (metric.name, f"{metric.name}_total") if metric.type == "counter" else (metric.name,)
