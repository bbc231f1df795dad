"""The collector `projects`: migration projects, and the servers of each by one filtered list per project."""

from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from detail_api import POLL, READING, Api, refuse
from exporter.polling.projects import MAX_PROJECTS
from support import NOW, FakeClock, Scrape, scrape

ON = {"projects": True}


@pytest.fixture
def api(clock: FakeClock) -> Api:
    api = Api(clock)
    api.servers = [
        {"id": "s1", "state": "syncing", "totalsize": 100, "replicatesize": 40},
        {"id": "s2", "state": "syncing", "totalsize": 50, "replicatesize": 10},
        {"id": "s3", "state": "error", "totalsize": 7},
        {"id": "s4", "state": "finished"},
    ]
    api.projects = [
        {"id": "p1", "name": "wave-1", "isdefault": True, "speed_limit": 8, "type": "MIGRATE_FILE", "region": "r1"},
        {"id": "p2", "name": "wave-2", "isdefault": False, "speed_limit": 0, "enterprise_project": "shop"},
    ]
    api.members = {"s1": "p1", "s2": "p1", "s3": "p2"}
    return api


def memberships(seen: Scrape) -> dict[str, str]:
    labels = [dict(own) for own in seen.values("source_server_project_info")]
    return {own["server_id"]: own["project"] for own in labels}


def by_state(seen: Scrape, name: str, project_id: str) -> dict[str, float]:
    values = seen.values(f"migration_project_{name}", project_id=project_id)
    return {dict(own)["state"]: value for own, value in values.items() if value}


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"count": -1, "migprojects": []}, "the field count of the list of migration projects is not a number"),
        ({"count": "many", "migprojects": [{"id": "p"}]}, "the field count of the list of migration projects is not a"),
        ({"count": None, "migprojects": []}, "the field count of the list of migration projects is not a number"),
        ({"migprojects": []}, "the field count of the list of migration projects is missing"),
        ({"count": 1, "projects": []}, "is not a list of migration projects: it has no field migprojects"),
    ],
)
async def test_a_list_that_is_not_as_documented_is_an_error_that_names_the_field(
    api: Api, envelope: dict[str, Any], message: str
) -> None:
    api.answers["projects"] = lambda: web.json_response(envelope)
    with capture_logs() as events:
        async with api.exporting(collector=ON):
            pass
    (line,) = [event for event in events if event["event"] == "collector failed"]
    assert message in line["err"]
    assert ("something other" in str(line["hint"])) == ("migprojects" not in envelope)


async def test_each_server_has_its_project_and_each_project_its_progress(api: Api) -> None:
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert memberships(seen) == {"s1": "wave-1", "s2": "wave-1", "s3": "wave-2"}
    assert by_state(seen, "source_servers", "p1") == {"syncing": 2}
    assert by_state(seen, "source_servers", "p2") == {"error": 1}
    assert by_state(seen, "size_bytes", "p1") == {"syncing": 150}
    assert by_state(seen, "replicated_bytes", "p1") == {"syncing": 50}
    assert seen.value("migration_project_source_servers", project_id="p1", state="finished") == 0
    assert seen.value("migration_project_info", project="wave-1", default="true", type="MIGRATE_FILE") == 1
    assert seen.value("migration_project_info", project="wave-2", default="false", enterprise_project="shop") == 1
    assert {dict(own)["project_id"] for own in seen.values("migration_project_speed_limit_bytes_per_second")} == {"p1"}
    assert seen.total("migration_project_speed_limit_bytes_per_second") == 1_000_000
    assert seen.value("collector_up", collector="projects") == 1


async def test_one_filtered_list_is_requested_per_project(api: Api) -> None:
    async with api.exporting(collector=ON):
        await api.pass_time(READING)
    assert api.requests == {"/v3/sources": 6 + 2 * 2, "/v3/migprojects": 2}
    filtered = [query for query in api.queries["/v3/sources"] if "migproject" in query]
    assert filtered == [{"migproject": project, "limit": "200", "offset": "0"} for project in ("p1", "p2") * 2]


async def test_progress_follows_the_polls_and_membership_the_readings(api: Api) -> None:
    async with api.exporting(collector=ON) as service:
        api.servers[0] = {"id": "s1", "state": "finished", "totalsize": 100, "replicatesize": 100}
        api.members["s4"] = "p2"
        await api.pass_time(POLL)
        seen = await scrape(service.urls[0])
        assert by_state(seen, "replicated_bytes", "p1") == {"syncing": 10, "finished": 100}
        assert "s4" not in memberships(seen)
        await api.pass_time(READING - POLL)
        seen = await scrape(service.urls[0])
    assert memberships(seen)["s4"] == "wave-2"
    assert by_state(seen, "source_servers", "p2") == {"error": 1, "finished": 1}


async def test_only_servers_of_the_served_list_count(api: Api) -> None:
    hidden = {"id": "hidden", "state": "syncing", "totalsize": 1000}
    api.servers.append(hidden)
    api.members["hidden"] = "p1"
    async with api.exporting(collector=ON) as service:
        api.servers.remove(hidden)
        await api.pass_time(POLL)
        seen = await scrape(service.urls[0])
    assert "hidden" not in memberships(seen)
    assert by_state(seen, "size_bytes", "p1") == {"syncing": 150}


async def test_the_account_s_filters_narrow_the_lists_of_projects_where_a_server_keeps_the_value(api: Api) -> None:
    async with api.exporting(collector=ON, filter={"state": "syncing", "name": "web"}):
        pass
    filtered = [query for query in api.queries["/v3/sources"] if "migproject" in query]
    assert [query.get("name") for query in filtered] == ["web", "web"]
    assert all("state" not in query for query in filtered)


async def test_with_a_filter_for_one_project_only_its_servers_are_read(api: Api) -> None:
    async with api.exporting(collector=ON, filter={"migproject": "p2"}) as service:
        seen = await scrape(service.urls[0])
    assert [query["migproject"] for query in api.queries["/v3/sources"]] == ["p2", "p2"]
    assert memberships(seen) == {"s3": "wave-2"}
    assert by_state(seen, "source_servers", "p2") == {"error": 1}
    assert not seen.values("migration_project_source_servers", project_id="p1")
    assert len(seen.values("migration_project_info")) == 2


async def test_servers_of_at_most_fifty_projects_are_read_and_empty_projects_come_last(api: Api) -> None:
    count = MAX_PROJECTS + 3
    api.projects = [{"id": f"p{number}", "name": f"wave-{number}"} for number in range(count)]
    api.projects[0]["exist_server"] = False
    api.servers = [{"id": f"s{number}", "state": "syncing"} for number in range(count)]
    api.members = {f"s{number}": f"p{number}" for number in range(count)}
    with capture_logs() as events:
        async with api.exporting(collector=ON, api={"rate_limit": 1000}) as service:
            await api.pass_time(READING)
            seen = await scrape(service.urls[0])
    assert len(seen.values("migration_project_info")) == count
    assert sorted(memberships(seen)) == sorted(f"s{number}" for number in range(1, MAX_PROJECTS + 1))
    (line,) = [event for event in events if event["event"].startswith("too many migration projects")]
    assert (line["projects"], line["unread"]) == (count, 3)


async def test_ten_thousand_servers_in_projects_need_few_requests(api: Api) -> None:
    api.servers = [{"id": f"s{number}", "state": "syncing", "totalsize": 10} for number in range(10_000)]
    api.projects = [{"id": f"p{number}", "name": f"wave-{number}"} for number in range(20)]
    api.members = {f"s{number}": f"p{number % 20}" for number in range(10_000)}
    async with api.exporting(collector=ON, api={"rate_limit": 1000}) as service:
        seen = await scrape(service.urls[0])
    assert api.requests == {"/v3/sources": 50 + 20 * 3, "/v3/migprojects": 1}
    assert len(seen.values("source_server_project_info")) == 10_000
    assert seen.value("migration_project_source_servers", project_id="p7", state="syncing") == 500
    assert seen.total("migration_project_size_bytes") == 100_000


async def test_a_missing_permission_names_its_action_and_a_later_failure_keeps_the_projects(api: Api) -> None:
    api.answers["projects"] = refuse
    with capture_logs() as events:
        async with api.exporting(collector=ON) as service:
            assert not (await scrape(service.urls[0])).values("migration_project_info")
            del api.answers["projects"]
            await api.pass_time(READING)
            assert len(memberships(await scrape(service.urls[0]))) == 3
            api.answers["projects"] = refuse
            await api.pass_time(READING)
            seen = await scrape(service.urls[0])
    assert len(memberships(seen)) == 3
    assert (seen.value("up"), seen.value("collector_up")) == (1, 0)
    assert seen.value("collector_last_success_timestamp_seconds") == NOW + READING
    hints = [event["hint"] for event in events if event["event"] == "collector failed"]
    assert len(hints) == 2
    assert all("sms:migproject:list" in hint for hint in hints)


@pytest.mark.parametrize(
    ("project", "series"),
    [
        ({"id": "p1"}, 2),
        ({"id": "p1", "name": None, "isdefault": "yes", "speed_limit": -1, "region": {}}, 2),
        ({"id": 7, "name": "wave-7"}, 2),
        ({"name": "without an id"}, 1),
    ],
)
async def test_an_unusual_project_never_fails_the_collector(api: Api, project: dict[str, Any], series: int) -> None:
    api.projects = [project, {"id": "usual"}]
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert seen.value("collector_up") == 1
    assert len(seen.values("migration_project_info")) == series


async def test_a_server_that_two_projects_list_counts_in_the_first(api: Api) -> None:
    api.members["s1"] = "p2 p1"
    async with api.exporting(collector=ON) as service:
        seen = await scrape(service.urls[0])
    assert memberships(seen)["s1"] == "wave-1"
    assert by_state(seen, "source_servers", "p1") == {"syncing": 2}
    assert by_state(seen, "source_servers", "p2") == {"error": 1}
