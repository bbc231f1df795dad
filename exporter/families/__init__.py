"""The metric families of the API's data, declared as data; one file a collector."""

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
from exporter.families.selection import SWITCHED, collectors

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
