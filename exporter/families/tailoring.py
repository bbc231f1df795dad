"""Families as the options want them: all states instead of one, fewer words in the `_info` metrics."""

from dataclasses import replace

from exporter.families.family import Collector, Family, Sample, ServerFamily
from exporter.families.servers import STATE, STATE_SET
from exporter.model import SourceServer
from exporter.settings import CollectorSettings


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
