import csv
import io
from typing import Any

import pytest
from aiohttp import web
from multidict import MultiDict

from exporter.polling.migrations import Migration
from exporter.polling.state import Account, AccountState
from exporter.views.migrations import FIELDS, list_ended_migrations, write_migrations_csv
from exporter.web.pages.migrations import (
    MIGRATIONS_PER_PAGE,
    build_migrations_page,
    format_migrations_query,
    parse_result,
)
from support import NOW, account


def migration(server_id: str = "s1", **fields: Any) -> Migration:
    return Migration(**{"server_id": server_id, "name": "web", "result": "finished", "ended_at": NOW, **fields})


def recorded(*migrations: Migration, name: str = "default") -> Account:
    return Account(account(account={"name": name}), AccountState(migrations=migrations))


def test_the_migrations_of_all_accounts_are_listed_with_the_last_one_to_end_first() -> None:
    shop = recorded(migration("a", ended_at=1.0), migration("b", ended_at=3.0), name="shop")
    depot = recorded(migration("c", ended_at=2.0), name="depot")
    rows = list_ended_migrations([shop, depot])
    assert [(row.account, row.migration.server_id) for row in rows] == [("shop", "b"), ("depot", "c"), ("shop", "a")]


def test_a_page_has_the_migrations_of_one_result_and_the_counts_of_both() -> None:
    shop = recorded(migration("a"), migration("b", result="failed"), migration("c"))
    found = build_migrations_page([shop], "failed", 1)
    assert [row.migration.server_id for row in found.rows] == ["b"]
    assert (found.count, found.counts) == (1, {"finished": 2, "failed": 1})


def test_a_page_beyond_the_end_is_the_last_one() -> None:
    shop = recorded(*(migration(f"s{number}") for number in range(MIGRATIONS_PER_PAGE + 1)))
    found = build_migrations_page([shop], None, 9)
    assert (found.page, found.pages, found.first, len(found.rows)) == (2, 2, MIGRATIONS_PER_PAGE + 1, 1)


def test_csv_has_every_field_and_no_formula() -> None:
    ended = migration(
        name="=1+1", ip="10.0.0.1", task_id="t1", started_at=NOW - 60, size=5, replicated=4, error_code="SMS.1"
    )
    header, row = csv.reader(io.StringIO(write_migrations_csv(list_ended_migrations([recorded(ended)]))))
    assert header == list(FIELDS)
    assert dict(zip(header, row, strict=True)) == {
        "account": "default",
        "name": "'=1+1",
        "ip": "10.0.0.1",
        "id": "s1",
        "task_id": "t1",
        "result": "finished",
        "error_code": "SMS.1",
        "start_seconds": "1799999940",
        "end_seconds": "1800000000",
        "duration_seconds": "60",
        "size_bytes": "5",
        "replicated_bytes": "4",
    }


def test_unknown_values_are_empty_in_csv() -> None:
    (_, row) = csv.reader(io.StringIO(write_migrations_csv(list_ended_migrations([recorded(migration())]))))
    assert row == ["default", "web", "", "s1", "", "finished", "", "", "1800000000", "", "", ""]


def test_a_result_that_does_not_exist_is_rejected() -> None:
    assert parse_result(MultiDict(result="failed")) == "failed"
    assert parse_result(MultiDict(result="")) is parse_result(MultiDict()) is None
    with pytest.raises(web.HTTPBadRequest):
        parse_result(MultiDict(result="<script>"))


def test_links_keep_the_parameters_that_they_do_not_change() -> None:
    query = {"account": "a&b", "result": "failed"}
    assert format_migrations_query(query, page=2) == "account=a%26b&result=failed&page=2"
    assert format_migrations_query({"account": None, "result": "failed"}, result="") == ""
