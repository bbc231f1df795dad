"""The fields that the API documents are those of the reference."""

from typing import Any

import pytest

from exporter.sms.consistency import ConsistencyResult
from exporter.sms.details import MigrationError, MigrationProject, MigrationTask
from exporter.sms.documented import documented_fields, find_unknown_fields
from exporter.sms.model import Record, SourceServer
from support import DATA, example_servers
from tools.docs.fields import LEFT_OUT, list_model_fields

RESULT = "result_list[]."
TYPES: dict[str, type[Record]] = {
    "errors": MigrationError,
    "task_details": MigrationTask,
    "projects": MigrationProject,
    "consistency": ConsistencyResult,
}


@pytest.mark.parametrize("collector", TYPES)
def test_the_documented_fields_of_other_responses_are_those_of_the_reference(collector: str) -> None:
    lines = (DATA / "reference-fields-of-details.txt").read_text().splitlines()
    fields = {line.removeprefix(f"{collector}[].") for line in lines if line.startswith(f"{collector}[].")}
    fields = {field.removeprefix(RESULT) for field in fields} - ({"task_id"} if collector == "consistency" else set())
    assert documented_fields(TYPES[collector]) == fields


def test_the_documented_fields_of_a_source_server_are_those_of_the_reference() -> None:
    assert documented_fields(SourceServer) == {path for path, _ in list_model_fields()} | LEFT_OUT.keys()


def test_the_example_of_the_reference_has_no_unknown_field() -> None:
    assert not find_unknown_fields(example_servers(), SourceServer)


@pytest.mark.parametrize(
    ("record", "unknown"),
    [
        ({"name": "x", "new": {"inner": [1]}}, {"new": 1}),
        ({"current_task": {"target_server": {"vm_id": "x", "flavor": 1}}}, {"current_task.target_server.flavor": 1}),
        ({"checks": [{"new": 1}, {"new": 2}, 7, None]}, {"checks[].new": 2}),
        ({"checks": {"new": 1}, "current_task": [{"new": 1}], "name": {"new": 1}}, {"checks.new": 1}),
        ("text", {}),
        (None, {}),
    ],
)
def test_unknown_fields_are_found_at_any_depth(record: Any, unknown: dict[str, int]) -> None:
    assert find_unknown_fields([record], SourceServer) == unknown
