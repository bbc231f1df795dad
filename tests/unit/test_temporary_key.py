"""Temporary access keys: what is sent to the services that issue them, and which answers are keys."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.auth.renewal import Lease
from exporter.auth.secret import Secret
from exporter.auth.signing import AccessKey
from exporter.auth.temporary_key import METADATA_TOKEN_SECONDS, EcsMetadata, PodIdentity
from exporter.errors import AuthError, BadResponse, PollError, ServerFault, Throttled
from exporter.http.transport import Request, Response
from support import NOW, FakeClock

KEY = {"access": "AK", "secret": "SK", "securitytoken": "ST", "expires_at": "2027-01-15T09:00:00.000000Z"}
LEASE = Lease(AccessKey("AK", "SK", "ST"), NOW + 3600)


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, api="metadata")


def key(**changes: object) -> Response:
    credential = {name: value for name, value in {**KEY, **changes}.items() if value is not None}
    return answer(200, json.dumps({"credential": credential}).encode())


class Service:
    """A transport that gives its answers one after the other."""

    def __init__(self, *answers: Response) -> None:
        self.answers: Sequence[Response] = answers
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answers[len(self.requests) - 1]


def ecs(service: Service) -> EcsMetadata:
    return EcsMetadata("http://169.254.169.254", service, FakeClock())  # type: ignore[arg-type]


def pod(service: Service) -> PodIdentity:
    return PodIdentity("http://pod/keys", Secret("token", "pod-token"), service, FakeClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        (answer(200, b"t0ken"), {"X-Metadata-Token": "t0ken"}),
        (answer(200), {}),
        (answer(404, b"not found"), {}),
        (answer(405), {}),
        (answer(503, b"busy"), {}),
    ],
)
async def test_the_key_of_a_server_is_requested_with_the_token_that_the_service_issues(
    token: Response, sent: dict[str, str]
) -> None:
    service = Service(token, key())
    assert await ecs(service).issue() == LEASE
    first, second = service.requests
    assert (first.method, first.url.path) == ("PUT", "/meta-data/latest/api/token")
    assert first.headers == {"X-Metadata-Token-Ttl-Seconds": str(METADATA_TOKEN_SECONDS)}
    assert (second.method, second.url.path, second.headers) == ("GET", "/openstack/latest/securitykey", sent)


@pytest.mark.parametrize(
    ("answers", "kind", "status"),
    [
        ([answer(500)], ServerFault, 500),
        ([answer(403)], AuthError, 403),
        ([answer(503), answer(401)], ServerFault, 503),
        ([answer(503), answer(500)], ServerFault, 500),
        ([answer(404), answer(401)], AuthError, 401),
        ([answer(200, b"t"), answer(401)], AuthError, 401),
        ([answer(200, b"t"), answer(429)], Throttled, 429),
        ([answer(200, b"t"), answer(404)], AuthError, 404),
    ],
)
async def test_a_service_that_issues_no_key_is_a_fault_or_a_refusal(
    answers: list[Response], kind: type[PollError], status: int
) -> None:
    with pytest.raises(PollError) as failure:
        await ecs(Service(*answers)).issue()
    error = failure.value
    assert (type(error), error.status, error.message) == (
        kind,
        status,
        f"the ECS metadata service answered {status}",
    )
    hint = "bind an agency" if kind is AuthError else "if this lasts"
    assert hint in str(error.hint)


async def test_a_fault_of_a_service_keeps_the_pause_that_it_asks_for() -> None:
    with pytest.raises(Throttled) as failure:
        await pod(Service(answer(429, Retry_After="7"))).issue()
    assert failure.value.retry_after == 7
    with pytest.raises(AuthError) as refusal:
        await pod(Service(answer(403, Retry_After="7"))).issue()
    assert refusal.value.retry_after is None


@pytest.mark.parametrize(
    ("ak", "sk", "token", "end"),
    [
        ("access", "secret", "securitytoken", "expires_at"),
        ("accessKeyId", "secretAccessKey", "securityToken", "expiration"),
        ("access_key_id", "secret_access_key", "security_token", "expiration"),
    ],
)
@pytest.mark.parametrize("envelope", ["credential", "credentials"])
async def test_the_parts_of_a_key_have_the_names_that_the_official_sdk_reads(
    envelope: str, ak: str, sk: str, token: str, end: str
) -> None:
    content = {envelope: {ak: "AK", sk: "SK", token: "ST", end: KEY["expires_at"]}}
    service = Service(answer(200, json.dumps(content).encode()))
    assert await pod(service).issue() == LEASE
    (request,) = service.requests
    assert (request.method, str(request.url), request.body) == ("POST", "http://pod/keys", b"{}")
    assert request.headers == {"Authorization": "pod-token", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    "response",
    [
        *(key(**{name: wrong}) for name in KEY for wrong in (None, "", 5)),
        answer(200),
        answer(200, b"{}"),
        answer(200, b"[]"),
        answer(200, b"\xff"),
        answer(200, b"[" * 100_000),
        answer(200, b'{"credential": {}}'),
    ],
)
async def test_an_answer_without_a_part_of_the_key_is_an_error_that_does_not_show_the_others(
    response: Response,
) -> None:
    with pytest.raises(AuthError, match=r"^the pod identity service answered 200 without a temporary key$") as error:
        await pod(Service(response)).issue()
    assert "check the identity" in str(error.value.hint)


async def test_an_end_that_is_no_date_is_an_error() -> None:
    with pytest.raises(BadResponse, match="the pod identity service sent an expiry that is not a plausible date"):
        await pod(Service(key(expires_at="soon"))).issue()


async def test_keys_of_the_same_service_and_identity_are_the_same() -> None:
    unused: Any = Service()
    assert await ecs(unused).identity() == ("http://169.254.169.254",)
    assert await pod(unused).identity() == ("http://pod/keys", "pod-token")
