"""Which families an account exposes: the collectors that are on, as the options want them, within the series limit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from exporter.families.checks import CHECKS
from exporter.families.disks import DISKS
from exporter.families.family import Collector, Family, Sample, ServerFamily
from exporter.families.fleet import FLEET
from exporter.families.servers import SERVERS, STATE, STATE_SET
from exporter.families.tasks import TASKS
from exporter.settings import CollectorSettings
from exporter.sms.model import SourceServer

SWITCHED = (SERVERS, TASKS, CHECKS, DISKS)
"""The collectors that can be switched, each by the option collector.NAME."""

DROP_ORDER: Final = ("disks", "checks", "tasks", "servers")
"""The collectors in the order in which they are dropped; the fleet never is."""


def collectors(settings: CollectorSettings) -> tuple[Collector, ...]:
    """Give the collectors that are switched on, as the options want them; the fleet always is."""
    on = (FLEET, *(collector for collector in SWITCHED if getattr(settings, collector.name)))
    return tuple(tailored(collector, settings) for collector in on)


def tailored(collector: Collector, settings: CollectorSettings) -> Collector:
    """Give the collector with its families as the options want them."""
    return replace(collector, families=tuple(_tailored(family, settings) for family in collector.families))


def _tailored(family: Family, settings: CollectorSettings) -> Family:
    if family is STATE and settings.state_set:
        return STATE_SET
    if isinstance(family, ServerFamily) and family.name.endswith("_info"):
        included = settings.info_labels_include or family.labels
        kept = tuple(
            place
            for place, label in enumerate(family.labels)
            if label in included and label not in settings.info_labels_exclude
        )
        return _with_labels(family, kept) if len(kept) < len(family.labels) else family
    return family


def _with_labels(family: ServerFamily, kept: tuple[int, ...]) -> ServerFamily:
    def samples(server: SourceServer) -> list[Sample]:
        return [(tuple(values[place] for place in kept), number) for values, number in family.samples(server)]

    return replace(family, labels=tuple(family.labels[place] for place in kept), samples=samples)


def collectors_over_limit(series: Mapping[str, int], limit: int) -> tuple[str, ...]:
    """Return the collectors to drop so that at most `limit` series remain; 0 means no limit.

    `series` is the number of series of each collector. The fleet is never dropped, even if it alone has more.
    """
    dropped: list[str] = []
    remaining = sum(series.values())
    for name in DROP_ORDER:
        if limit == 0 or remaining <= limit:
            break
        if name in series:
            dropped.append(name)
            remaining -= series[name]
    return tuple(dropped)
