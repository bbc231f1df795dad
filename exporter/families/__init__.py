"""The metric families of the API's data, declared as data; one file a collector."""

from exporter.families.checks import CHECKS
from exporter.families.disks import DISKS
from exporter.families.family import (
    Collector,
    Family,
    FamilyOfServers,
    ServerFamily,
    SnapshotFamily,
    SnapshotValueFamily,
    ValueFamily,
    full_name,
    help_text,
)
from exporter.families.fleet import FLEET
from exporter.families.servers import SERVERS
from exporter.families.tailoring import tailored
from exporter.families.tasks import TASKS
from exporter.settings import CollectorSettings

SWITCHED = (SERVERS, TASKS, CHECKS, DISKS)
"""The collectors that can be switched, each by the option collector.NAME."""


def collectors(settings: CollectorSettings) -> tuple[Collector, ...]:
    """Give the collectors that are switched on, as the options want them; the fleet always is."""
    on = (FLEET, *(collector for collector in SWITCHED if getattr(settings, collector.name)))
    return tuple(tailored(collector, settings) for collector in on)


__all__ = [
    "FLEET",
    "SWITCHED",
    "Collector",
    "Family",
    "FamilyOfServers",
    "ServerFamily",
    "SnapshotFamily",
    "SnapshotValueFamily",
    "ValueFamily",
    "collectors",
    "full_name",
    "help_text",
]
