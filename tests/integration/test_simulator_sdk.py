import asyncio
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.region.region import Region  # type: ignore[import-untyped]
from huaweicloudsdksms.v3 import ListServersRequest, SmsClient  # type: ignore[import-untyped]

from exporter.simulator import AccessKey, Simulator

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
