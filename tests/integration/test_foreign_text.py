"""Bytes that a gateway sends in place of an error message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from structlog.testing import capture_logs

from exporter.simulator import Simulator
from programs import run_in_process
from support import FakeClock, exporting, fetch

HOSTILE_RESPONSE = (
    b"HTTP/1.1 400 Bad\x1b[31m Request\r\n"
    b"X-Request-Id: r\xff\xfe\x1b]0;title\x07\r\n"
    b"Content-Type: application/json\r\n"
    b"Connection: close\r\n\r\n"
    b'{"error_code": "E\\u001b[2J", "error_msg": "\\u001b[2Jline\\nts=2026 level=info \\u202eevil \\ud800"}'
)


@contextlib.asynccontextmanager
async def hostile_gateway() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HOSTILE_RESPONSE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_hostile_error_message_breaks_no_page_and_no_log_line(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator, hostile_gateway() as url:
        with capture_logs() as logs:
            async with exporting(simulator, clock, api={"endpoint": url}) as service:
                pages = [await fetch(f"{service.urls[0]}{path}") for path in ("/", "/polls", "/metrics")]
    assert [status for status, _, _ in pages] == [200, 200, 200]
    assert not any("\x1b" in text or "\u202e" in text for _, text, _ in pages)
    (line,) = (line for line in logs if line["event"] == "poll failed")
    assert all(str(value).isprintable() for value in line.values())
    assert "evil" in line["err"]
    assert line["request_id"].startswith("r")


async def test_a_hostile_error_message_sends_no_escapes_to_a_terminal() -> None:
    async with hostile_gateway() as url:
        for command in ("once", "check --live", "status"):
            arguments = (*command.split(), f"--api.endpoint={url}")
            status, output, errors = await run_in_process(*arguments, SMS_EXPORTER_AUTH_TOKEN="token")
            assert status != 0
            assert [line for line in f"{output}{errors}".split("\n") if not line.replace("\t", "").isprintable()] == []
            assert "Traceback" not in output + errors
