"""Slow, numerous, malformed and malicious clients: each is limited, and none gets information."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from exporter.settings.quantities import ListenAddress
from exporter.web.connection import SECURITY_HEADERS, Connection, Limits, limit_exchange_time, set_security_headers
from exporter.web.scrape import ConcurrencyLimit
from exporter.web.server import serve
from programs import until
from support import fetch

SOON = 0.05
NEVER = 3600.0
PATIENT = Limits(first_head=NEVER, exchange=NEVER, stall=NEVER, idle=NEVER)
BIG = bytes(30_000_000)
"""More than the buffers of a connection hold."""


@contextlib.asynccontextmanager
async def served(limits: Limits = PATIENT, max_requests: int = 0) -> AsyncIterator[str]:
    async def small(_: web.Request) -> web.Response:
        return web.Response(text="small")

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=BIG)

    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("broken")

    limit = ConcurrencyLimit(max_requests)
    app = web.Application(middlewares=[limit_exchange_time])
    app.on_response_prepare.append(set_security_headers)
    app.router.add_get("/", limit.wrap(small))
    app.router.add_get("/big", limit.wrap(big))
    app.router.add_get("/broken", broken)
    async with serve(app, [ListenAddress("127.0.0.1", 0)], limits=limits) as urls:
        yield urls[0]


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.transport.abort()


async def send(url: str, request: bytes) -> bytes:
    """Send bytes, and return everything received until the server closes the connection."""
    async with connected(url) as (reader, writer):
        writer.write(request)
        return await read(reader)


async def read(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            received += part
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_client_that_sends_incomplete_headers_is_disconnected(sent: bytes) -> None:
    async with served(Limits(first_head=SOON, exchange=NEVER, idle=NEVER)) as url:
        assert await send(url, sent) == b""


async def test_a_client_that_sends_an_incomplete_second_request_is_disconnected() -> None:
    async with served(Limits(first_head=NEVER, exchange=SOON, idle=NEVER)) as url:
        assert (await send(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")).endswith(b"small")


async def test_an_idle_connection_is_closed_without_an_error() -> None:
    async with served(Limits(first_head=NEVER, exchange=NEVER, idle=SOON)) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            # Not an error: the end of the stream.
            assert (await reader.read()).endswith(b"small")


async def test_a_scrape_in_progress_counts_towards_the_limit() -> None:
    async with served(max_requests=1) as url, connected(url) as (reader, writer):
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        status, text, _ = await fetch(url)
        assert (status, text) == (503, "Limit of concurrent scrapes reached (1, --web.max-requests).\n")


async def test_a_client_that_disconnects_during_a_response_frees_its_place_and_logs_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(max_requests=1) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"

        async def free() -> bool:
            return (await fetch(url))[0] == 200

        await until(free)
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


async def test_a_client_that_never_reads_is_disconnected_and_frees_its_place() -> None:
    async with served(Limits(first_head=NEVER, exchange=SOON, idle=NEVER), max_requests=1) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")

            async def free() -> bool:
                return (await fetch(url))[0] == 200

            await until(free)
            assert len(await read(reader)) < len(BIG)


async def test_clients_that_never_read_do_not_keep_later_scrapes_from_being_answered() -> None:
    async with served(replace(PATIENT, stall=SOON), max_requests=3) as url, contextlib.AsyncExitStack() as clients:
        host, _, port = url.removeprefix("http://").rpartition(":")
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
            client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 3)

        async def free() -> bool:
            return (await fetch(url))[0] == 200

        await until(free)


class SlowClient(asyncio.Transport):
    """A connection with these numbers of unsent bytes, one at each look."""

    def __init__(self, *unsent: int) -> None:
        super().__init__()
        self.unsent = list(unsent)
        self.aborted = asyncio.Event()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted.set()


async def test_a_client_that_reads_slowly_is_disconnected_only_when_it_stops_reading() -> None:
    async def small(_: web.BaseRequest) -> web.Response:
        return web.Response(text="small")

    client = SlowClient(300, 200, 100, 100, 50)
    connection = Connection(web.Server(small), replace(PATIENT, stall=0))
    connection.connection_made(client)
    connection.pause_writing()
    async with asyncio.timeout(20):
        await client.aborted.wait()
    connection.connection_lost(None)
    assert client.unsent == [50]


async def test_above_the_maximum_the_oldest_idle_connection_is_closed_and_the_new_one_served() -> None:
    async with served(Limits(first_head=NEVER, exchange=NEVER, idle=NEVER, connections=2)) as url:
        async with connected(url) as (oldest, _), connected(url) as (reader, writer):
            assert (await fetch(url))[0] == 200
            assert await read(oldest) == b""
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"small")


async def test_above_the_maximum_no_request_in_progress_is_interrupted() -> None:
    async with served(Limits(first_head=NEVER, exchange=NEVER, idle=NEVER, connections=1)) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            assert await send(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
            assert len(await read(reader)) > len(BIG)


async def test_a_stop_serves_the_clients_that_have_just_connected() -> None:
    async with served() as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(50)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        # The event loop has had no turn since, so the server knows none of them.
    for client in clients:
        with client:
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_stop_does_not_wait_for_a_client_that_never_reads() -> None:
    async with contextlib.AsyncExitStack() as server:
        url = await server.enter_async_context(served(Limits(exchange=NEVER, shutdown=SOON)))
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            await server.aclose()
            assert len(await read(reader)) < len(BIG)


SECRET = b"aHVudGVyMg"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01" + SECRET + b"\r\n\r\n",
        b"GET /<script>" + SECRET + b" HTTP/9.9.9\r\n\r\n",
        b"<script>" + SECRET + b"</script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization : Basic " + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \x01" + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + SECRET * 2000 + b"\r\n\r\n",
        b"GET /?" + SECRET * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: " % n + SECRET + b"\r\n" for n in range(200)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: " + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, " + SECRET + b"\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_neither_echoed_nor_logged(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as url:
        with capture_logs() as lines:
            answer = await send(url, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert body == b"Bad Request.\n"
    assert b"Content-Type: text/plain" in head
    assert b"X-Content-Type-Options: nosniff" in head
    for text in (answer.decode("latin-1"), str(lines), caplog.text):
        assert SECRET.decode() not in text
        assert "<script>" not in text
    assert [line["log_level"] for line in lines if line["event"] != "request"] == ["debug"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Expect": "<b>x</b>"}, 417),
        ("/<b>x</b>", {}, 404),
        ("/broken", {"Accept": "text/html"}, 500),
    ],
)
async def test_an_error_is_plain_text_and_echoes_nothing(path: str, headers: dict[str, str], status: int) -> None:
    async with served() as url:
        given, text, answered = await fetch(f"{url}{path}", **headers)
    assert given == status
    assert answered["Content-Type"].startswith("text/plain")
    assert "<" not in text


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "TRACE", "INVENTED"])
@pytest.mark.parametrize("path", ["/", "/nowhere", "/broken"])
async def test_every_response_has_the_security_headers_and_no_version(method: str, path: str) -> None:
    async with served() as url:
        answer = await send(url, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    lines = answer.partition(b"\r\n\r\n")[0].decode().splitlines()
    assert [line for line in lines if line.startswith("Server:")] == ["Server: sms-exporter"]
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}" in lines


async def test_an_unexpected_request_body_is_not_waited_for() -> None:
    async with served(Limits(body=SOON)) as url, connected(url) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 405 Method Not Allowed\r\n"
        await read(reader)
