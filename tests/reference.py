"""The reference of our rendering: prometheus-client's own exposition of the same families."""

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from benchmarks.naive import metric_of
from exporter.exposition.text import Syntax
from exporter.families import Family
from exporter.polling.snapshot import Snapshot


class _OneFamily(Collector):
    def __init__(self, family: Family, snapshot: Snapshot) -> None:
        self.metric = metric_of(family, snapshot)

    def collect(self) -> list[Metric]:
        return [self.metric]


def render_reference(family: Family, snapshot: Snapshot, syntax: Syntax) -> bytes:
    """Return header and lines of a family as prometheus-client writes them."""
    registry = CollectorRegistry()
    registry.register(_OneFamily(family, snapshot))
    if syntax == "text":
        return generate_latest(registry)
    return bytes(generate_openmetrics(registry)).removesuffix(b"# EOF\n")  # type: ignore[no-untyped-call]
