"""Which families an account exposes: collectors that are on, as the options want them, within the series limit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from exporter.families.checks import CHECKS
from exporter.families.consistency import CONSISTENCY
from exporter.families.disks import DISKS
from exporter.families.errors import ERRORS
from exporter.families.family import Collector, Family, LabelFamily, Sample
from exporter.families.fleet import FLEET
from exporter.families.projects import PROJECTS
from exporter.families.servers import SERVERS, STATE, STATE_SET
from exporter.families.task_details import TASK_DETAILS
from exporter.families.tasks import TASKS
from exporter.settings import CollectorSettings

OPTIONAL_COLLECTORS: Final = (SERVERS, TASKS, CHECKS, DISKS)
"""The collectors of the list of source servers that can be turned on and off, each by the option collector.NAME."""

DETAIL_COLLECTORS: Final = (ERRORS, TASK_DETAILS, CONSISTENCY, PROJECTS)
"""The collectors that read more than that list, turned on in the same way."""

DROP_ORDER: Final = ("disks", "task_details", "consistency", "projects", "errors", "checks", "tasks", "servers")
"""The collectors in the order in which the series limit drops them; it never drops the fleet."""


def select_collectors(settings: CollectorSettings) -> tuple[Collector, ...]:
    """Return the collectors that are turned on, as the options want them; the fleet always is."""
    optional = (*OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS)
    enabled = (FLEET, *(collector for collector in optional if getattr(settings, collector.name)))
    return tuple(
        replace(collector, families=tuple(_apply_options(family, settings) for family in collector.families))
        for collector in enabled
    )


def _apply_options(family: Family, settings: CollectorSettings) -> Family:
    if family is STATE and settings.state_set:
        return STATE_SET
    if isinstance(family, LabelFamily) and family.labels_optional:
        included = settings.info_labels_include or family.labels
        kept = [label for label in family.labels if label in included and label not in settings.info_labels_exclude]
        return _keep_labels(family, kept) if len(kept) < len(family.labels) else family
    return family


def _keep_labels(family: LabelFamily, labels: list[str]) -> LabelFamily:
    indexes = [list(family.labels).index(label) for label in labels]

    def samples(value: object) -> list[Sample]:
        return [(tuple([values[index] for index in indexes]), number) for values, number in family.samples(value)]

    return replace(family, labels={label: family.labels[label] for label in labels}, samples=samples)


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
