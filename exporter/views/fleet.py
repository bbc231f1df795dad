"""All servers together: how many are in which state, and how much has been replicated."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.polling.snapshot import OTHER, documented
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES
from exporter.views.formatting import percent
from exporter.views.servers import ServerView


@dataclass(frozen=True, slots=True)
class Bar:
    """The number of servers with the value `name`: `share` percent of all, drawn from `start` percent on."""

    name: str
    count: int
    share: float
    start: float


@dataclass(frozen=True, slots=True)
class FleetView:
    """The sums over all servers. Sizes are bytes, `speed` is bytes per second, `share` percent."""

    servers: int
    connected: int
    size: int
    replicated: int
    share: float
    speed: float
    states: tuple[Bar, ...]
    stages: tuple[Bar, ...]


def build_fleet_view(servers: Sequence[ServerView]) -> FleetView:
    """Count the servers of all accounts, exactly as the metrics of the collector `fleet` do."""
    size = sum(server.size or 0 for server in servers)
    replicated = sum(server.replicated or 0 for server in servers)
    return FleetView(
        servers=len(servers),
        connected=sum(server.connected is True for server in servers),
        size=size,
        replicated=replicated,
        share=percent(replicated, size),
        speed=sum(server.speed or 0.0 for server in servers),
        states=count_bars((server.state for server in servers), SOURCE_STATES),
        stages=count_bars((server.stage for server in servers), MIGRATION_CYCLES),
    )


def count_bars(values: Iterable[str], documented_values: tuple[str, ...]) -> tuple[Bar, ...]:
    """Return a bar per documented value and one for all others; together they fill the whole width."""
    counts = Counter(documented(value, documented_values) for value in values)
    total = counts.total() or 1
    bars = []
    before = 0
    for name in (*documented_values, OTHER):
        count = counts[name]
        bars.append(Bar(name, count, 100 * count / total, 100 * before / total))
        before += count
    return tuple(bars)
