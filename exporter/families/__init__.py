"""The metric families of the API's data, declared as data; one module per collector."""

from exporter.families.family import (
    Collector,
    Family,
    LabelFamily,
    SnapshotFamily,
    ValueFamily,
    full_name,
    help_text,
)
from exporter.families.fleet import FLEET
from exporter.families.selection import DETAIL_COLLECTORS, OPTIONAL_COLLECTORS, select_collectors

__all__ = [
    "DETAIL_COLLECTORS",
    "FLEET",
    "OPTIONAL_COLLECTORS",
    "Collector",
    "Family",
    "LabelFamily",
    "SnapshotFamily",
    "ValueFamily",
    "full_name",
    "help_text",
    "select_collectors",
]
