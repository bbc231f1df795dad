"""Tokens that IAM issues for a password: what is sent, and when a refused password is sent again."""

import json
from typing import Any

import pytest

from exporter.auth.password import REFUSED_PASSWORD_PAUSE_SECONDS, Scope, TokenIssuer, User
from exporter.auth.renewal import Lease
from exporter.auth.secret import Secret
from exporter.errors import AuthError, BadResponse, ServerFault
from exporter.http.transport import Request, Response
from exporter.language import Translatable
from support import NOW, FakeClock

ISSUED = Response(201, {"X-Subject-Token": "t"}, b'{"token": {"expires_at": "2027-01-15T09:00:00.000000Z"}}', api="iam")
REFUSED = Response(401, {"X-Request-Id": "r1"}, b'{"error": {"code": 401, "message": "wrong password"}}', api="iam")


class Iam:
    """A transport whose answers a test sets."""

    def __init__(self, answer: Response = ISSUED) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer


def issuer(iam: Iam, clock: FakeClock, scope: Scope | None = None, password: str = "s3cret") -> TokenIssuer:
    return TokenIssuer(
        User("u", "d"),
        Secret("auth.password", password),
        scope or Scope(),
        Translatable("password"),
        iam_url="https://iam.example.com",
        transport=iam,  # type: ignore[arg-type]
        clock=clock,
    )


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        (Scope(), {"domain": {"name": "d"}}),
        (Scope(project_name="p"), {"project": {"name": "p", "domain": {"name": "d"}}}),
        (Scope(project_id="1", project_name="p"), {"project": {"id": "1"}}),
    ],
)
async def test_a_token_is_requested_for_the_account_or_its_project(
    scope: Scope, sent: dict[str, Any], clock: FakeClock
) -> None:
    iam = Iam()
    assert await issuer(iam, clock, scope).issue() == Lease("t", NOW + 3600)
    (request,) = iam.requests
    user = {"name": "u", "password": "s3cret", "domain": {"name": "d"}}
    assert json.loads(request.body) == {
        "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": sent}
    }
    assert (request.method, str(request.url)) == ("POST", "https://iam.example.com/v3/auth/tokens?nocatalog=true")
    assert request.secrets == ("s3cret",)


async def test_a_refused_password_is_not_sent_again_for_four_minutes(clock: FakeClock) -> None:
    iam = Iam(REFUSED)
    refused = issuer(iam, clock)
    for seconds, requests in ((0, 1), (0, 1), (REFUSED_PASSWORD_PAUSE_SECONDS - 1, 1), (1, 2), (0, 2)):
        clock.advance(seconds)
        words = "refused this password a moment ago" if len(iam.requests) == requests else "wrong password"
        with pytest.raises(AuthError, match=words):
            await refused.issue()
        assert len(iam.requests) == requests


async def test_a_refusal_names_the_user_and_what_iam_said(clock: FakeClock) -> None:
    with pytest.raises(AuthError) as refusal:
        await issuer(Iam(REFUSED), clock).issue()
    error = refusal.value
    assert error.message == "IAM refused the password of user u: IAM answered 401 Unauthorized (401): wrong password"
    assert (error.status, error.code, error.request_id) == (401, "401", "r1")


async def test_a_fault_of_iam_is_not_a_refusal_of_the_password(clock: FakeClock) -> None:
    iam = Iam(Response(503, {}, b"", api="iam"))
    failing = issuer(iam, clock)
    for _ in range(2):
        with pytest.raises(ServerFault):
            await failing.issue()
    assert len(iam.requests) == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, ISSUED.body),
        ({"X-Subject-Token": ""}, ISSUED.body),
        (ISSUED.headers, b""),
        (ISSUED.headers, b"\xff"),
        (ISSUED.headers, b"[" * 100_000),
        (ISSUED.headers, b'{"token": {}}'),
    ],
)
async def test_an_answer_without_a_token_or_its_expiry_is_an_error(
    headers: dict[str, str], body: bytes, clock: FakeClock
) -> None:
    with pytest.raises(BadResponse, match=r"^IAM answered 201 without a token and its expiry$") as failure:
        await issuer(Iam(Response(201, headers, body, api="iam")), clock).issue()
    assert "iam.endpoint" in str(failure.value.hint)


async def test_the_identity_is_the_address_the_user_and_the_password(clock: FakeClock) -> None:
    assert await issuer(Iam(), clock).identity() == (
        "https://iam.example.com/v3/auth/tokens?nocatalog=true",
        "d",
        "u",
        "s3cret",
    )
