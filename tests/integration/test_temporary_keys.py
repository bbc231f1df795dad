"""Temporary access keys of the ECS metadata service and of a pod's identity."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from credentials import HOUR, seen_with, source_of, tree
from exporter.auth.renewal import RenewingProvider
from exporter.auth.secret import Secret, SecretFile
from exporter.auth.temporary_key import EcsMetadata, PodIdentity
from exporter.errors import AuthError, PollError, ServerFault, Throttled
from exporter.polling.connections import Runtime, account_credentials, account_session, account_transport
from exporter.settings import ApiSettings
from exporter.simulator import Simulator
from programs import serving
from support import NOWHERE, FakeClock, Scrape, Unobserved, account, exporting, next_poll, run_ahead, scrape

Handler = Callable[[web.Request], Awaitable[web.Response]]


@pytest.mark.parametrize("tokens", [True, False])
async def test_keys_of_the_metadata_service_authenticate_and_are_renewed_without_a_failed_poll(
    clock: FakeClock, *, tokens: bool
) -> None:
    async with Simulator(servers=3, clock=clock, key_lifetime=HOUR, metadata_tokens=tokens) as simulator:
        auth = {"metadata_endpoint": simulator.url}
        async with exporting(simulator, clock, auth=auth) as service:
            for _ in range(150):
                await next_poll(clock)
            seen = await scrape(service.urls[0])
        asked = [request for request in simulator.requests if request.path.endswith("securitykey")]
    assert (seen.value("up"), seen.total("exporter_poll_failures_total")) == (1, 0)
    assert 3 <= len(asked) <= 6
    expiry = seen.value("exporter_credentials_expiration_timestamp_seconds")
    renewal = seen.value("exporter_credentials_renewal_timestamp_seconds")
    assert expiry is not None
    assert renewal is not None
    assert expiry > renewal > clock.time()


async def poll_with_refusals(clock: FakeClock, fault: str) -> tuple[Scrape, int, int]:
    """Return a scrape after a poll with a fault, and the numbers of refused requests and of requests for a key."""
    async with Simulator(servers=1000, clock=clock, key_lifetime=HOUR) as simulator:
        simulator.fleet.freeze()
        async with exporting(simulator, clock, auth={"metadata_endpoint": simulator.url}) as service:
            simulator.faults.add(fault)
            await next_poll(clock)
            seen = await scrape(service.urls[0])
        refused = sum(request.status == 401 for request in simulator.requests)
        return seen, refused, sum(request.path.endswith("securitykey") for request in simulator.requests)


async def test_a_temporary_key_refused_mid_poll_is_replaced_once_without_a_failed_poll(clock: FakeClock) -> None:
    seen, refused, keys = await poll_with_refusals(clock, "unauthorized,after=2,times=1")
    assert (seen.value("exporter_polls_total"), seen.total("exporter_poll_failures_total")) == (2, 0)
    assert (refused, keys) == (1, 2)


async def test_temporary_keys_that_are_all_refused_are_replaced_once_in_a_poll(clock: FakeClock) -> None:
    seen, refused, keys = await poll_with_refusals(clock, "unauthorized,after=1")
    assert seen.value("exporter_poll_failures_total", reason="auth") == 1
    assert keys == 2
    # The four further pages are under way together, with the first key and then with the second.
    assert refused <= 4 + 4


async def test_requests_to_the_metadata_service_use_no_proxy(clock: FakeClock) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        options = tree(simulator, metadata_endpoint=simulator.url)
        source = await source_of(options, Runtime(clock, {"http_proxy": "http://127.0.0.1:9"}, NOWHERE))
    assert "agency" in source


async def test_keys_of_a_pods_identity_authenticate(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        key = simulator.keys.issue_temporary(expires_at=clock.time() + HOUR)

        async def identity(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == "pod-token"
            return web.json_response(
                {
                    "credential": {
                        "access_key_id": key.ak,
                        "secret_access_key": key.sk,
                        "security_token": key.security_token,
                        "expiration": "2027-01-15T09:00:00.000000Z",
                    },
                },
            )

        token_file = tmp_path / "token"
        token_file.write_text("pod-token")
        async with serving(identity) as url:
            environ = {
                "HC_CONTAINER_CREDENTIALS_FULL_URI": url,
                "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token_file),
            }
            auth = {"metadata_endpoint": "http://127.0.0.1:9"}
            assert (await seen_with(simulator, clock, auth, environ)).value("up") == 1


async def test_a_metadata_service_that_does_not_answer_is_left_for_the_next_place(
    clock: FakeClock, tmp_path: Path
) -> None:
    ended: list[object] = []

    class Requests(Unobserved):
        def request_ended(self, *request: object) -> None:
            ended.append(request)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    environ = {
        "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9",
        "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    async with server, contextlib.AsyncExitStack() as resources:
        options = account(auth={"metadata_endpoint": url})
        found = account_credentials(options, Requests(), Runtime(clock, environ, None))
        credentials = await run_ahead(resources.enter_async_context(found))
        assert credentials.source == "temporary key of this pod's identity"
        # None is left that would take a connection and be counted later.
        assert len(ended) == 1


STATUSES = [(408, ServerFault), (429, Throttled), (500, ServerFault), (502, ServerFault), (404, AuthError)]


@contextlib.asynccontextmanager
async def temporary_keys(service: str, handler: Handler, folder: Path) -> AsyncIterator[EcsMetadata | PodIdentity]:
    """Return an issuer of keys whose every answer comes from the handler."""
    (folder / "token").write_text("pod-token")
    options, clock = ApiSettings(), FakeClock()
    async with serving(handler) as url, account_session(options) as session:
        transport = account_transport(options, session, "metadata", Runtime(clock, {}, NOWHERE), Unobserved())
        if service == "metadata":
            yield EcsMetadata(url.rstrip("/"), transport, clock)
        else:
            yield PodIdentity(url, Secret("token", SecretFile("token", folder / "token")), transport, clock)


@pytest.mark.parametrize("service", ["metadata", "pod identity"])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_a_fault_of_an_issuer_of_temporary_keys_that_may_pass_is_not_a_refusal(
    service: str, status: int, kind: type[PollError], tmp_path: Path
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "7"}, text="half a k3y")

    async with temporary_keys(service, answer, tmp_path) as issuer:
        with pytest.raises(PollError) as caught:
            await issuer.issue()
    assert (type(caught.value), caught.value.status) == (kind, status)
    assert caught.value.retry_after == (None if kind is AuthError else 7)
    assert str(status) in caught.value.message
    assert "k3y" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(("unavailable", "kind"), [("PUT", ServerFault), ("", AuthError)])
async def test_a_key_refused_for_lack_of_a_token_that_could_not_be_obtained_is_not_a_refusal(
    unavailable: str, kind: type[PollError], tmp_path: Path
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=503 if request.method == unavailable else 404 if request.method == "PUT" else 401)

    async with temporary_keys("metadata", answer, tmp_path) as issuer:
        with pytest.raises(PollError) as caught:
            await issuer.issue()
    assert type(caught.value) is kind


async def test_the_fingerprint_of_a_temporary_key_survives_its_renewal(clock: FakeClock, tmp_path: Path) -> None:
    tokens = itertools.count()

    async def answer(_: web.Request) -> web.Response:
        key = {"access": "AK", "secret": "SK", "securitytoken": str(next(tokens)), "expires_at": "2027-01-15T09:00:00Z"}
        return web.json_response({"credential": key})

    for service in ("metadata", "pod identity"):
        async with temporary_keys(service, answer, tmp_path) as issuer:
            provider = RenewingProvider(issuer, clock)
            before = await provider.fingerprint()
            assert await provider.renew(await provider.get())
            assert before == await provider.fingerprint() is not None
