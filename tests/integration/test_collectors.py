"""Collectors that read more than the list of source servers: beside the polls, and never at their expense."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from detail_api import POLL, READING, Api, refuse
from exporter.commands.reading import read_once
from exporter.families.errors import MAX_ERROR_CODES
from exporter.polling.connections import Runtime
from exporter.polling.events import MAX_LINES
from exporter.service import running
from programs import serving
from support import NOW, NOWHERE, FakeClock, Scrape, fetch, scrape


@pytest.fixture
def api(clock: FakeClock) -> Api:
    return Api(clock)


def codes(seen: Scrape) -> dict[str, str]:
    labels = [dict(own) for own in seen.values("source_server_error")]
    return {own["server_id"]: own["error_code"] for own in labels}


async def test_a_failed_server_has_its_error_code_from_the_first_reading_on(api: Api) -> None:
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
    assert seen.value("source_server_error", server_id="s1", error_code="SMS.0515") == 1
    assert seen.value("source_servers_by_error", error_code="SMS.0515") == 1
    assert seen.value("collector_up", account="default", collector="errors") == 1
    assert seen.value("collector_last_success_timestamp_seconds", collector="errors") == NOW
    assert "collector_last_success_timestamp_seconds." in seen.text.partition("sms_source_server_error ")[2]


async def test_without_the_option_the_list_is_not_requested_and_nothing_is_exposed(api: Api) -> None:
    async with api.exporting(collector={}) as service:
        await api.pass_time(2 * READING, tasks=1)
        seen = await scrape(service.urls[0])
    assert api.requests == {"/v3/sources": 11}
    assert "source_server_error" not in seen.text
    assert not seen.values("collector_up")
    assert not seen.values("collector_failures_total")


async def test_the_list_is_read_once_in_the_configured_number_of_polls(api: Api) -> None:
    async with api.exporting(collector={"errors": True, "details_polls": 3}):
        await api.pass_time(6 * POLL)
    assert api.requests == {"/v3/sources": 7, "/v3/errors": 3}


async def test_a_server_outside_the_served_list_has_no_series(api: Api) -> None:
    api.errors = [{"source_id": "deleted", "error_json": "SMS.0805"}]
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
        assert not seen.values("source_server_error")
        assert not seen.values("source_servers_by_error")
        assert seen.value("collector_up") == 1
        # A later list that has the server needs no other reading.
        api.servers.append({"id": "deleted"})
        await api.pass_time(POLL)
        seen = await scrape(service.urls[0])
    assert codes(seen) == {"deleted": "SMS.0805"}
    assert api.requests["/v3/errors"] == 1


async def test_a_new_error_is_exposed_as_soon_as_it_is_read(api: Api) -> None:
    async with api.exporting() as service:
        await scrape(service.urls[0])
        api.errors = [{"source_id": "s2", "error_json": "SMS.3802: SSH failed"}]
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
    assert codes(seen) == {"s2": "SMS.3802"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[{"code": "SMS.6603", "msg": "SMS.0202"}]', "SMS.6603"),
        ("failed with SMS.0807.", "SMS.0807"),
        ("SMS.12345", "unknown"),
        ("the network failed", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        ({"error_code": "SMS.0515"}, "unknown"),
        (515, "unknown"),
    ],
)
async def test_the_code_is_found_anywhere_in_the_text_of_the_error(api: Api, text: object, code: str) -> None:
    api.errors = [{"source_id": "s1", "error_json": text}]
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
    assert codes(seen) == {"s1": code}
    unreadable = isinstance(text, dict)
    assert seen.value("exporter_unreadable_values_total", field="errors[].error_json") == (1 if unreadable else None)


async def test_after_a_restart_with_saved_state_only_new_errors_are_logged(api: Api, tmp_path: Path) -> None:
    api.errors = [{"source_id": "s1", "error_json": "SMS.0515"}]
    with capture_logs() as events:
        async with serving(api.respond) as url:
            settings = api.settings(url, state={"path": str(tmp_path)})
            async with running(settings, Runtime(api.clock, {}, NOWHERE)):
                await api.clock.until_asleep(2)
                await api.pass_time(POLL)
            api.errors.append({"source_id": "s2", "error_json": "SMS.0515"})
            async with running(settings, Runtime(api.clock, {}, NOWHERE)):
                await api.clock.until_asleep(2)
                await api.pass_time(READING)
    logged = [event["server_id"] for event in events if event["event"] == "server has a migration error"]
    assert logged == ["s1", "s2"]


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ([None, "SMS.0515"], "SMS.0515"),
        (["the network failed", "SMS.0515", "SMS.0807"], "SMS.0515"),
        (["SMS.0515", "SMS.0807", None], "SMS.0515"),
        ([None, "the network failed"], "unknown"),
    ],
)
async def test_of_several_errors_of_a_server_the_first_one_with_a_code_counts(
    api: Api, texts: list[str | None], code: str
) -> None:
    api.errors = [{"source_id": "s1", "error_json": text} for text in texts]
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
    assert codes(seen) == {"s1": code}
    assert seen.value("source_servers_by_error", error_code=code) == 1


async def test_rare_codes_beyond_the_maximum_count_as_other(api: Api) -> None:
    api.servers = [{"id": f"s{number}"} for number in range(MAX_ERROR_CODES + 12)]
    api.errors = [
        {"source_id": f"s{number}", "error_json": f"SMS.{max(number, 10):04}"} for number in range(MAX_ERROR_CODES + 12)
    ]
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
    counts = {dict(own)["error_code"]: value for own, value in seen.values("source_servers_by_error").items()}
    assert len(counts) == MAX_ERROR_CODES + 1
    assert (counts["SMS.0010"], counts["other"]) == (11, 2)
    assert len(codes(seen)) == MAX_ERROR_CODES + 12


async def test_the_text_of_an_error_is_logged_once_and_is_never_a_label(api: Api) -> None:
    api.errors = [{"source_id": "s1", "error_json": 'SMS.0515 {"error_msg": "disk\nsdb changed"}'}]
    with capture_logs() as events:
        async with api.exporting() as service:
            await api.pass_time(2 * READING)
            seen = await scrape(service.urls[0])
    logged = [event for event in events if event["event"] == "server has a migration error"]
    assert [(event["server_id"], event["server"], event["error_code"]) for event in logged] == [
        ("s1", "web-1", "SMS.0515")
    ]
    assert logged[0]["text"] == 'SMS.0515 {"error_msg": "disk sdb changed"}'
    assert "sdb changed" not in seen.text
    assert api.requests["/v3/errors"] == 3


async def test_many_errors_at_once_are_few_log_lines(api: Api) -> None:
    api.servers = [{"id": f"s{number}"} for number in range(MAX_LINES + 50)]
    api.errors = [{"source_id": f"s{number}", "error_json": "SMS.0515"} for number in range(MAX_LINES + 50)]
    with capture_logs() as events:
        async with api.exporting():
            pass
    assert sum(event["event"] == "server has a migration error" for event in events) == MAX_LINES
    (more,) = [event for event in events if event["event"] == "more servers have migration errors"]
    assert (more["servers"], more["error_codes"]) == (50, "SMS.0515:50")


async def test_a_missing_permission_is_one_log_line_with_the_action_and_affects_no_poll(api: Api) -> None:
    api.answers["errors"] = refuse
    with capture_logs() as events:
        async with api.exporting() as service:
            await api.pass_time(12 * POLL)
            seen = await scrape(service.urls[0])
    (line,) = [event for event in events if event["event"] == "collector failed"]
    assert (line["collector"], line["reason"]) == ("errors", "permission")
    assert "sms:server:listErrors" in line["hint"]
    assert (seen.value("up"), seen.value("collector_up")) == (1, 0)
    assert seen.value("collector_last_success_timestamp_seconds") is None
    assert seen.value("exporter_polls_total") == 13
    assert seen.total("exporter_poll_failures_total") == 0
    assert len(seen.values("source_server_state")) == 1
    # Read at once, after 5 minutes, and 10 minutes after that; not at every interval.
    assert api.requests == {"/v3/sources": 13, "/v3/errors": 2}
    assert seen.value("collector_failures_total", collector="errors", reason="permission") == 2
    assert seen.value("collector_failures_total", collector="errors", reason="timeout") == 0


async def test_a_restored_permission_is_noticed_and_logged(api: Api) -> None:
    api.answers["errors"] = refuse
    with capture_logs() as events:
        async with api.exporting() as service:
            del api.answers["errors"]
            await api.pass_time(READING)
            seen = await scrape(service.urls[0])
    assert codes(seen) == {"s1": "SMS.0515"}
    assert seen.value("collector_up") == 1
    assert [event["event"] for event in events if event.get("collector") == "errors"].count("collector is up") == 1


async def test_errors_are_served_for_three_intervals_after_the_last_reading_and_then_dropped(api: Api) -> None:
    async with api.exporting() as service:
        api.answers["errors"] = lambda: web.Response(status=404)
        await api.pass_time(3 * READING)
        seen = await scrape(service.urls[0])
        assert codes(seen) == {"s1": "SMS.0515"}
        assert (seen.value("up"), seen.value("collector_up")) == (1, 0)
        await api.pass_time(POLL)
        seen = await scrape(service.urls[0])
        assert not seen.values("source_server_error")
        assert not seen.values("source_servers_by_error")
        assert seen.value("source_server_state", server_id="s1") == 1
        assert seen.value("collector_last_success_timestamp_seconds") == NOW
        del api.answers["errors"]
        await api.pass_time(READING)
        assert codes(await scrape(service.urls[0])) == {"s1": "SMS.0515"}


@pytest.mark.parametrize(
    ("collector", "key", "metric"),
    [
        ("errors", "migration_errors", "source_server_error"),
        ("task_details", "tasks", "task_source_cpu_ratio"),
        ("projects", "migprojects", "migration_project_info"),
    ],
)
async def test_a_list_whose_records_have_no_id_fails_the_collector_and_the_last_data_is_kept(
    api: Api, collector: str, key: str, metric: str
) -> None:
    api.tasks = [{"id": "t1", "source_server": {"id": "s1"}, "total_cpu_usage": 50}]
    api.projects, api.members = [{"id": "p1"}], {"s1": "p1"}
    async with api.exporting(collector={collector: True}) as service:
        before = (await scrape(service.urls[0])).values(metric)
        renamed = {"count": 2, key: [{"identifier": "s1"}, {"identifier": "s2"}]}
        api.answers[collector] = lambda: web.json_response(renamed)
        await api.pass_time(READING)
        seen = await scrape(service.urls[0])
    assert before
    assert seen.values(metric) == before
    assert (seen.value("up"), seen.value("collector_up")) == (1, 0)
    assert seen.value("collector_failures_total", collector=collector, reason="bad_response") == 1


async def test_a_list_that_hangs_delays_no_poll(api: Api) -> None:
    api.hang("errors")
    async with serving(api.respond) as url:
        settings = api.settings(url, api={"concurrency": 1})
        async with running(settings, Runtime(api.clock, {}, NOWHERE)) as service:
            while not api.requests["/v3/errors"]:
                await asyncio.sleep(0)
            await api.pass_time(10 * POLL, tasks=1)
            seen = await scrape(service.urls[0])
            assert api.requests == {"/v3/sources": 11, "/v3/errors": 1}
            assert (seen.value("up"), seen.value("collector_up")) == (1, 0)
            assert seen.value("last_success_timestamp_seconds") == NOW + 10 * POLL
            api.hanging["errors"].set()


async def test_a_reading_that_ends_by_its_timeout_while_the_api_throttles_is_throttled(api: Api) -> None:
    api.answers["errors"] = lambda: web.json_response({}, status=429, headers={"Retry-After": "2"})
    async with serving(api.respond) as url:
        settings = api.settings(
            url, collector={"errors": True, "details_polls": 1}, poll={"interval": "60s", "timeout": "200ms"}
        )
        with capture_logs() as events:
            async with running(settings, Runtime(api.clock, {}, NOWHERE)) as service:
                while not [event for event in events if event["event"] == "collector failed"]:
                    await asyncio.sleep(0)
                seen = await scrape(service.urls[0])
    assert seen.value("collector_failures_total", collector="errors", reason="throttled") == 1
    assert "the list of migration errors was not complete after 0.2 seconds" in str(events)


async def test_refused_credentials_are_not_sent_for_the_list_of_errors(api: Api) -> None:
    async def refuse_all(request: web.Request) -> web.StreamResponse:
        api.queries[request.path].append({})
        return web.json_response({"error_code": "APIGW.0301", "error_msg": "Incorrect token"}, status=401)

    async with serving(refuse_all) as url:
        async with running(api.settings(url), Runtime(api.clock, {}, NOWHERE)) as service:
            await api.clock.until_asleep(2)
            seen = await scrape(service.urls[0])
    assert api.requests == {"/v3/sources": 1}
    assert (seen.value("up"), seen.value("collector_up")) == (0, 0)
    assert seen.value("collector_failures_total", reason="auth") == 1


async def test_only_filters_that_the_list_accepts_are_sent(api: Api) -> None:
    async with api.exporting(filter={"state": "error", "enterprise_project_id": "p1"}):
        pass
    assert api.queries["/v3/errors"] == [{"enterprise_project_id": "p1", "limit": "100", "offset": "0"}]


async def test_a_long_list_of_errors_is_read_in_pages_of_100(api: Api) -> None:
    api.servers = [{"id": f"s{number}"} for number in range(250)]
    api.errors = [{"source_id": f"s{number}", "error_json": "SMS.0515"} for number in range(250)]
    async with api.exporting() as service:
        seen = await scrape(service.urls[0])
    assert [query["offset"] for query in api.queries["/v3/errors"]] == ["0", "100", "200"]
    assert seen.value("source_servers_by_error", error_code="SMS.0515") == 250


async def test_once_prints_the_errors_too(api: Api) -> None:
    async with serving(api.respond) as url:
        reading = await read_once(api.settings(url), Runtime(api.clock, {}, NOWHERE))
    (account,) = reading.accounts
    assert account.state.snapshot is not None
    assert set(account.state.snapshot.details["errors"].records) == {"s1"}


async def test_a_reload_turns_the_collector_on_and_off(api: Api) -> None:
    async with api.exporting(collector={}) as service:
        off = service.generation.settings
        on = api.settings(off.api.endpoint or "")
        await service.apply(off.model_copy(update={"collector": on.collector}))
        await api.clock.until_asleep(2)
        seen = await scrape(service.urls[0])
        assert codes(seen) == {"s1": "SMS.0515"}
        # The account's polls continue to be counted, and its data stays.
        assert seen.value("exporter_polls_total") == 2
        await service.apply(off)
        await api.clock.until_asleep(1)
        seen = await scrape(service.urls[0])
        assert not codes(seen)
        assert not seen.values("collector_up")
        await api.pass_time(READING, tasks=1)
    assert api.requests["/v3/errors"] == 1


async def test_a_scrape_can_select_the_collector(api: Api) -> None:
    async with api.exporting() as service:
        _, text, _ = await fetch(f"{service.urls[0]}/metrics?collect[]=errors")
    seen = Scrape(text)
    assert codes(seen) == {"s1": "SMS.0515"}
    assert not seen.values("source_server_state")


BOTH = {"errors": True, "task_details": True}


async def test_the_details_of_a_task_are_those_of_its_server(api: Api) -> None:
    sync = {"name": "SYNC_LINUX_FILE", "progress": 100, "start_date": 1_799_999_000_000, "end_date": 1_799_999_900_000}
    api.tasks = [
        {"id": "t1", "source_server": {"id": "s2"}, "syncing": True, "sub_tasks": [sync], "migration_ip": "192.0.2.9"},
        {"id": "t2", "source_server": {"id": "deleted"}, "syncing": True, "migration_ip": "192.0.2.10"},
    ]
    async with api.exporting(collector={"task_details": True}) as service:
        seen = await scrape(service.urls[0])
    assert seen.value("task_last_sync_timestamp_seconds", server_id="s2") == 1_799_999_900
    assert seen.value("task_continuous_sync") == 1
    assert seen.value("task_target_info", server_id="s2", address="192.0.2.9") == 1
    assert not [own for _, own in seen.samples if ("server_id", "deleted") in own]
    assert api.requests == {"/v3/sources": 1, "/v3/tasks": 1}


async def test_a_collector_that_fails_does_not_affect_another(api: Api) -> None:
    api.tasks = [{"id": "t1", "source_server": {"id": "s2"}, "syncing": False}]
    api.answers["errors"] = refuse
    async with api.exporting(collector=BOTH, readers=2) as service:
        await api.pass_time(2 * READING, tasks=3)
        seen = await scrape(service.urls[0])
    assert seen.value("collector_up", collector="errors") == 0
    assert seen.value("collector_up", collector="task_details") == 1
    assert seen.value("collector_last_success_timestamp_seconds", collector="task_details") == NOW + 2 * READING
    assert seen.value("task_continuous_sync", server_id="s2") == 0
    assert api.requests["/v3/tasks"] == 3
    assert seen.total("collector_failures_total", collector="task_details") == 0


async def test_a_changed_task_is_exposed_without_a_change_of_its_server(api: Api) -> None:
    api.tasks = [{"id": "t1", "source_server": {"id": "s2"}, "syncing": False}]
    async with api.exporting(collector={"task_details": True}) as service:
        assert (await scrape(service.urls[0])).value("task_continuous_sync") == 0
        api.tasks = [{"id": "t1", "source_server": {"id": "s2"}, "syncing": True}]
        await api.pass_time(READING)
        assert (await scrape(service.urls[0])).value("task_continuous_sync") == 1


@pytest.mark.parametrize(
    ("number", "ratios"), [(1e9, 0), (100.5, 0), ("101", 0), (-1, 0), (100, 4), ("99.5", 4), (0, 4)]
)
async def test_a_share_has_a_series_only_from_0_to_1(api: Api, number: object, ratios: int) -> None:
    task = {
        "id": "t1",
        "source_server": {"id": "s2"},
        "sub_tasks": [{"name": "SYNC_LINUX_FILE", "progress": number}],
        "network_check_info": {"loss_percentage": number},
        "total_cpu_usage": number,
        "agent_cpu_usage": number,
    }
    api.tasks = [task]
    async with api.exporting(collector={"task_details": True}) as service:
        seen = await scrape(service.urls[0])
    found = [value for (name, _), value in seen.samples.items() if name.endswith("_ratio")]
    assert len(found) == ratios
    assert all(0 <= value <= 1 for value in found)
    assert seen.total("exporter_unreadable_values_total") == 4 - ratios


def launch(api: Api) -> None:
    api.servers = [
        {
            "id": "s1",
            "name": "web-1",
            "os_type": "LINUX",
            "state": "finished",
            "current_task": {"project_name": "cn-north-4"},
        },
        {"id": "s2", "name": "web-2", "os_type": "WINDOWS", "state": "stopped", "migration_cycle": "cutovered"},
        {"id": "s3", "state": "syncing"},
        {"id": "s4", "state": "finished"},
    ]
    addresses = {"s1": "192.0.2.1", "s2": "2001:db8::2", "s3": "192.0.2.3", "s4": "not an address", "s5": "192.0.2.5"}
    api.tasks = [
        {"id": f"t-{server}", "source_server": {"id": server}, "migration_ip": address}
        for server, address in addresses.items()
    ]


async def test_launched_target_servers_are_targets_of_service_discovery(api: Api) -> None:
    launch(api)
    api.projects, api.members = [{"id": "p1", "name": "shop"}], {"s1": "p1"}
    async with api.exporting(collector={"task_details": True, "projects": True}, readers=2) as service:
        status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched&account=default")
        assert (await fetch(f"{service.urls[0]}/sd?of=launched&account=other"))[0] == 404
        assert (await fetch(f"{service.urls[0]}/sd?of=servers"))[0] == 400
    assert status == 200
    labels = {"account": "default", "server_id": "s1", "name": "web-1", "os_type": "LINUX", "project": "shop"}
    windows = {"account": "default", "server_id": "s2", "name": "web-2", "os_type": "WINDOWS", "project": ""}
    assert json.loads(text) == [
        {"targets": ["192.0.2.1"], "labels": labels},
        {"targets": ["[2001:db8::2]"], "labels": windows},
    ]


async def test_without_the_collector_of_migration_projects_the_label_of_a_launched_target_is_empty(api: Api) -> None:
    launch(api)
    async with api.exporting(collector={"task_details": True}) as service:
        _, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
    assert [group["labels"]["project"] for group in json.loads(text)] == ["", ""]


@pytest.mark.parametrize("tasks", [[], [{"id": "t1", "source_server": {"id": "s1"}}]])
async def test_launched_servers_without_any_address_are_an_error_and_logged_once(api: Api, tasks: list[Any]) -> None:
    launch(api)
    api.tasks = tasks
    with capture_logs() as logs:
        async with api.exporting(collector={"task_details": True}) as service:
            status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
            await api.pass_time(2 * READING)
    assert (status, "no valid address of any of the 3 launched servers" in text) == (503, True)
    lines = [line for line in logs if line["event"].startswith("launched servers have no")]
    assert [(line["servers"], line["server_ids"]) for line in lines] == [(3, "s1,s2,s4")]


async def test_without_launched_servers_the_list_of_targets_is_empty(api: Api) -> None:
    async with api.exporting(collector={"task_details": True}) as service:
        status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
    assert (status, json.loads(text)) == (200, [])


async def test_launched_servers_that_are_not_known_are_an_error_and_never_an_empty_list(api: Api) -> None:
    launch(api)
    async with api.exporting(collector={}) as service:
        status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
    assert (status, text) == (503, "the collector is off: set --collector.task-details\n")
    api.answers["task_details"] = refuse
    async with api.exporting(collector={"task_details": True}) as service:
        status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
        assert (status, "its last reading failed (permission)" in text) == (503, True)
        del api.answers["task_details"]
        await api.pass_time(READING)
        assert (await fetch(f"{service.urls[0]}/sd?of=launched"))[0] == 200
        # Time passes at once, so no reading has ended and the data is stale.
        api.clock.set(4 * READING)
        status, text, _ = await fetch(f"{service.urls[0]}/sd?of=launched")
    assert (status, "stale" in text) == (503, True)
