"""Every field of the lists that optional collectors read is exposed, or left out for a documented reason."""

import asyncio
import copy
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from exporter.exposition.text import render_header, render_lines
from exporter.families import DETAIL_COLLECTORS
from exporter.families.family import fields_of
from exporter.families.selection import DROP_ORDER
from exporter.polling.collectors import DETAIL_COLLECTORS as READERS
from exporter.polling.detail_client import LeftOut
from exporter.polling.snapshot import Details, Snapshot
from exporter.settings import CollectorSettings
from exporter.settings.tree import DETAIL_COLLECTORS as OPTIONS
from exporter.sms.decoding import Records
from exporter.sms.details import MigrationTask, TaskSource, index_tasks
from exporter.sms.endpoints import Endpoint
from exporter.sms.paging import WHOLE_LIST, Listing, Narrowing, merge
from records import MODEL_FIELDS, put
from support import DATA, NOW, Scrape, server
from tools.docs.fields import DETAILS_LEFT_OUT, exposed_detail_fields

LEFT_OUT_TEXT = "text that must not be exposed"
READ_AND_LEFT_OUT: dict[str, Any] = {"task_details[].create_date": 1_712_345_678_000, "projects[].exist_server": False}
"""The fields that are read but not exposed, which are no text."""
RECORDS: dict[str, dict[str, Any]] = {
    "errors": {"source_id": "s1", "error_json": "SMS.0515 the disks have changed"},
    "task_details": {
        "id": "t1",
        "error_json": "SMS.0805 the network failed",
        "migration_ip": "2001:DB8::1",
        "sub_tasks": [
            {"name": "SYNC_LINUX_FILE", "progress": 37, "start_date": NOW * 1000, "end_date": 1_700_000_000_500}
        ],
        "source_server": {"id": "s1"},
        "target_server": {},
        "syncing": True,
        "network_check_info": {
            "domain_connectivity": True,
            "destination_connectivity": False,
            "network_delay": 12.5,
            "network_jitter": 1.5,
            "migration_speed": 3,
            "loss_percentage": 2,
        },
        "total_cpu_usage": 41,
        "agent_cpu_usage": 12,
        "total_mem_usage": 5,
        "agent_mem_usage": 6,
        "total_disk_io": 7,
        "agent_disk_io": 8,
    },
    "projects": {
        "id": "p1",
        "name": "wave-1",
        "isdefault": True,
        "region": "ap-southeast-3",
        "speed_limit": 8,
        "type": "MIGRATE_FILE",
        "enterprise_project": "shop",
    },
    "consistency": {
        "task_id": "t1",
        "result_list": [
            {
                "finished_time": 1_700_000_000_500,
                "consistency_result": [
                    {
                        "num_total_files": 100,
                        "num_different_files": 11,
                        "num_target_miss_files": 12,
                        "num_target_more_files": 13,
                    }
                ],
            }
        ],
    },
}
"""For each collector the record of one server, with fields that are exposed."""
EXPECTED: dict[str, str | float] = {
    "source_server_error:server_id": "s1",
    "source_server_error:error_code": "SMS.0515",
    "source_servers_by_error:error_code": "SMS.0515",
    "task_error:server_id": "s1",
    "task_error:error_code": "SMS.0805",
    "task_target_info:address": "2001:db8::1",
    "task_target_info": 1,
    "task_subtask_start_timestamp_seconds:subtask": "SYNC_LINUX_FILE",
    "task_subtask_end_timestamp_seconds:subtask": "SYNC_LINUX_FILE",
    "task_subtask_completed_ratio:subtask": "SYNC_LINUX_FILE",
    "task_subtask_start_timestamp_seconds": NOW,
    "task_subtask_end_timestamp_seconds": 1_700_000_000.5,
    "task_subtask_completed_ratio": 0.37,
    "task_last_sync_timestamp_seconds": 1_700_000_000.5,
    "task_continuous_sync": 1,
    "task_source_cpu_ratio": 0.41,
    "task_agent_cpu_ratio": 0.12,
    "task_source_memory_bytes": 5 * 2**20,
    "task_agent_memory_bytes": 6 * 2**20,
    "task_source_disk_bytes_per_second": 7 * 125_000,
    "task_agent_disk_bytes_per_second": 8 * 125_000,
    "task_network_delay_seconds": 0.0125,
    "task_network_jitter_seconds": 0.0015,
    "task_network_loss_ratio": 0.02,
    "task_network_speed_bytes_per_second": 3 * 125_000,
    "task_network_reachable:destination": "target",
    "task_network_reachable": 0,
    "migration_project_info:default": "true",
    "migration_project_info:enterprise_project": "shop",
    "migration_project_info:project": "wave-1",
    "migration_project_info:project_id": "p1",
    "migration_project_info:target_region": "ap-southeast-3",
    "migration_project_info:type": "MIGRATE_FILE",
    "migration_project_speed_limit_bytes_per_second:project_id": "p1",
    "migration_project_speed_limit_bytes_per_second": 1_000_000,
    "source_server_project_info:project": "wave-1",
    "source_server_project_info:project_id": "p1",
    "migration_project_source_servers:project_id": "p1",
    "migration_project_size_bytes:project_id": "p1",
    "migration_project_replicated_bytes:project_id": "p1",
    "task_consistency_checked_timestamp_seconds:server_id": "s1",
    "task_consistency_checked_timestamp_seconds": 1_700_000_000.5,
    "task_consistency_checked_files": 100,
    "task_consistency_files:result": "different",
    "task_consistency_files": 12,
}
"""What these metrics, or their labels, have of the records."""


class Responses:
    """A client of the API that has one record in each list, or one object."""

    has_time = True

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.left_out = LeftOut()
        self.filters: dict[str, str] = {}

    async def read_list(self, endpoint: Endpoint[Any], _: Narrowing = WHOLE_LIST) -> Listing[Any]:
        rows = [self.record] if endpoint.path != "/v3/sources" else [{"id": "s1"}]
        page = Records(endpoint).page(msgspec.json.encode({"count": 1, endpoint.envelope_key: rows}))
        assert page.unreadable == {}
        return merge([page], 1)

    async def read_object(self, *_: str) -> bytes:
        return msgspec.json.encode(self.record)


def expose(collector: str, record: dict[str, Any]) -> Scrape:
    """Return what is exposed of one record of a collector."""
    own = server("s1", state="syncing", is_consistency_result_exist=True, current_task={"id": "t1"})
    shown = Snapshot("default", NOW, (own,), 1)
    responses: Any = Responses(record)
    reading = asyncio.run(READERS[collector].read(responses, shown, {}))
    assert reading.error is None
    assert not responses.left_out.unreadable
    shown = replace(shown, details={collector: Details(NOW, reading.records)})
    families = next(each.families for each in DETAIL_COLLECTORS if each.name == collector)
    return Scrape(b"".join(render_header(family, "text") + render_lines(family, shown) for family in families).decode())


def test_every_collector_has_an_option_a_reader_families_and_a_place_in_the_order_of_dropping() -> None:
    names = {collector.name for collector in DETAIL_COLLECTORS}
    assert names == set(OPTIONS) == set(READERS) == set(RECORDS)
    assert names <= set(DROP_ORDER)
    assert names <= set(CollectorSettings.model_fields)


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
        found = seen.label_values(metric, label) if label else list(seen.values(metric).values())
        assert any(value == pytest.approx(EXPECTED[place]) for value in found), (place, found)


@pytest.mark.parametrize("path", DETAILS_LEFT_OUT)
def test_a_field_that_is_left_out_is_not_exposed(path: str) -> None:
    collector, _, field = path.partition("[].")
    record = copy.deepcopy(RECORDS[collector])
    put(record, field, READ_AND_LEFT_OUT.get(path, LEFT_OUT_TEXT))
    text = expose(collector, record).text
    assert LEFT_OUT_TEXT not in text
    assert "1712345678" not in text


@pytest.mark.parametrize("collector", DETAIL_COLLECTORS, ids=lambda collector: collector.name)
def test_every_family_declares_fields_of_its_own_list_and_of_no_other_collector(collector: Any) -> None:
    for family in collector.families:
        own = {field for field in fields_of(family) if field.startswith(f"{collector.name}[].")}
        assert own
        assert fields_of(family) - own <= set(MODEL_FIELDS)


def test_of_several_tasks_of_a_server_the_newest_counts() -> None:
    tasks = [
        MigrationTask(id="t1", create_date=2, source_server=TaskSource(id="s1")),
        MigrationTask(id="t2", create_date=1, source_server=TaskSource(id="s1")),
        MigrationTask(id="t3", source_server=TaskSource()),
        MigrationTask(id="t4"),
    ]
    assert {server_id: task.id for server_id, task in index_tasks(tasks).items()} == {"s1": "t1"}


@pytest.mark.parametrize("text", ["", "null", "{}", "[]", None])
def test_a_task_without_an_error_text_has_no_error(text: str | None) -> None:
    assert not expose("task_details", {**RECORDS["task_details"], "error_json": text}).values("task_error")


@pytest.mark.parametrize(
    ("migration_ip", "ip", "address"),
    [
        (None, "192.0.2.7", "192.0.2.7"),
        ("", "192.0.2.7", "192.0.2.7"),
        ("target.example.com", "192.0.2.7", "192.0.2.7"),
        (" 198.51.100.1 ", "192.0.2.7", "198.51.100.1"),
        ("192.0.2.7/24", None, None),
        (None, None, None),
    ],
)
def test_the_address_of_the_target_is_a_valid_ip_address_or_absent(
    migration_ip: str | None, ip: str | None, address: str | None
) -> None:
    record = {**RECORDS["task_details"], "migration_ip": migration_ip, "target_server": {"ip": ip}}
    assert expose("task_details", record).label_values("task_target_info", "address") == ([address] if address else [])


def test_undocumented_subtasks_are_other_and_repeated_ones_are_one_series() -> None:
    subtasks = [
        {"name": "SYNC_LINUX_FILE", "progress": 100, "end_date": 9_000},
        {"name": "SYNC_LINUX_FILE", "progress": 20, "end_date": None},
        {"name": "NEW_STEP", "progress": 10},
        {"name": "OTHER_STEP", "progress": 30},
    ]
    seen = expose("task_details", {**RECORDS["task_details"], "sub_tasks": subtasks})
    ratios = {dict(own)["subtask"]: value for own, value in seen.values("task_subtask_completed_ratio").items()}
    assert ratios == {"SYNC_LINUX_FILE": 0.2, "other": 0.3}
    assert seen.value("task_last_sync_timestamp_seconds") == 9


def test_a_task_without_any_value_has_no_series() -> None:
    record = {"id": "t1", "source_server": {"id": "s1"}, "sub_tasks": [{}], "network_check_info": {}}
    assert not expose("task_details", record).samples
