"""What the targets tell of themselves at the moment of a scrape."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import groupby
from operator import itemgetter
from typing import Protocol, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from exporter.auth.renewal import Term
from exporter.clock import Clock
from exporter.families.family import PREFIX
from exporter.polling.snapshot import Snapshot
from exporter.polling.target import Target


class Expiring(Protocol):
    """What may expire."""

    @property
    def term(self) -> Term | None:
        """When it does, and when it is renewed; None where unknown or never."""


class Heard(Protocol):
    """What was heard of an account's API and of its credentials."""

    clock_skew: float | None
    """Seconds; None before the first answer."""
    credentials: Expiring | None


Part: TypeAlias = Sequence[tuple[Metric, Sample]]
"""Some samples of a collection, each with its family, in their order."""


def by_account(collected: Iterable[Metric]) -> Mapping[str, Part]:
    """Part samples by their account; those that have none are under the empty name."""
    parts: defaultdict[str, list[tuple[Metric, Sample]]] = defaultdict(list)
    for metric in collected:
        for sample in metric.samples:
            parts[sample.labels.get("account", "")].append((metric, sample))
    return parts


def families(part: Part) -> Iterator[Metric]:
    """Give the families that have samples in the part, with those alone."""
    for metric, own in groupby(part, key=itemgetter(0)):
        family = copy(metric)
        family.samples = [sample for _, sample in own]
        yield family


class TargetCollector(Collector):
    """What the targets tell of themselves at the moment of a scrape."""

    def __init__(self, clock: Clock, accounts: Mapping[str, Heard]) -> None:
        self.targets: Sequence[Target] = ()
        self._clock = clock
        self._accounts = accounts
        self._series_dropped: Callable[[str], Mapping[str, int]] = lambda _: {}

    def follow(self, targets: Sequence[Target], series_dropped: Callable[[str], Mapping[str, int]]) -> None:
        """Tell of these targets from here on."""
        self.targets = targets
        self._series_dropped = series_dropped

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give one family after the other; what is not known has no sample."""
        now = self._clock.time()
        info = GaugeMetricFamily(
            f"{PREFIX}account_info",
            "What is polled.",
            labels=("account", "api_region", "endpoint"),
        )
        for target in self.targets:
            api = target.account.api
            info.add_metric((target.name, api.region or "", api.url), 1)
        yield info

        def gauge(name: str, text: str, value: Callable[[Target], float | None]) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=("account",))
            for target in self.targets:
                if (number := value(target)) is not None:
                    family.add_metric((target.name,), number)
            return family

        def shown(value: Callable[[Snapshot], float]) -> Callable[[Target], float | None]:
            def of(target: Target) -> float | None:
                snapshot = target.visible(now)
                return None if snapshot is None else value(snapshot)

            return of

        yield gauge("up", "Whether the account's last poll ended complete.", lambda target: target.up)
        yield gauge(
            "last_success_timestamp_seconds",
            "When the last complete list was read; absent before the first.",
            lambda target: target.snapshot.read_at if target.snapshot else None,
        )
        yield gauge(
            "poll_interval_seconds",
            "Time from poll to poll.",
            lambda target: target.account.poll.interval,
        )
        yield gauge(
            "snapshot_source_servers",
            "Source servers in the list being served.",
            shown(lambda snapshot: len(snapshot.servers)),
        )
        yield gauge(
            "api_source_servers",
            "Source servers in that list by the API's own count.",
            shown(lambda snapshot: snapshot.count),
        )
        yield gauge(
            "exporter_poll_duration_seconds",
            "Duration of the last poll.",
            lambda target: target.last_poll.duration if target.last_poll else None,
        )
        yield gauge(
            "exporter_poll_pages",
            "Pages asked for in the last poll.",
            lambda target: target.last_poll.pages if target.last_poll else None,
        )
        dropped = GaugeMetricFamily(
            f"{PREFIX}exporter_series_dropped",
            "Series of a collector that are not exposed because the account has more than limits.series.",
            labels=("account", "collector"),
        )
        for target in self.targets:
            for collector, series in self._series_dropped(target.name).items():
                dropped.add_metric((target.name, collector), series)
        yield dropped
        yield gauge(
            "exporter_credentials_expiration_timestamp_seconds",
            "When the token or temporary key in use expires; absent where that is not known.",
            lambda target: term.expires_at if (term := self._term(target)) else None,
        )
        yield gauge(
            "exporter_credentials_renewal_timestamp_seconds",
            "When the token or temporary key in use is due to be renewed; absent where that is not known.",
            lambda target: term.renewal_due_at if (term := self._term(target)) else None,
        )
        yield gauge(
            "exporter_api_clock_skew_seconds",
            "This machine's clock minus the API's, as of its last answer.",
            lambda target: self._accounts[target.name].clock_skew,
        )

    def _term(self, target: Target) -> Term | None:
        credentials = self._accounts[target.name].credentials
        return credentials.term if credentials else None
