"""The exporter's metrics of each account, read at the moment of a scrape: one declaration per family."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from exporter.auth.renewal import Term
from exporter.clock import Clock
from exporter.families.family import PREFIX, unit_of
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Persistence, Poll


@dataclass(frozen=True, slots=True)
class AccountReport:
    """What the families read of one account at one moment.

    `snapshot` is the one being served. `clock_skew` is in seconds, None before the first response of the API.
    `series_dropped` is by collector.
    """

    account: Account
    snapshot: Snapshot | None
    clock_skew: float | None
    series_dropped: Mapping[str, int]

    @property
    def last_poll(self) -> Poll | None:
        """The poll that ended last."""
        return self.account.state.last_poll

    @property
    def persistence(self) -> Persistence | None:
        """How the state of the account is saved; None if it is not."""
        return self.account.state.persistence

    @property
    def term(self) -> Term | None:
        """When the credentials in use expire."""
        return self.account.credentials.term if self.account.credentials else None


LabelValues: TypeAlias = tuple[str, ...]
Samples: TypeAlias = Iterable[tuple[LabelValues, float | None]]


@dataclass(frozen=True, slots=True)
class AccountGauge:
    """A gauge with the label `account` before its own `labels`. A value of None has no sample."""

    name: str
    documentation: str
    samples: Callable[[AccountReport], Samples]
    labels: tuple[str, ...] = ()

    def collect(self, reports: Iterable[AccountReport]) -> GaugeMetricFamily:
        """Return the family with the samples of all accounts."""
        labels = ("account", *self.labels)
        family = GaugeMetricFamily(PREFIX + self.name, self.documentation, labels=labels, unit=unit_of(self.name))
        for report in reports:
            for labels, value in self.samples(report):
                if value is not None:
                    family.add_metric((report.account.name, *labels), value)
        return family


def _gauge(name: str, documentation: str, value: Callable[[AccountReport], float | None]) -> AccountGauge:
    """Return a gauge with one sample per account."""
    return AccountGauge(name, documentation, lambda report: (((), value(report)),))


def _account_info(report: AccountReport) -> Samples:
    api = report.account.settings.api
    return (((api.region or "", api.url), 1),)


def _collectors_up(report: AccountReport) -> Samples:
    account = report.account
    return (((collector,), account.collector_state(collector).up) for collector in account.details.collectors)


def _collectors_read_at(report: AccountReport) -> Samples:
    account = report.account
    for collector in account.details.collectors:
        details = account.collector_state(collector).details
        yield (collector,), details.read_at if details else None


def _series_dropped(report: AccountReport) -> Samples:
    return (((collector,), series) for collector, series in report.series_dropped.items())


GAUGES: Final = (
    AccountGauge(
        "account_info",
        "Account that is polled, with its API region and endpoint.",
        _account_info,
        ("api_region", "endpoint"),
    ),
    _gauge("up", "Whether the account's last poll read a complete list.", lambda report: report.account.state.up),
    _gauge(
        "last_success_timestamp_seconds",
        "When the last complete list was read; absent before the first.",
        lambda report: kept.read_at if (kept := report.account.state.snapshot) else None,
    ),
    AccountGauge(
        "collector_up",
        "Whether the last reading of a collector that sends further requests was complete.",
        _collectors_up,
        ("collector",),
    ),
    AccountGauge(
        "collector_last_success_timestamp_seconds",
        "When the exposed data of a collector that sends further requests was read; absent before the first time.",
        _collectors_read_at,
        ("collector",),
    ),
    _gauge("poll_interval_seconds", "Poll interval.", lambda report: report.account.settings.poll.interval),
    _gauge(
        "snapshot_source_servers",
        "Number of source servers in the list being served.",
        lambda report: len(report.snapshot.servers) if report.snapshot else None,
    ),
    _gauge(
        "api_source_servers",
        "Number of source servers that the API counted when the list being served was read.",
        lambda report: report.snapshot.count if report.snapshot else None,
    ),
    _gauge(
        "exporter_poll_duration_seconds",
        "Duration of the last poll.",
        lambda report: report.last_poll.duration if report.last_poll else None,
    ),
    _gauge(
        "exporter_poll_pages",
        "Number of pages requested in the last poll.",
        lambda report: report.last_poll.pages if report.last_poll else None,
    ),
    AccountGauge(
        "exporter_series_dropped",
        "Number of series of a collector that are not exposed because the account has more than limits.series.",
        _series_dropped,
        ("collector",),
    ),
    _gauge(
        "exporter_state_restored",
        "Whether the account started with the state that an earlier process saved; absent without state.path.",
        lambda report: report.persistence.restored if report.persistence else None,
    ),
    _gauge(
        "exporter_state_last_write_successful",
        "Whether the last attempt to save the state of the account succeeded; absent before the first.",
        lambda report: report.persistence.up if report.persistence else None,
    ),
    _gauge(
        "exporter_state_last_write_success_timestamp_seconds",
        "When the state of the account was last saved by this process; absent before the first time.",
        lambda report: report.persistence.written_at if report.persistence else None,
    ),
    _gauge(
        "exporter_credentials_expiration_timestamp_seconds",
        "When the token or temporary key in use expires; absent if unknown.",
        lambda report: report.term.expires_at if report.term else None,
    ),
    _gauge(
        "exporter_credentials_renewal_timestamp_seconds",
        "When the token or temporary key in use is due to be renewed; absent if unknown.",
        lambda report: report.term.renewal_due_at if report.term else None,
    ),
    _gauge(
        "exporter_api_clock_skew_seconds",
        "This machine's clock minus the API's, as of its last response.",
        lambda report: report.clock_skew,
    ),
)
"""The families in the order of the exposition."""


class AccountCollector(Collector):
    """Collects GAUGES of the accounts that `follow` was last called with."""

    def __init__(self, clock: Clock, clock_skew: Callable[[str], float | None]) -> None:
        self.accounts: Sequence[Account] = ()
        self._clock = clock
        self._clock_skew = clock_skew
        self._series_dropped: Callable[[str], Mapping[str, int]] = lambda _: {}

    def follow(self, accounts: Sequence[Account], series_dropped: Callable[[str], Mapping[str, int]]) -> None:
        """Collect from these accounts from now on."""
        self.accounts = accounts
        self._series_dropped = series_dropped

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return all families."""
        now = self._clock.time()
        reports = [
            AccountReport(
                account,
                account.served_snapshot(now),
                self._clock_skew(account.name),
                self._series_dropped(account.name),
            )
            for account in self.accounts
        ]
        return (gauge.collect(reports) for gauge in GAUGES)


SamplesOfFamilies: TypeAlias = Sequence[tuple[Metric, Sample]]
"""Some samples of a collection, each with its family, in the order of the collection."""


def split_by_account(collected: Iterable[Metric]) -> Mapping[str, SamplesOfFamilies]:
    """Return the samples by account; those without an account are under the empty name."""
    parts: defaultdict[str, list[tuple[Metric, Sample]]] = defaultdict(list)
    for metric in collected:
        for sample in metric.samples:
            parts[sample.labels.get("account", "")].append((metric, sample))
    return parts


def build_families(part: SamplesOfFamilies) -> Iterator[Metric]:
    """Return the families that have samples in the part, with only those samples."""
    for metric, samples in groupby(part, key=itemgetter(0)):
        family = copy(metric)
        family.samples = [sample for _, sample in samples]
        yield family
