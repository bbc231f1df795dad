"""The collectors that send further requests, all at once: none affects another, and no other path is requested."""

import re

import pytest

from detail_api import POLL, READING, Api, refuse
from exporter.polling.collectors import DETAIL_COLLECTORS
from html_page import page
from support import NOW, FakeClock, Scrape, fetch, scrape

COLLECTORS = tuple(DETAIL_COLLECTORS)
ALL = dict.fromkeys(COLLECTORS, True)
READERS = len(COLLECTORS)

EXPOSED = {
    "errors": "source_server_error",
    "task_details": "task_continuous_sync",
    "consistency": "task_consistency_checked_files",
    "projects": "source_server_project_info",
}
"""A metric of each collector."""

PATHS = re.compile(r"/v3/(sources|errors|tasks|migprojects|tasks/[^/]+/consistency-result)")
"""Never the paths of commands, keys, passphrases, passwords and templates."""


@pytest.fixture
def api(clock: FakeClock) -> Api:
    api = Api(clock)
    api.servers[0] |= {"is_consistency_result_exist": True, "current_task": {"id": "t1", "vm_template_id": "v1"}}
    api.tasks = [{"id": "t1", "source_server": {"id": "s1"}, "syncing": True, "migration_ip": "192.0.2.1"}]
    api.results = {"t1": {"result_list": [{"consistency_result": [{"num_total_files": 3}]}]}}
    api.projects = [{"id": "p1", "name": "wave-1"}]
    api.members = {"s1": "p1"}
    return api


def exposed(seen: Scrape) -> set[str]:
    return {collector for collector, metric in EXPOSED.items() if seen.values(metric)}


def up(seen: Scrape) -> set[str]:
    return {dict(own)["collector"] for own, value in seen.values("collector_up").items() if value}


async def test_all_collectors_expose_their_data_and_request_no_other_path(api: Api) -> None:
    async with api.exporting(readers=READERS, collector=ALL) as service:
        await api.pass_time(2 * READING, tasks=1 + READERS)
        seen = await scrape(service.urls[0])
        for page in ("/sd?of=launched", "/servers/default/s1", "/probe?account=default"):
            assert (await fetch(f"{service.urls[0]}{page}"))[0] == 200
    assert exposed(seen) == up(seen) == set(COLLECTORS)
    assert [path for path in api.requests if not PATHS.fullmatch(path)] == []
    assert all(api.requests[path] for path in ("/v3/errors", "/v3/migprojects", "/v3/tasks/t1/consistency-result"))


@pytest.mark.parametrize("refused", COLLECTORS)
async def test_a_permission_that_is_removed_and_restored_affects_only_its_collector(api: Api, refused: str) -> None:
    api.answers[refused] = refuse
    others = set(COLLECTORS) - {refused}
    async with api.exporting(readers=READERS, collector=ALL) as service:
        seen = await scrape(service.urls[0])
        assert exposed(seen) == up(seen) == others
        del api.answers[refused]
        await api.pass_time(READING, tasks=1 + READERS)
        seen = await scrape(service.urls[0])
        assert exposed(seen) == up(seen) == set(COLLECTORS)
        # Removed again: the data stays for three intervals, and that of the others for ever.
        api.answers[refused] = refuse
        # A consistency result is requested again only after a change of the task.
        api.servers[0]["state_action_time"] = NOW * 1000
        await api.pass_time(3 * READING, tasks=1 + READERS)
        seen = await scrape(service.urls[0])
        assert (up(seen), exposed(seen)) == (others, set(COLLECTORS))
        await api.pass_time(READING, tasks=1 + READERS)
        seen = await scrape(service.urls[0])
    assert (up(seen), exposed(seen)) == (others, others)
    assert seen.value("up") == 1
    for collector in others:
        assert seen.total("collector_failures_total", collector=collector) == 0


@pytest.mark.parametrize("hanging", COLLECTORS)
async def test_an_endpoint_that_hangs_delays_neither_polls_nor_other_collectors(api: Api, hanging: str) -> None:
    api.hang(hanging)
    others = set(COLLECTORS) - {hanging}
    async with api.exporting(readers=READERS - 1, collector=ALL, api={"concurrency": 1}) as service:
        await api.pass_time(2 * READING, tasks=READERS)
        seen = await scrape(service.urls[0])
        assert (seen.value("up"), up(seen), exposed(seen)) == (1, others, others)
        assert seen.value("last_success_timestamp_seconds") == NOW + 2 * READING
        assert seen.value("exporter_polls_total") == 1 + 2 * READING / POLL
        for collector in others:
            read_at = seen.value("collector_last_success_timestamp_seconds", collector=collector)
            # Nothing has changed, so consistency requests nothing: its data is that of the list of the last poll.
            assert read_at == NOW + 2 * READING - (POLL if collector == "consistency" else 0)
        api.hanging[hanging].set()


async def test_the_page_of_a_server_shows_what_the_collectors_know(api: Api) -> None:
    api.errors = [{"source_id": "s1", "error_json": 'SMS.0515 {"error_msg": "disk\nsdb <b>changed</b>"}'}]
    api.tasks[0] |= {
        "error_json": "SMS.0805 the network failed",
        "sub_tasks": [
            {"name": "MIGRATE_LINUX_FILE", "progress": 100, "start_date": NOW * 1000 - 60_000, "end_date": NOW * 1000},
            {"name": "SYNC_LINUX_FILE", "progress": 37.5, "start_date": NOW * 1000},
        ],
        "total_cpu_usage": 41,
        "agent_mem_usage": 6,
        "total_disk_io": 8,
        "network_check_info": {"network_delay": 12.5, "loss_percentage": 2, "destination_connectivity": False},
    }
    files = {"num_total_files": 48_211, "num_different_files": 2, "num_target_miss_files": 0}
    api.results["t1"] = {"finished_time": NOW * 1000, "check_result": "passed", "consistency_result": [files]}
    api.projects[0] |= {"isdefault": True, "speed_limit": 800, "type": "MIGRATE_FILE"}
    async with api.exporting(readers=READERS, collector=ALL) as service:
        known = await page(service, "/servers/default/s1")
        unknown = await page(service, "/servers/default/s2")
    for text in (
        'Migration error Error code SMS.0515 Error text SMS.0515 {"error_msg": "disk sdb <b>changed</b>"}',
        "Error code of the task SMS.0805 Error text of the task SMS.0805 the network failed",
        "MIGRATE_LINUX_FILE 100.0 % 2027-01-15 07:59:00 UTC 2027-01-15 08:00:00 UTC",
        "SYNC_LINUX_FILE 37.5 % 2027-01-15 08:00:00 UTC",
        "CPU, in total 41.0 %",
        "Memory, agent 6.00 MiB",
        "Disk I/O, in total 977 KiB/s",
        "Delay 12.5 ms Packet loss 2.0 % Target server reachable no",
        "Files compared 48,211 Files that differ 2 Files missing on the target 0 Result passed Verified 2027-01-15",
        "Migration project Name wave-1 ID p1 Type MIGRATE_FILE Default project yes Speed limit 800 Mbit/s",
        "Address 192.0.2.1",
    ):
        assert text in known.text, text
    for title in ("Migration error", "Subtasks", "Network check", "Migration project"):
        assert title not in unknown.text


async def test_the_page_of_a_server_shows_an_error_of_server_and_task_once(api: Api) -> None:
    api.errors = [{"source_id": "s1", "error_json": "SMS.0515 the disks changed"}]
    api.tasks[0]["error_json"] = "SMS.0515 the disks changed"
    async with api.exporting(readers=READERS, collector=ALL) as service:
        shown = await page(service, "/servers/default/s1")
    assert shown.text.count("SMS.0515 the disks changed") == 1
