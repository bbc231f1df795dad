"""Every field of the API reference is exposed in base units, or left out for a documented reason."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from exporter.exposition.text import render_header, render_lines
from exporter.families import FLEET, OPTIONAL_COLLECTORS
from exporter.families.family import fields_of
from exporter.polling.snapshot import next_snapshot
from exporter.settings import FilterSettings
from exporter.simulator import Fleet
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.paging import merge
from records import MODEL_FIELDS, SUBTASK, complete_record, distinct_value, put
from support import DATA, NOW, FakeClock, Scrape, account
from tools.docs.fields import ELSEWHERE, LEFT_OUT, exposed_fields

FAMILIES = [family for collector in (FLEET, *OPTIONAL_COLLECTORS) for family in collector.families]
LEFT_OUT_TEXT = "text that must not be exposed"
LEFT_OUT_NUMBER = 1_700_000_123_000
LOGICAL_VOLUME = "init_target_server.volume_groups[].logical_volumes[]"


def expose(record: dict[str, Any]) -> Scrape:
    """Return what is exposed of a record that replaced one in another state."""
    shown = None
    for each in ({"id": record["id"], "state": "waiting"}, record):
        page = Records(SOURCE_SERVERS).page(msgspec.json.encode({"count": 1, "source_servers": [each]}))
        assert page.unreadable == {}
        shown = next_snapshot(merge([page], 1), account(), NOW, shown)
    assert shown is not None
    text = b"".join(render_header(family, "text") + render_lines(family, shown) for family in FAMILIES)
    return Scrape(text.decode())


def exposed_value(metric: str, path: str, value: Any) -> float:
    """Return the value in seconds, bytes per second or ratios."""
    if metric == "source_server_replicated_bytes_last_increase_timestamp_seconds":
        return NOW
    if path == SUBTASK:
        return 0.37
    if path.endswith(("_date", "_time")):
        return float(value / 1000)
    if path.endswith(("speed_limit", "migrate_speed")):
        return float(value * 125_000)
    return float(value)


@pytest.mark.parametrize("path", exposed_fields())
def test_a_field_is_exposed_where_the_table_says(path: str) -> None:
    record = complete_record()
    if path == f"{LOGICAL_VOLUME}.inode_size":
        # The number of inodes is read from it only in the absence of the other field.
        put(record, f"{LOGICAL_VOLUME}.inode_nums", None)
    value = distinct_value(path, MODEL_FIELDS[path])
    exposed = expose(record)
    for place in exposed_fields()[path]:
        metric, _, label = place.partition(":")
        samples = exposed.values(metric)
        if label:
            expected = {"subtask": "SYNC_LINUX", "connected": "true"}.get(label, value)
            assert any(number for labels, number in samples.items() if (label, expected) in labels), (place, samples)
        else:
            assert exposed_value(metric, path, value) in samples.values(), place


@pytest.mark.parametrize("path", LEFT_OUT)
def test_a_field_that_is_left_out_is_not_exposed(path: str) -> None:
    for value in (LEFT_OUT_TEXT, LEFT_OUT_NUMBER):
        record = complete_record()
        put(record, path, value)
        text = expose(record).text
        assert LEFT_OUT_TEXT not in text
        assert "1.700000123" not in text


def test_every_field_of_the_model_is_read_by_a_family() -> None:
    unread = MODEL_FIELDS.keys() - exposed_fields().keys()
    assert not unread, "declare a metric or a label in exporter/families, or remove the field from the model"


def test_families_declare_only_fields_of_the_model() -> None:
    for family in FAMILIES:
        unknown = fields_of(family) - MODEL_FIELDS.keys()
        assert not unknown, f"{family.name} reads a field that exporter/sms/model.py does not have"


def test_the_tables_have_every_field_of_the_reference() -> None:
    lines = (DATA / "reference-fields.txt").read_text().splitlines()
    reference = {line for line in lines if line and not line.startswith("#")}
    elsewhere = {f"{table}/{field}" for table, fields in ELSEWHERE.items() for field in fields}
    documented = MODEL_FIELDS.keys() | LEFT_OUT.keys() | elsewhere
    assert reference - documented == set(), "expose the field, or give the reason in LEFT_OUT of tools/docs/fields.py"
    assert documented - reference == set(), "add the field to tests/data/reference-fields.txt"


def test_no_field_is_both_exposed_and_left_out() -> None:
    assert not MODEL_FIELDS.keys() & LEFT_OUT.keys()


def test_every_query_parameter_is_an_option() -> None:
    parameters = ELSEWHERE["Table 1: query parameters"].keys() - {"limit", "offset"}
    assert parameters == FilterSettings.model_fields.keys()


def list_paths(value: Any, path: str = "") -> Iterator[str]:
    """Return the path of each value that is not null."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from list_paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from list_paths(item, f"{path}[]")
    elif value is not None:
        yield path


def test_the_example_of_the_reference_has_no_field_that_the_tables_lack() -> None:
    content = msgspec.json.decode((DATA / "list-servers-200.json").read_bytes())
    empty = {"current_task", "current_task.clone_server", "checks"}
    found = {path for one in content["source_servers"] for path in list_paths(one)} - empty
    assert found <= MODEL_FIELDS.keys() | LEFT_OUT.keys()


def test_the_simulator_has_a_value_for_every_field_of_the_model() -> None:
    fleet = Fleet(300, seed=1, clock=FakeClock())
    simulated = {path for record in fleet.records() for path in list_paths(record)}
    assert MODEL_FIELDS.keys() - simulated == set(), "give the field a value in exporter/simulator"
