import asyncio
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.region.region import Region  # type: ignore[import-untyped]
from huaweicloudsdksms.v3 import (  # type: ignore[import-untyped]
    ListErrorServersRequest,
    ListMigprojectsRequest,
    ListServersRequest,
    ListTasksRequest,
    ShowConsistencyResultRequest,
    ShowOverviewRequest,
    ShowTaskRequest,
    SmsClient,
)

from exporter.simulator import AccessKey, Fleet, Simulator
from support import FakeClock

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a home directory for the SDK, which writes to it."""
    monkeypatch.setenv("HOME", str(tmp_path))


def client(sim: Simulator, key: AccessKey, project: str | None) -> Any:
    """Return the official client; without a project it requests that of the region from IAM."""
    credentials = BasicCredentials(key.ak, key.sk, project).with_iam_endpoint(sim.url)
    if key.security_token:
        credentials = credentials.with_security_token(key.security_token)
    builder = SmsClient.new_builder().with_credentials(credentials)
    if project:
        return builder.with_endpoint(sim.url).build()
    return builder.with_region(Region("cn-north-4", sim.url)).build()


def read_ids(sdk: Any) -> list[str]:
    """Read the complete list page by page."""
    ids: list[str] = []
    count = 1
    while len(ids) < count:
        page = sdk.list_servers(ListServersRequest(limit=200, offset=len(ids)))
        count = page.count
        ids += [server.id for server in page.source_servers]
    return ids


async def test_the_official_sdk_reads_the_whole_fleet() -> None:
    async with Simulator(servers=450) as sim:
        ids = await asyncio.to_thread(lambda: read_ids(client(sim, sim.access_key, PROJECT)))

        assert ids == sim.fleet.ids
        assert [request.path for request in sim.requests] == ["/v3/sources"] * 3


async def test_the_official_sdk_finds_its_project() -> None:
    async with Simulator(servers=2) as sim:
        ids = await asyncio.to_thread(lambda: read_ids(client(sim, sim.access_key, None)))

        assert ids == sim.fleet.ids
        assert [(request.path, request.status) for request in sim.requests] == [
            ("/v3/projects", 200),
            ("/v3/sources", 200),
        ]


async def test_the_official_sdk_authenticates_with_a_temporary_key() -> None:
    async with Simulator(servers=2) as sim:
        key = sim.keys.issue_temporary(expires_at=sim.now() + 3600)

        assert await asyncio.to_thread(lambda: read_ids(client(sim, key, PROJECT))) == sim.fleet.ids


async def test_the_official_sdk_signs_every_character_as_the_simulator_reads_it() -> None:
    name = "a b+c&d=e/f?g#h%i~j数据é*'()!;:@,$[]"
    async with Simulator(servers=3) as sim:
        sim.fleet.override(sim.fleet.ids[1], name=name)
        sdk = client(sim, sim.access_key, PROJECT)
        page = await asyncio.to_thread(lambda: sdk.list_servers(ListServersRequest(name=name)))

        assert [server.id for server in page.source_servers] == [sim.fleet.ids[1]]


@pytest.fixture
def frozen() -> Fleet:
    """Return a fleet that does not change between two requests."""
    fleet = Fleet(300, clock=FakeClock())
    fleet.freeze()
    return fleet


def servers_with_tasks(fleet: Fleet) -> list[dict[str, Any]]:
    return [record for record in fleet.records() if record["current_task"]]


async def test_the_official_sdk_reads_every_task(frozen: Fleet) -> None:
    async with Simulator(fleet=frozen) as sim:
        sdk = client(sim, sim.access_key, PROJECT)

        def read() -> list[Any]:
            first = sdk.list_tasks(ListTasksRequest(limit=200, offset=0))
            rest = sdk.list_tasks(ListTasksRequest(limit=200, offset=200))
            assert first.count == rest.count
            return [*first.tasks, *rest.tasks]

        tasks = await asyncio.to_thread(read)

    servers = servers_with_tasks(frozen)
    assert [task.source_server.id for task in tasks] == [record["id"] for record in servers]
    assert [task.id for task in tasks] == [record["current_task"]["id"] for record in servers]
    assert {task.sub_tasks[0].name for task in tasks} == {"CREATE_CLOUD_SERVER"}
    assert all(task.network_check_info.network_delay > 0 for task in tasks)
    assert all(isinstance(task.special_config[0].config_key, str) for task in tasks)


async def test_the_official_sdk_reads_the_details_of_a_task(frozen: Fleet) -> None:
    record = next(record for record in servers_with_tasks(frozen) if record["state"] == "replicate")
    async with Simulator(fleet=frozen) as sim:
        sdk = client(sim, sim.access_key, PROJECT)
        request = ShowTaskRequest(task_id=record["current_task"]["id"])
        task = await asyncio.to_thread(lambda: sdk.show_task(request))

    assert task.source_server.id == record["id"]
    assert task.remain_seconds == record["current_task"]["remain_seconds"]
    assert task.sub_tasks[-1].migrate_speed == record["current_task"]["migrate_speed"]
    assert task.target_server.vm_id == record["current_task"]["target_server"]["vm_id"]


async def test_the_official_sdk_reads_the_errors_of_all_failed_servers(frozen: Fleet) -> None:
    async with Simulator(fleet=frozen) as sim:
        sdk = client(sim, sim.access_key, PROJECT)
        found = await asyncio.to_thread(lambda: sdk.list_error_servers(ListErrorServersRequest(limit=100, offset=0)))

    failed = [record["id"] for record in frozen.records() if record["state"] == "error"]
    assert found.count == len(failed) > 2
    assert [error.source_id for error in found.migration_errors] == failed
    assert all(0 < len(error.error_json) <= 255 for error in found.migration_errors)


async def test_the_official_sdk_reads_the_migration_projects(frozen: Fleet) -> None:
    async with Simulator(fleet=frozen) as sim:
        sdk = client(sim, sim.access_key, PROJECT)
        found = await asyncio.to_thread(lambda: sdk.list_migprojects(ListMigprojectsRequest()))

    assert [(each.name, each.exist_server) for each in found.migprojects] == [
        ("default", True),
        ("wave-1", True),
        ("wave-2", True),
        ("wave-3", False),
    ]
    assert [each.isdefault for each in found.migprojects].count(True) == 1


async def test_the_official_sdk_reads_a_consistency_result_in_the_shape_that_it_knows(frozen: Fleet) -> None:
    record = next(record for record in frozen.records() if record["is_consistency_result_exist"])
    async with Simulator(fleet=frozen, consistency="texts") as sim:
        sdk = client(sim, sim.access_key, PROJECT)
        request = ShowConsistencyResultRequest(task_id=record["current_task"]["id"])
        found = await asyncio.to_thread(lambda: sdk.show_consistency_result(request))

    assert found.task_id == record["current_task"]["id"]
    (result,) = found.result_list
    assert "num_target_miss_files" in result


async def test_the_official_sdk_reads_the_overview(frozen: Fleet) -> None:
    async with Simulator(fleet=frozen) as sim:
        sdk = client(sim, sim.access_key, PROJECT)
        found = await asyncio.to_thread(lambda: sdk.show_overview(ShowOverviewRequest()))

    states = [record["state"] for record in frozen.records()]
    assert found.replicate == states.count("replicate")
    assert found.unconfigured == states.count("waiting")
