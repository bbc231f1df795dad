"""Every field of the lists that optional collectors read is exposed, or left out for a documented reason."""

from typing import Any

import msgspec
import pytest

from exporter.exposition.text import render_header, render_lines
from exporter.families import DETAIL_COLLECTORS
from exporter.families.family import fields_of
from exporter.polling.details import DETAIL_LISTS
from exporter.polling.snapshot import Details, Snapshot
from exporter.sms.decoding import Records
from support import DATA, NOW, Scrape, server
from tools.docs.fields import DETAILS_LEFT_OUT, exposed_detail_fields

LEFT_OUT_TEXT = "text that must not be exposed"
RECORDS: dict[str, dict[str, Any]] = {"errors": {"source_id": "s1", "error_json": "SMS.0515 the disks have changed"}}
"""For each collector the record of one server, with all fields that are exposed."""
EXPECTED = {"errors[].source_id": "s1", "errors[].error_json": "SMS.0515"}
"""What is exposed of these fields: the value of a label."""


def expose(collector: str, record: dict[str, Any]) -> Scrape:
    """Return what is exposed of one record of a collector's list."""
    endpoint = DETAIL_LISTS[collector].endpoint
    page = Records(endpoint).page(msgspec.json.encode({"count": 1, endpoint.envelope_key: [record]}))
    assert page.unreadable == {}
    details = Details(NOW, {each.id: each for each in page.records})
    shown = Snapshot("default", NOW, (server("s1"),), 1, details={collector: details})
    families = next(each.families for each in DETAIL_COLLECTORS if each.name == collector)
    return Scrape(b"".join(render_header(family, "text") + render_lines(family, shown) for family in families).decode())


def test_the_tables_have_every_field_of_the_reference() -> None:
    lines = (DATA / "reference-fields-of-details.txt").read_text().splitlines()
    reference = {line for line in lines if line and not line.startswith("#")}
    assert exposed_detail_fields().keys() | DETAILS_LEFT_OUT.keys() == reference
    assert not exposed_detail_fields().keys() & DETAILS_LEFT_OUT.keys()


@pytest.mark.parametrize("path", exposed_detail_fields())
def test_a_field_is_exposed_where_the_table_says(path: str) -> None:
    collector = path.partition("[")[0]
    seen = expose(collector, RECORDS[collector])
    for place in exposed_detail_fields()[path]:
        metric, _, label = place.partition(":")
        assert EXPECTED[path] in seen.label_values(metric, label), place


@pytest.mark.parametrize("path", DETAILS_LEFT_OUT)
def test_a_field_that_is_left_out_is_not_exposed(path: str) -> None:
    collector, _, field = path.partition("[].")
    assert LEFT_OUT_TEXT not in expose(collector, {**RECORDS[collector], field: LEFT_OUT_TEXT}).text


@pytest.mark.parametrize("collector", DETAIL_COLLECTORS, ids=lambda collector: collector.name)
def test_every_family_declares_fields_of_its_own_list(collector: Any) -> None:
    for family in collector.families:
        assert {field.partition("[")[0] for field in fields_of(family)} == {collector.name}
