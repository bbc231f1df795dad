"""Families declare what they read: documentation and re-rendering rely on it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exporter.families import (
    DETAIL_COLLECTORS,
    FLEET,
    OPTIONAL_COLLECTORS,
    Family,
    LabelFamily,
    SnapshotFamily,
    select_collectors,
)
from exporter.families.family import ValueFamily, fields_of
from exporter.families.selection import DROP_ORDER
from exporter.polling.snapshot import Snapshot
from exporter.settings import CollectorSettings
from exporter.settings.tree import INFO_LABELS
from exporter.sms.model import SourceServer
from records import complete_record
from support import NOW, server

FAMILIES = [family for collector in (FLEET, *OPTIONAL_COLLECTORS) for family in collector.families]
COMPARED_WITH_THE_PREVIOUS_LIST = {
    "source_server_state_transitions": {"state"},
    "source_server_replicated_bytes_last_increase_timestamp_seconds": {"replicatesize"},
}
"""Fields that the poller reads for a family, to compare two lists."""


class ReadRecorder:
    """A record that notes the path of each field that is read."""

    def __init__(self, record: Any, path: str, read: set[str]) -> None:
        self._record = record
        self._path = path
        self._read = read

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}{name}"
        self._read.add(path)
        return self._wrap(getattr(self._record, name), path)

    def _wrap(self, value: Any, path: str) -> Any:
        if isinstance(value, msgspec.Struct):
            return ReadRecorder(value, f"{path}.", self._read)
        if isinstance(value, tuple):
            return tuple(self._wrap(item, f"{path}[]") for item in value)
        return value


def variants() -> Iterator[SourceServer]:
    """Return a record with all fields, and the records that lack one of them, at any depth."""
    complete = server(**{**complete_record(), "server_id": "s1", "id": "s1"})
    yield complete
    yield from without_one_field(complete)


def without_one_field(record: Any) -> Iterator[Any]:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name == "id" and isinstance(record, SourceServer):
            continue
        yield replace(record, **{name: None})
        if isinstance(value, msgspec.Struct):
            for less in without_one_field(value):
                yield replace(record, **{name: less})
        elif isinstance(value, tuple):
            yield replace(record, **{name: ()})
            for less in without_one_field(value[0]):
                yield replace(record, **{name: (less,)})


def read_samples(family: Family, one: Any) -> None:
    snapshot = Snapshot("default", NOW, (one,), 1, last_growth={"s1": NOW})
    match family:
        case SnapshotFamily():
            list(family.samples(snapshot))
        case LabelFamily():
            for value in family.read_values([record for _, record in family.rows.read(one)]):
                if value is not None:
                    list(family.samples(value))
        case ValueFamily():
            list(family.read_numbers([record for _, record in family.rows.read(one)], snapshot))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_reads_the_fields_that_it_declares_and_no_other(family: Family) -> None:
    read: set[str] = set()
    for one in variants():
        read_samples(family, ReadRecorder(one, "", read))
    declared = fields_of(family)
    containers = {path for path in read if any(field.startswith((f"{path}.", f"{path}[]")) for field in declared)}
    read_elsewhere = COMPARED_WITH_THE_PREVIOUS_LIST.get(family.name, set())
    undeclared = read - containers - declared - {"id"}
    assert undeclared == set(), f"{family.name} would become outdated: declare the field"
    assert declared - read == read_elsewhere, f"{family.name} would be rendered without need"


def test_the_options_for_info_labels_know_the_labels_of_the_info_metrics() -> None:
    labels = {
        label
        for family in FAMILIES
        if isinstance(family, LabelFamily) and family.labels_optional
        for label in family.labels
    }
    assert sorted(labels) == sorted(INFO_LABELS), "update INFO_LABELS in exporter/settings/tree.py"


def test_including_other_info_labels_leaves_the_subtask_of_a_task() -> None:
    settings = CollectorSettings(info_labels_include=("name",))
    labels = {
        family.name: tuple(family.labels) for collector in select_collectors(settings) for family in collector.families
    }
    assert labels["source_server_info"] == ("name",)
    assert labels["task_info"] == ()
    assert labels["task_subtask_info"] == ("subtask",)


def test_every_collector_that_can_be_turned_off_can_be_dropped_by_the_series_limit() -> None:
    optional = (*OPTIONAL_COLLECTORS, *DETAIL_COLLECTORS)
    assert sorted(DROP_ORDER) == sorted(collector.name for collector in optional)
    for collector in optional:
        assert collector.name in CollectorSettings.model_fields, "add the option collector.NAME"
