import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.utils import floatToGoString

from exporter.exposition.numbers import format_milliseconds, format_value
from exporter.exposition.text import Syntax, render_header, render_lines
from exporter.families import Family, LabelFamily, SnapshotFamily, full_name, select_collectors
from exporter.families.family import Sample
from exporter.polling.snapshot import Snapshot, next_snapshot
from exporter.settings import CollectorSettings
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.paging import Listing
from reference import render_reference
from support import DATA, account, server, snapshot

FAMILIES = [family for collector in select_collectors(CollectorSettings()) for family in collector.families]


def render(family: Family, shown: Snapshot, syntax: Syntax) -> bytes:
    return render_header(family, syntax) + render_lines(family, shown)


def family_of(samples: list[Sample], *labels: str, text: str = "Help.") -> SnapshotFamily:
    return SnapshotFamily("thing", text, lambda _: samples, dict.fromkeys(labels, "name"))


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
@pytest.mark.parametrize("family", FAMILIES, ids=full_name)
def test_the_example_is_written_as_prometheus_client_writes_it(family: Family, syntax: Syntax) -> None:
    page = Records(SOURCE_SERVERS).page((DATA / "list-servers-200.json").read_bytes())
    distinct = [replace(one, id=f"s{number}") for number, one in enumerate(page.records)]
    before = next_snapshot(Listing(tuple(distinct), 10), account(), 1.0, None)
    changed = replace(distinct[0], state="waiting", replicatesize=5)
    shown = next_snapshot(Listing((changed, *distinct[1:]), 10), account(), 2.0, before)
    assert render(family, shown, syntax) == render_reference(family, shown, syntax)


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
@given(
    account_name=st.text(min_size=1),
    pairs=st.lists(st.tuples(st.text(), st.text(), st.floats() | st.integers(-(2**60), 2**60)), max_size=5),
    text=st.text(),
)
def test_hostile_labels_and_any_number_are_written_as_prometheus_client_writes_them(
    syntax: Syntax,
    account_name: str,
    pairs: list[tuple[str, str, float]],
    text: str,
) -> None:
    family = family_of([((a, z), number) for a, z, number in pairs], "aa", "zz", text=text)
    shown = snapshot(account=account_name)
    assert render(family, shown, syntax) == render_reference(family, shown, syntax)


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
@given(server_id=st.text(min_size=1), values=st.tuples(st.text(), st.text()))
def test_hostile_server_ids_are_written_as_prometheus_client_writes_them(
    syntax: Syntax,
    server_id: str,
    values: tuple[str, str],
) -> None:
    family = LabelFamily("thing", "Help.", lambda _: [(values, 1)], {"aa": "name", "zz": "ip"})
    shown = snapshot(server(server_id))
    assert render(family, shown, syntax) == render_reference(family, shown, syntax)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("source_server_size_bytes", "bytes"),
        ("task_migrate_speed_bytes_per_second", "bytes_per_second"),
        ("task_started_timestamp_seconds", "seconds"),
        ("task_subtask_progress_ratio", "ratio"),
        ("source_server_cpus", ""),
    ],
)
def test_openmetrics_names_the_unit_and_the_text_format_does_not(name: str, unit: str) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    unit_line = f"# UNIT huaweicloud_sms_{name} {unit}\n".encode()
    assert render_header(family, "openmetrics").endswith(unit_line) == bool(unit)
    assert b"# UNIT" not in render_header(family, "text")


@given(st.floats() | st.integers(-(2**63), 2**63))
def test_numbers_are_written_as_prometheus_client_writes_them(number: float) -> None:
    assert format_value(number) == floatToGoString(number or 0.0)  # type: ignore[no-untyped-call]
    assert math.isnan(number) or float(format_value(number)) == float(number)


@pytest.mark.parametrize("number", [0, 1, 100, 101, 10**6, 123_400_000, 10**12, 2**53, 10**15, 10**16, 10**21])
@pytest.mark.parametrize("distance", [-1, 0, 1])
@pytest.mark.parametrize("sign", [1, -1, 1.0, -1.0, 0.1])
def test_numbers_at_the_bounds_of_their_notation_are_written_as_prometheus_client_writes_them(
    number: int, distance: int, sign: float
) -> None:
    value = sign * (number + distance) or 0.0
    assert format_value(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


def test_negative_zero_is_written_as_zero() -> None:
    assert format_value(-0.0) == "0.0"


@pytest.mark.parametrize("milliseconds", [1, 999, 10**12 - 1, 10**12, 1_700_000_000_000, 10**13 - 1, 10**13, 10**15])
def test_dates_at_the_bounds_of_their_notation_are_written_as_prometheus_client_writes_them(milliseconds: int) -> None:
    assert format_milliseconds(milliseconds) == floatToGoString(milliseconds / 1000)  # type: ignore[no-untyped-call]


@given(st.integers(1, 2**63))
def test_dates_are_written_as_prometheus_client_writes_their_seconds(milliseconds: int) -> None:
    assert format_milliseconds(milliseconds) == floatToGoString(milliseconds / 1000)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("family", FAMILIES, ids=full_name)
def test_a_family_declares_its_labels_in_the_order_of_the_exposition(family: Family) -> None:
    assert list(family.labels) == sorted(family.labels)
    assert "account" not in family.labels


def test_family_names_are_unique() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
