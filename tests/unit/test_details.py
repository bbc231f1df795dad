"""The records of the lists beside the list of source servers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.sms.decoding import Page, Records
from exporter.sms.details import (
    UNKNOWN_ERROR,
    MigrationError,
    MigrationTask,
    TaskSource,
    find_error_code,
    index_errors,
    index_tasks,
)
from exporter.sms.endpoints import MIGRATION_ERRORS, MIGRATION_TASKS, Endpoint


def page_of(endpoint: Endpoint[Any], *records: Mapping[str, object]) -> Page[Any]:
    body = {"count": len(records), endpoint.envelope_key: records}
    return Records(endpoint).page(json.dumps(body).encode())


def test_an_undocumented_name_of_a_subtask_is_kept_and_counted() -> None:
    subtasks = [{"name": "CLONE_VM"}, {"name": "NEW"}]
    page = page_of(MIGRATION_TASKS, {"id": "t1", "sub_tasks": subtasks})
    assert [subtask.name for subtask in page.records[0].sub_tasks] == ["CLONE_VM", "NEW"]
    assert page.unknown == {("sub_tasks.name", "NEW"): 1}


@pytest.mark.parametrize(("percent", "read"), [(0, 0), (100, 100), ("100", 100), (100.1, None), (-1, None)])
def test_a_share_is_at_most_a_hundred_percent(percent: object, read: float | None) -> None:
    page = page_of(MIGRATION_TASKS, {"id": 5, "total_cpu_usage": percent})
    assert page.records[0].total_cpu_usage == read


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SMS.0515", "SMS.0515"),
        ('[{"code": "SMS.0515"}, {"code": "SMS.0001"}]', "SMS.0515"),
        ("SMS.05155 SMS.0001", "SMS.0001"),
        ("SMS.051", UNKNOWN_ERROR),
        ("", UNKNOWN_ERROR),
        (None, UNKNOWN_ERROR),
    ],
)
def test_the_first_code_of_an_error_is_found(text: str | None, code: str) -> None:
    assert find_error_code(text) == code
    assert MigrationError(id="a", error_json=text).code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [(None, None), ("", None), (" {} ", None), ("null", None), ("[]", None), ('""', None), ("x", UNKNOWN_ERROR)],
)
def test_a_task_without_an_error_has_no_code(text: str | None, code: str | None) -> None:
    assert MigrationTask(id="t", error_json=text).code == code


def test_of_several_errors_of_a_server_the_first_with_a_code_is_kept() -> None:
    errors = [{"source_id": "a", "error_json": text} for text in ("?", "SMS.0515", "SMS.0001")]
    page = page_of(MIGRATION_ERRORS, *errors)
    assert {server: error.code for server, error in index_errors(page.records).items()} == {"a": "SMS.0515"}


def task(name: str, server: str | None, create_date: int | None) -> MigrationTask:
    return MigrationTask(id=name, source_server=TaskSource(id=server), create_date=create_date)


def test_the_newest_task_of_a_server_is_kept() -> None:
    tasks = [task("t1", "a", 5), task("t2", "a", 4), task("t3", "a", None), task("t4", "b", 1), task("t5", "b", None)]
    tasks += [task("t6", None, 9), task("t7", "", 9), MigrationTask(id="t8")]
    assert {server: each.id for server, each in index_tasks(tasks).items()} == {"a": "t1", "b": "t4"}
