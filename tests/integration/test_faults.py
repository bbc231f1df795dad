"""Faults of the API at the first poll and in steady state, over real sockets.

In all of them each scrape is answered with 200, the complete list is exposed or none, the failure has its reason, no
secret is exposed or logged, and the account is up again at the first poll after the fault.
"""

import asyncio
import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Self

import aiohttp
import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from exporter.polling.connections import Runtime
from exporter.polling.lockout import BACKOFF_SECONDS
from exporter.service import Service, running
from exporter.settings import Settings
from exporter.simulator import Simulator
from programs import serving
from support import NOWHERE, FakeClock, Scrape, exporting, scrape

SERVERS = 410
"""Three pages."""
INTERVAL = 60.0
PATIENT = ("20s", "20s")
TIMEOUTS = (("300ms", "200ms"), ("5s", "3s"))
"""Connect and read timeouts of a fault that ends by them: at the first attempt, and on a machine that is too busy."""

ELSEWHERE = "http://127.0.0.2:9"


@dataclass(frozen=True)
class Case:
    """A fault, and the reason why a poll fails; None if the poll succeeds."""

    fault: str
    reason: str | None
    servers: int = SERVERS

    def __str__(self) -> str:
        return self.fault.partition("://")[0]


CASES = (
    Case("latency=2", None),
    Case("throttled", "throttled"),
    Case("throttled=3", "throttled"),
    Case("throttled=50", "throttled"),
    Case("throttled-until=5", "throttled"),
    Case("throttled,times=2", None),
    Case("server-error", "server_error"),
    Case("server-error,times=2", None),
    Case("bad-gateway", "server_error"),
    Case("forbidden", "permission"),
    Case("forbidden,after=1", "permission"),
    Case("unauthorized", "auth"),
    Case("unauthorized,after=1", "auth"),
    Case("html", "bad_response"),
    Case(f"redirect={ELSEWHERE}", "bad_response"),
    Case("reset", "connection"),
    Case("hang", "timeout"),
    Case("hang,times=1", None),
    Case("endless-body", "bad_response"),
    Case("hang-before-body", "timeout"),
    Case("hang-mid-body", "timeout"),
    Case("reset-mid-body", "connection"),
    Case("drip=0.0001", "timeout"),
    Case("row-flood=100000", "bad_response"),
    Case("row-flood", "bad_response"),
    Case("echo", "bad_response"),
    Case("truncated", "bad_response"),
    Case("truncated,after=2", "bad_response"),
    Case("wrong-types", None),
    Case("short-page", "inconsistent"),
    Case("count-changes", "inconsistent"),
    Case("duplicates-across-pages", "inconsistent"),
    # On each of the three pages a second copy of the first record replaces the last one.
    Case("duplicates-within-page", None, servers=SERVERS - 3),
    Case("moved", "inconsistent"),
    Case("page-size=100", None),
    Case("page-size=300", None),
    Case("page-size=0", "inconsistent"),
    Case("short-first-page=50", None),
    Case("ignored-offset", "inconsistent"),
    Case("unreachable-count", "inconsistent"),
    # On each of the three pages one record cannot be decoded.
    Case("deep-nesting", None, servers=SERVERS - 3),
    Case("empty-list", None, servers=0),
    Case("clock-skew=5000", None),
)


@dataclass(frozen=True)
class Tunnel:
    """A local port that forwards connections while `opened` is set."""

    port: int
    opened: asyncio.Event


class Scraper:
    """Scrapes again and again while the context lasts, and keeps the responses."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.statuses: list[int] = []
        self.texts: set[str] = set()

    async def _scrape(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for path in ("/metrics?collect[]=fleet", "/", "/-/healthy"):
                    async with session.get(f"{self._url}{path}") as response:
                        self.statuses.append(response.status)
                        self.texts.add(await response.text())
                # While a fault waits for a timeout, nothing changes: the other tests need the CPU.
                await asyncio.sleep(0.05)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._scrape())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def fleets(self) -> set[float]:
        """Return the numbers of servers that were exposed; a scrape without a list has none."""
        scrapes = [Scrape(text) for text in self.texts if text.startswith("# HELP")]
        return {seen.total("source_servers") for seen in scrapes if seen.values("source_servers")}


@contextlib.asynccontextmanager
async def exposed(
    simulator: Simulator, clock: FakeClock, timeouts: tuple[str, str] = PATIENT
) -> AsyncIterator[Service]:
    connect_timeout, read_timeout = timeouts
    api = {"connect_timeout": connect_timeout, "read_timeout": read_timeout, "max_response_size": "2MiB"}
    async with exporting(simulator, clock, api=api, poll={"interval": "60s"}, polled=False) as service:
        yield service


async def poll_ended(service: Service, clock: FakeClock, before: object) -> None:
    """Advance the clock, also through retries and latencies, until a poll other than `before` has ended."""
    (account,) = service.accounts
    while True:
        await clock.until_asleep()
        if account.state.last_poll is not before:
            return
        clock.advance(await clock.until_asleep())


async def fail_and_recover(case: Case, clock: FakeClock, *, steady: bool) -> None:
    if case.fault.startswith(("hang", "drip")):
        await with_timeouts(lambda timeouts: fail_and_recover_once(case, clock, timeouts, steady=steady))
    else:
        await fail_and_recover_once(case, clock, PATIENT, steady=steady)


async def with_timeouts(scenario: Callable[[tuple[str, str]], Awaitable[None]]) -> None:
    """Run a scenario with short timeouts. If the machine is too busy for them, run it again with longer ones."""
    short, longer = TIMEOUTS
    try:
        await scenario(short)
    except AssertionError:
        await scenario(longer)


async def fail_and_recover_once(case: Case, clock: FakeClock, timeouts: tuple[str, str], *, steady: bool) -> None:
    async with Simulator(servers=SERVERS, clock=clock) as simulator:
        simulator.fleet.freeze()
        if not steady:
            simulator.faults.add(case.fault)
        with capture_logs() as logs:
            async with exposed(simulator, clock, timeouts) as service, Scraper(service.urls[0]) as scraper:
                (account,) = service.accounts
                await poll_ended(service, clock, None)
                if steady:
                    assert account.state.up
                    simulator.faults.add(case.fault)
                    await poll_ended(service, clock, account.state.last_poll)
                during = await scrape(service.urls[0])
                simulator.faults.clear()
                ended = clock.time()
                error = account.state.last_poll.error if account.state.last_poll else None
                await poll_ended(service, clock, account.state.last_poll)
                after = await scrape(service.urls[0])
                backed_off = BACKOFF_SECONDS if case.reason == "auth" else 0.0
                assert account.state.last_poll is not None
                assert account.state.last_poll.started_at - ended <= INTERVAL + backed_off

    assert during.value("up") == (case.reason is None)
    failures = {dict(labels)["reason"]: n for labels, n in during.values("exporter_poll_failures_total").items()}
    assert {reason for reason, count in failures.items() if count} == ({case.reason} if case.reason else set())
    shown = case.servers if case.reason is None else SERVERS if steady else 0
    assert during.total("source_servers") == shown
    assert (after.value("up"), after.total("source_servers")) == (1, SERVERS)
    assert set(scraper.statuses) == {200}
    assert scraper.fleets() <= {SERVERS, case.servers}
    seen_texts = [repr(logs), during.text, after.text, *scraper.texts]
    if error is not None:
        seen_texts += traceback.format_exception(error)
    assert_no_secret(simulator, seen_texts)
    if case.reason is not None:
        (line,) = [entry for entry in logs if entry["event"] == "poll failed"]
        assert (line["reason"], line["log_level"]) == (case.reason, "warning")
        assert line["hint"]


def assert_no_secret(simulator: Simulator, texts: Sequence[str]) -> None:
    secrets = (simulator.token, simulator.user.password, simulator.access_key.sk)
    assert not any(secret in text for secret in secrets for text in texts)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_fault_at_the_first_poll(case: Case, clock: FakeClock) -> None:
    await fail_and_recover(case, clock, steady=False)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_fault_in_steady_state(case: Case, clock: FakeClock) -> None:
    await fail_and_recover(case, clock, steady=True)


@contextlib.asynccontextmanager
async def tunnel(target: int, *, tls: ssl.SSLContext | None = None, connects: bool = False) -> AsyncIterator[Tunnel]:
    """Forward connections to a local port once it is open; until then they are accepted and nothing more."""
    opened = asyncio.Event()
    opened.set()
    connections = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        await opened.wait()
        if connects:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        its_reader, its_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(copy(reader, its_writer), copy(its_reader, writer))

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(2**16):
                sink.write(chunk)
                await sink.drain()
        sink.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=tls) as server:
        yield Tunnel(server.sockets[0].getsockname()[1], opened)
        opened.set()
        await asyncio.gather(*filter(None, connections), return_exceptions=True)


@pytest.mark.parametrize("step", ["the TLS handshake with 127.0.0.1", "the proxy 127.0.0.1 did not connect"])
async def test_a_connection_that_hangs_fails_the_poll_until_it_is_established(
    step: str, clock: FakeClock, tmp_path: Path
) -> None:
    """The first steps of a connection; that of looking up the name is in test_name_lookups.py."""
    await with_timeouts(lambda timeouts: connect_at_the_second_poll(step, clock, tmp_path, timeouts[0]))


async def connect_at_the_second_poll(step: str, clock: FakeClock, tmp_path: Path, connect_timeout: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Simulator(servers=SERVERS, clock=clock) as simulator, contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(tunnel(int(simulator.url.rpartition(":")[2]), tls=context))
        hanging = await stack.enter_async_context(tunnel(api.port, connects="proxy" in step))
        options = {"connect_timeout": connect_timeout, "ca_file": tmp_path / "ca.pem"}
        if "proxy" in step:
            options |= {"endpoint": f"https://127.0.0.1:{api.port}", "proxy": f"http://127.0.0.1:{hanging.port}"}
        else:
            options |= {"endpoint": f"https://127.0.0.1:{hanging.port}"}
        hanging.opened.clear()
        async with exporting(simulator, clock, api=options, polled=False) as service:
            (account,) = service.accounts
            await poll_ended(service, clock, None)
            during = await scrape(service.urls[0])
            error = account.state.last_poll.error if account.state.last_poll else None
            hanging.opened.set()
            await poll_ended(service, clock, account.state.last_poll)
            after = await scrape(service.urls[0])
    assert (during.value("up"), during.total("source_servers")) == (0, 0)
    assert during.value("exporter_poll_failures_total", reason="timeout") == 1
    assert step in str(error)
    assert (after.value("up"), after.total("source_servers")) == (1, SERVERS)


async def test_a_refused_redirect_sends_nothing_to_the_other_host(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as other, Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add(f"redirect={other.url}")
        async with exposed(simulator, clock) as service:
            await poll_ended(service, clock, None)
            seen = await scrape(service.urls[0])
        assert other.requests == []
    assert seen.value("exporter_poll_failures_total", reason="bad_response") == 1


async def test_a_record_with_wrong_types_keeps_its_readable_values(clock: FakeClock) -> None:
    async with Simulator(servers=30, clock=clock) as simulator:
        simulator.faults.add("wrong-types")
        async with exposed(simulator, clock) as service:
            await poll_ended(service, clock, None)
            seen = await scrape(service.urls[0])
    assert len(seen.values("source_server_info")) == 30
    assert seen.total("exporter_unreadable_values_total") > 0


async def test_clock_skew_is_exposed(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("clock-skew=90")
        async with exposed(simulator, clock) as service:
            await poll_ended(service, clock, None)
            seen = await scrape(service.urls[0])
    assert seen.value("exporter_api_clock_skew_seconds") == -90


async def test_clock_skew_excludes_the_time_of_the_body(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("drip=1")
        async with exposed(simulator, clock) as service:
            await poll_ended(service, clock, None)
            seen = await scrape(service.urls[0])
    assert clock.monotonic() > 1000
    assert 0 <= (seen.value("exporter_api_clock_skew_seconds") or 0) < 100


async def test_a_token_of_the_maximum_length_is_used(clock: FakeClock) -> None:
    async with Simulator(servers=3, clock=clock) as simulator:
        simulator.faults.add("long-token")
        user = simulator.user
        auth = {"user_name": user.name, "domain_name": user.domain, "password": user.password}
        async with exporting(simulator, clock, auth=auth | {"project_name": user.project}) as service:
            seen = await scrape(service.urls[0])
    assert (seen.value("up"), seen.total("source_servers")) == (1, 3)


async def test_retries_and_waits_are_counted(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("throttled=4,times=2")
        async with exposed(simulator, clock) as service:
            await poll_ended(service, clock, None)
            seen = await scrape(service.urls[0])
        assert [request.status for request in simulator.requests] == [429, 429, 200]
    assert seen.value("up") == 1
    assert seen.value("exporter_api_retries_total") == 2
    assert 8 <= (seen.value("exporter_api_throttle_wait_seconds_total") or 0) <= 12
    assert seen.value("exporter_api_requests_total", api="sms", code="429") == 2
    assert seen.value("exporter_api_request_duration_seconds_count", api="sms") == 3


async def test_permanent_failures_are_not_retried(clock: FakeClock) -> None:
    for fault in ("forbidden", "unauthorized", "html"):
        async with Simulator(servers=1, clock=clock) as simulator:
            simulator.faults.add(fault)
            async with exposed(simulator, clock) as service:
                await poll_ended(service, clock, None)
            assert len(simulator.requests) == 1


async def test_a_slow_account_does_not_delay_another(clock: FakeClock) -> None:
    async with Simulator(servers=5, clock=clock) as hanging, Simulator(servers=5, clock=clock) as healthy:
        hanging.faults.add("hang")
        accounts = [
            {"name": name, "api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}}
            for name, simulator in (("hanging", hanging), ("healthy", healthy))
        ]
        async with exporting(healthy, clock, accounts=accounts, polled=False) as service:
            slow, quick = service.accounts
            starts = []
            for _ in range(5):
                await clock.until_asleep()
                while quick.state.last_poll is None or quick.state.last_poll.started_at in starts:
                    clock.advance(await clock.until_asleep())
                    await clock.until_asleep()
                starts.append(quick.state.last_poll.started_at)
            seen = await scrape(service.urls[0])
    assert [after - before for before, after in pairwise(starts[1:])] == [INTERVAL] * 3
    assert slow.state.last_poll is None
    assert seen.value("up", account="healthy") == 1
    assert seen.value("up", account="hanging") == 0


async def test_credentials_that_are_refused_with_403_back_off_as_with_401(clock: FakeClock) -> None:
    sent_at = []

    async def refuse(_: web.Request) -> web.Response:
        sent_at.append(clock.monotonic())
        body = {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}
        return web.json_response(body, status=HTTPStatus.FORBIDDEN)

    async with serving(refuse) as url:
        tree = Settings.model_validate(
            {
                "api": {"endpoint": url},
                "auth": {"access_key": "AK", "secret_key": "SK"},
                "web": {"listen_address": ("127.0.0.1:0",)},
            },
        )
        async with running(tree, Runtime(clock, {}, NOWHERE)):
            while clock.monotonic() < 3 * BACKOFF_SECONDS:
                clock.advance(await clock.until_asleep())
            await clock.until_asleep()
    assert sent_at == [0, BACKOFF_SECONDS, 3 * BACKOFF_SECONDS]
