"""Clients that are slow, many, malformed or malicious: each meets an end, and none learns anything."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from exporter.settings.quantities import ListenAddress
from exporter.web.connection import SAFE, Limits, set_safe_headers, timed
from exporter.web.scrape import Slots
from exporter.web.server import serve
from programs import until
from support import fetch

SOON = 0.05
NEVER = 3600.0
PATIENT = Limits(first_head=NEVER, exchange=NEVER, idle=NEVER)
BIG = bytes(30_000_000)
"""More than the buffers of a connection hold."""


@contextlib.asynccontextmanager
async def served(limits: Limits = PATIENT, slots: int = 0) -> AsyncIterator[str]:
    async def small(_: web.Request) -> web.Response:
        return web.Response(text="small")

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=BIG)

    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("broken")

    taken = Slots(slots)
    app = web.Application(middlewares=[timed])
    app.on_response_prepare.append(set_safe_headers)
    app.router.add_get("/", taken.around(small))
    app.router.add_get("/big", taken.around(big))
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


async def said(url: str, request: bytes) -> bytes:
    """Send bytes, and give all that comes back until the server closes."""
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
async def test_who_sends_no_whole_head_is_cut_off(sent: bytes) -> None:
    async with served(Limits(first_head=SOON, exchange=NEVER, idle=NEVER)) as url:
        assert await said(url, sent) == b""


async def test_who_sends_no_further_request_is_cut_off() -> None:
    async with served(Limits(first_head=NEVER, exchange=SOON, idle=NEVER)) as url:
        assert (await said(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")).endswith(b"small")


async def test_who_idles_after_an_answer_is_parted_from_in_peace() -> None:
    async with served(Limits(first_head=NEVER, exchange=NEVER, idle=SOON)) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            # Not an error: the end of the stream.
            assert (await reader.read()).endswith(b"small")


async def test_a_scrape_that_is_not_read_holds_its_slot_while_it_lasts() -> None:
    async with served(slots=1) as url, connected(url) as (reader, writer):
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        status, text, _ = await fetch(url)
        assert (status, text) == (503, "1 scrapes are being answered, the most that web.max-requests allows.\n")


async def test_who_leaves_in_the_middle_of_an_answer_gives_the_slot_back_and_is_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(slots=1) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"

        async def free() -> bool:
            return (await fetch(url))[0] == 200

        await until(free)
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


async def test_a_scrape_that_is_never_read_is_cut_off_and_gives_its_slot_back() -> None:
    async with served(Limits(first_head=NEVER, exchange=SOON, idle=NEVER), slots=1) as url:
        async with connected(url) as (reader, writer):
            writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")

            async def free() -> bool:
                return (await fetch(url))[0] == 200

            await until(free)
            assert len(await read(reader)) < len(BIG)


async def test_of_too_many_connections_the_last_is_refused_and_the_others_go_on() -> None:
    async with served(Limits(first_head=NEVER, exchange=NEVER, idle=NEVER, connections=2)) as url:
        async with connected(url) as (reader, writer), connected(url):
            assert await said(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"small")


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
async def test_what_cannot_be_parsed_is_answered_and_logged_without_a_word_of_it(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as url:
        with capture_logs() as lines:
            answer = await said(url, request_)
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
async def test_an_error_is_plain_text_and_no_echo(path: str, headers: dict[str, str], status: int) -> None:
    async with served() as url:
        given, text, answered = await fetch(f"{url}{path}", **headers)
    assert given == status
    assert answered["Content-Type"].startswith("text/plain")
    assert "<" not in text


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "TRACE", "INVENTED"])
@pytest.mark.parametrize("path", ["/", "/nowhere", "/broken"])
async def test_every_answer_has_the_safe_headers_and_none_tells_of_versions(method: str, path: str) -> None:
    async with served() as url:
        answer = await said(url, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    lines = answer.partition(b"\r\n\r\n")[0].decode().splitlines()
    assert [line for line in lines if line.startswith("Server:")] == ["Server: sms-exporter"]
    for name, value in SAFE.items():
        assert f"{name}: {value}" in lines


async def test_a_body_that_nobody_asked_for_is_not_waited_for() -> None:
    async with served(Limits(body=SOON)) as url, connected(url) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 405 Method Not Allowed\r\n"
        await read(reader)
