"""What the exporter sends after the API refused its credentials: several refusals lock a key or a user."""

import asyncio
import itertools
from pathlib import Path

import pytest
from aiohttp import web

from exporter.errors import AuthError
from exporter.polling.connections import Runtime, account_client
from exporter.sms.client import RetryBudget
from programs import serving
from support import NOWHERE, FakeClock, account

REFUSALS = [
    (401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated."}),
    (401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}),
    (401, {}),
    (403, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}),
    (200, {"error_code": "APIG.0301", "error_msg": "Incorrect IAM authentication information"}),
]


class Cloud:
    """Issues a new token for each login, and refuses the tokens in `refused`, or all of them."""

    def __init__(self, status: int, body: dict[str, str], refused: set[str] | None = None) -> None:
        self.status = status
        self.body = body
        self.refused = refused
        self.logins = 0
        self.tokens: list[str] = []
        self._numbers = itertools.count(1)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.logins += 1
            expiry = {"token": {"expires_at": "2027-01-16T08:00:00.000000Z"}}
            return web.json_response(expiry, status=201, headers={"X-Subject-Token": f"t{next(self._numbers)}"})
        token = request.headers["X-Auth-Token"]
        self.tokens.append(token)
        if self.refused is None or token in self.refused:
            return web.json_response(self.body, status=self.status)
        return web.json_response({"count": 0, "source_servers": []})


class Unobserved:
    def request_ended(self, *_: object) -> None: ...
    def retry_waits(self, *_: object) -> None: ...
    def throttled(self, *_: object) -> None: ...


async def poll(cloud: Cloud, auth: dict[str, object], pages: int = 1) -> list[object]:
    """Fetch some pages one after the other and then as many at once, as one poll does; return their results."""
    async with serving(cloud.handle) as url:
        options = account(api={"endpoint": url}, iam={"endpoint": url}, auth=auth)
        async with account_client(options, Unobserved(), Runtime(FakeClock(), {}, NOWHERE)) as (client, _):
            budget = RetryBudget(20)
            results: list[object] = []
            for offset in range(pages):
                results += await asyncio.gather(client.page(offset, 200, {}, budget), return_exceptions=True)
            fetches = (client.page(offset, 200, {}, budget) for offset in range(pages))
            return results + await asyncio.gather(*fetches, return_exceptions=True)


PASSWORD = {"user_name": "u", "domain_name": "d", "password": "s3cret"}


@pytest.mark.parametrize(("status", "body"), REFUSALS)
async def test_a_refused_token_is_renewed_once_in_a_poll_and_never_sent_again(
    status: int, body: dict[str, str]
) -> None:
    cloud = Cloud(status, body)
    results = await poll(cloud, {**PASSWORD}, pages=3)
    assert all(isinstance(result, AuthError) for result in results)
    assert cloud.tokens == ["t1", "t2"]
    assert cloud.logins == 2


@pytest.mark.parametrize(("status", "body"), REFUSALS)
async def test_a_token_that_was_only_outdated_fails_no_page(status: int, body: dict[str, str]) -> None:
    cloud = Cloud(status, body, refused={"t1"})
    results = await poll(cloud, {**PASSWORD}, pages=3)
    assert all(isinstance(result, bytes) for result in results)
    assert cloud.tokens.count("t1") == 1
    assert cloud.logins == 2


@pytest.mark.parametrize(("status", "body"), REFUSALS)
async def test_a_refused_secret_in_a_file_is_sent_once(status: int, body: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file")
    cloud = Cloud(status, body)
    results = await poll(cloud, {"token_file": str(tmp_path / "token")}, pages=3)
    assert all(isinstance(result, AuthError) for result in results)
    assert cloud.tokens == ["from-file"]


async def test_a_page_whose_secret_was_refused_tries_another_one_once_in_a_poll(tmp_path: Path) -> None:
    numbers = itertools.count(2)
    sent: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        sent.append(request.headers["X-Auth-Token"])
        # Somebody replaces the file again and again.
        (tmp_path / "token").write_text(f"t{next(numbers)}")
        return web.Response(status=401)

    (tmp_path / "token").write_text("t1")
    async with serving(refuse) as url:
        options = account(api={"endpoint": url}, auth={"token_file": str(tmp_path / "token")})
        async with account_client(options, Unobserved(), Runtime(FakeClock(), {}, NOWHERE)) as (client, _):
            budget = RetryBudget(20)
            for offset in range(2):
                with pytest.raises(AuthError):
                    await client.page(offset, 200, {}, budget)
    assert sent == ["t1", "t2", "t3"]
