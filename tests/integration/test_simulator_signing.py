import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from exporter.simulator import AccessKey, Simulator
from exporter.simulator.signing import LOCK_SECONDS
from support import FakeClock

Answer = tuple[int, Any]


@pytest.fixture
async def sim(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=3, clock=clock, key_lifetime=7200) as simulator:
        yield simulator


def quoted(text: str) -> str:
    return quote(text, safe="~")


def signed(
    url: URL, key: AccessKey, moment: float, *, path: str, query: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Sign a GET as documented by Huawei, independently of the simulator's implementation."""
    date = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": f"{url.host}:{url.port}", "x-sdk-date": date}
    if key.security_token:
        headers["x-security-token"] = key.security_token
    pairs = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted((query or {}).items()))
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    names = ";".join(sorted(headers))
    canonical = f"GET\n{path}/\n{pairs}\n{lines}\n{names}\n{hashlib.sha256(b'').hexdigest()}"
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key.sk.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"SDK-HMAC-SHA256 Access={key.ak}, SignedHeaders={names}, Signature={signature}"
    return headers


async def asked(sim: Simulator, key: AccessKey, *, moment: float | None = None, **query: str) -> Answer:
    """Request the list, signed with a key at a moment (default: now)."""
    path = "/v3/sources"
    base = URL(sim.url)
    headers = signed(base, key, sim.clock.time() if moment is None else moment, path=path, query=query)
    text = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query.items())
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(f"{base.origin()}{path}?{text}", encoded=True), headers=headers) as response,
    ):
        return response.status, await response.json()


async def temporary_key(sim: Simulator) -> AccessKey:
    """Get a temporary key from the metadata service, as an ECS does."""
    async with aiohttp.ClientSession() as session:
        lifetime = {"X-Metadata-Token-Ttl-Seconds": "21600"}
        async with session.put(f"{sim.url}/meta-data/latest/api/token", headers=lifetime) as response:
            headers = {"X-Metadata-Token": await response.text()}
        async with session.get(f"{sim.url}/openstack/latest/securitykey", headers=headers) as response:
            credential = (await response.json())["credential"]
    return AccessKey(credential["access"], credential["secret"], credential["securitytoken"])


async def test_a_correct_signature_is_accepted(sim: Simulator) -> None:
    status, body = await asked(sim, sim.access_key, limit="200", offset="0")

    assert (status, body["count"]) == (200, 3)


@pytest.mark.parametrize("name", ["a b+c&d=e/f?g#h%i~j", "数据库-主", "*'()!;:@,$[]", "é\u0301", "a%20b"])
async def test_the_query_is_signed_with_every_character(sim: Simulator, name: str) -> None:
    sim.fleet.override(sim.fleet.ids[0], name=name)
    status, body = await asked(sim, sim.access_key, name=name, limit="10")

    assert (status, body["count"]) == (200, 1)


async def test_a_changed_query_breaks_the_signature(sim: Simulator) -> None:
    headers = signed(URL(sim.url), sim.access_key, sim.clock.time(), path="/v3/sources", query={"limit": "1"})
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sim.url}/v3/sources?limit=2", headers=headers) as response,
    ):
        assert response.status == 401


async def test_refusals_have_different_texts(sim: Simulator) -> None:
    key = sim.access_key
    now = sim.clock.time()
    answers = [
        await asked(sim, AccessKey(key.ak, "wrong")),
        await asked(sim, AccessKey("NOBODY", key.sk)),
        await asked(sim, key, moment=now - 901),
        await asked(sim, key, moment=now + 901),
        await asked(sim, AccessKey(key.ak, key.sk, "made-up")),
    ]

    assert {(status, body["error_code"]) for status, body in answers} == {(401, "APIGW.0301")}
    texts = [body["error_msg"].removeprefix("Incorrect IAM authentication information: ") for _, body in answers]
    assert texts == [
        "verify aksk signature fail",
        "Get secretKey failed,ak:NOBODY,err:ak not exist",
        "verify aksk signature fail, signature expired",
        "verify aksk signature fail, signature expired",
        "the security token does not belong to the access key",
    ]


@pytest.mark.parametrize("seconds", [-900, 900])
async def test_a_clock_skew_of_15_minutes_is_accepted(sim: Simulator, seconds: int) -> None:
    assert (await asked(sim, sim.access_key, moment=sim.clock.time() + seconds))[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic abc",
        "SDK-HMAC-SHA256 Access=SIMULATORACCESSKEY00",
        "SDK-HMAC-SHA256 Access=SIMULATORACCESSKEY00, SignedHeaders=host, Signature=00",
    ],
)
async def test_a_malformed_authorization_is_refused(sim: Simulator, authorization: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sim.url}/v3/sources", headers={"Authorization": authorization}) as response,
    ):
        assert response.status == 401
        assert (await response.json())["error_code"] == "APIGW.0301"


async def test_more_than_five_refusals_in_a_row_lock_the_key_for_five_minutes(sim: Simulator, clock: FakeClock) -> None:
    wrong = AccessKey(sim.access_key.ak, "wrong")
    for _ in range(5):
        await asked(sim, wrong)
    assert (await asked(sim, sim.access_key))[0] == 200
    for _ in range(6):
        await asked(sim, wrong)

    status, body = await asked(sim, sim.access_key)
    assert status == 401
    assert "AK access failed to reach the limit,forbidden" in body["error_msg"]
    clock.advance(LOCK_SECONDS)
    assert (await asked(sim, sim.access_key))[0] == 200


async def test_a_temporary_key_is_accepted_with_its_security_token_until_it_expires(
    sim: Simulator, clock: FakeClock
) -> None:
    key = await temporary_key(sim)

    assert (await asked(sim, key))[0] == 200
    assert (await asked(sim, AccessKey(key.ak, key.sk)))[0] == 401
    clock.advance(7200)
    status, body = await asked(sim, key)
    assert status == 401
    assert "expired" in body["error_msg"]


async def test_the_metadata_service_requires_its_own_token(sim: Simulator, clock: FakeClock) -> None:
    async with aiohttp.ClientSession() as session:

        async def status(**headers: str) -> int:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.get(f"{sim.url}/openstack/latest/securitykey", headers=sent) as response:
                return response.status

        url = f"{sim.url}/meta-data/latest/api/token"
        for wrong in ({}, *({"X-Metadata-Token-Ttl-Seconds": value} for value in ("0", "21601", "9" * 5000))):
            async with session.put(url, headers=wrong) as response:
                assert response.status == 400
        async with session.put(url, headers={"X-Metadata-Token-Ttl-Seconds": "60"}) as response:
            token = await response.text()
        assert await status() == 401
        assert await status(X_Metadata_Token="made-up") == 401
        assert await status(X_Metadata_Token=token) == 200
        clock.advance(60)
        assert await status(X_Metadata_Token=token) == 401


async def test_an_older_metadata_service_has_no_tokens(clock: FakeClock) -> None:
    async with (
        Simulator(servers=1, clock=clock, metadata_tokens=False) as sim,
        aiohttp.ClientSession() as session,
    ):
        async with session.put(f"{sim.url}/meta-data/latest/api/token") as response:
            assert response.status == 404
        async with session.get(f"{sim.url}/openstack/latest/securitykey") as response:
            credential = (await response.json())["credential"]
        assert sorted(credential) == ["access", "expires_at", "secret", "securitytoken"]


async def test_projects_and_domains_are_listed_to_authenticated_clients(sim: Simulator) -> None:
    async with aiohttp.ClientSession(headers={"X-Auth-Token": sim.token}) as session:
        async with session.get(f"{sim.url}/v3/projects?name=cn-north-4") as response:
            projects = (await response.json())["projects"]
        async with session.get(f"{sim.url}/v3/projects?name=atlantis") as response:
            nowhere = (await response.json())["projects"]
        async with session.get(f"{sim.url}/v3/auth/domains") as response:
            domains = (await response.json())["domains"]
    async with aiohttp.ClientSession() as session, session.get(f"{sim.url}/v3/projects") as response:
        assert response.status == 401
    assert [(project["name"], len(project["id"])) for project in projects] == [("cn-north-4", 32)]
    assert nowhere == []
    assert [domain["name"] for domain in domains] == [sim.user.domain]
