"""Search, filters and order of servers, and their export."""

import csv
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from exporter.views.selection import FILTERS, SORT_KEYS, SORTS, ServerQuery, filter_values, select_servers
from exporter.views.servers import build_server_views
from exporter.views.tables import FIELDS, write_csv, write_json, write_tsv
from support import server, snapshot

SERVERS = build_server_views(
    [
        snapshot(
            server("id-1", name="Web-1", ip="10.0.0.1", state="replicate", totalsize=100, replicatesize=20),
            server("id-2", name="db-1", ip="10.0.0.2", state="error", os_type="LINUX", enterprise_project_id=0),
            server("id-3", name="db-2", ip="10.0.1.3", state="waiting", migration_cycle="checking"),
            account="north",
        ),
        snapshot(
            server("id-4", state="replicate", totalsize=100, replicatesize=80, current_task={"remain_seconds": 60}),
            account="east",
        ),
    ]
)


def ids(**query: object) -> list[str]:
    return [found.id for found in select_servers(SERVERS, ServerQuery(**query))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("web", ["id-1"]),
        (" DB- ", ["id-2", "id-3"]),
        ("10.0.0.", ["id-2", "id-1"]),
        ("ID-4", ["id-4"]),
        ("nothing", []),
        ("", ["id-2", "id-4", "id-1", "id-3"]),
    ],
)
def test_the_search_looks_for_a_part_of_name_address_or_id(search: str, found: list[str]) -> None:
    assert ids(search=search) == found


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"account": {"east"}}, ["id-4"]),
        ({"state": {"replicate"}}, ["id-4", "id-1"]),
        ({"state": {"replicate", "error"}, "account": {"north"}}, ["id-2", "id-1"]),
        ({"stage": {"checking"}}, ["id-3"]),
        ({"os": {"LINUX"}}, ["id-2"]),
        ({"problem": {"any"}}, ["id-2"]),
        ({"problem": {"failed", "stalled"}}, ["id-2"]),
        ({"problem": {"stalled"}}, []),
        ({"project": {"0"}}, ["id-2"]),
    ],
)
def test_a_server_must_match_every_filter(filters: dict[str, set[str]], found: list[str]) -> None:
    assert ids(filters={name: frozenset(values) for name, values in filters.items()}) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("urgency", ["id-2", "id-4", "id-1", "id-3"]),
        ("name", ["id-2", "id-3", "id-4", "id-1"]),
        ("-name", ["id-1", "id-4", "id-3", "id-2"]),
        ("replicated", ["id-1", "id-4", "id-2", "id-3"]),
        ("-replicated", ["id-4", "id-1", "id-2", "id-3"]),
        ("account", ["id-4", "id-1", "id-2", "id-3"]),
    ],
)
def test_servers_without_a_value_are_last_in_either_order(sort: str, found: list[str]) -> None:
    assert ids(sort=sort) == found


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_contains_every_server(sort: str) -> None:
    assert sorted(ids(sort=sort)) == ["id-1", "id-2", "id-3", "id-4"]


def test_the_values_of_a_filter_are_those_that_occur() -> None:
    assert filter_values(SERVERS, "state") == [("error", 1), ("replicate", 2), ("waiting", 1)]
    assert filter_values(SERVERS, "problem") == [("any", 1), ("failed", 1)]
    assert set(FILTERS) == {"account", "state", "stage", "os", "problem", "project"}


def test_every_field_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in FIELDS if f"`{name}`" not in page] == []
    assert [name for name in SORT_KEYS if f"`{name}`" not in page] == []


NASTY = build_server_views([snapshot(server("a", name='x,"y"\n=1\t\x1b[2J', state="error", totalsize=3))])


def test_json_has_numbers_as_numbers_and_null_for_unknown_values() -> None:
    records = json.loads(write_json(SERVERS))
    assert [list(record) for record in records] == [list(FIELDS)] * 4
    first = records[0]
    assert (first["name"], first["size_bytes"], first["replicated_percent"]) == ("Web-1", 100, 20.0)
    assert (first["speed_bytes_per_second"], first["problems"]) == (None, [])
    assert json.loads(write_json([])) == []
    assert json.loads(write_json(NASTY))[0]["name"] == 'x,"y"\n=1\t\x1b[2J'


def test_csv_escapes_control_characters_and_keeps_quotes_and_commas() -> None:
    header, row = csv.reader(write_csv(NASTY).splitlines(keepends=True))
    assert header == list(FIELDS)
    record = dict(zip(header, row, strict=True))
    assert record["name"] == r'x,"y"\n=1\t\x1b[2J'
    assert (record["size_bytes"], record["speed_bytes_per_second"], record["problems"]) == ("3", "", "failed")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("\t=1", r"'\t=1"),
        ("\r=1", r"'\r=1"),
        ("web-1", "web-1"),
    ],
)
def test_a_name_cannot_become_a_formula_of_a_spreadsheet(name: str, cell: str) -> None:
    views = build_server_views([snapshot(server("a", name=name, totalsize=3))])
    header, row = csv.reader(write_csv(views).splitlines(keepends=True))
    assert dict(zip(header, row, strict=True))["name"] == cell


def test_a_negative_number_in_csv_stays_a_number() -> None:
    (view,) = build_server_views([snapshot(server("a", name="web"))])
    header, row = csv.reader(write_csv([replace(view, remaining=-5.0)]).splitlines(keepends=True))
    assert dict(zip(header, row, strict=True))["remaining_seconds"] == "-5"


def test_a_name_cannot_add_lines_or_columns_to_tab_separated_output() -> None:
    header, row = write_tsv(NASTY).splitlines()
    assert header.split("\t") == list(FIELDS)
    assert row.split("\t")[1] == r'x,"y"\n=1\t\x1b[2J'
    assert row.count("\t") == len(FIELDS) - 1
