"""Clients that try to exhaust memory and file descriptors, against a real process with real limits."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import trustme

from exporter.simulator import Simulator
from programs import exporter_command, free_port, program, started, until
from secure import Site

CLIENT_HELLO_START = b"\x16\x03\x01\x02\x00"
"""The header of a TLS record that never comes."""


@dataclass(frozen=True)
class Exporter:
    """A running exporter with TLS and limited resources."""

    process: asyncio.subprocess.Process
    port: int
    tls: ssl.SSLContext

    async def scrape(self) -> int:
        """Return the status of a scrape on a new connection."""
        connector = aiohttp.TCPConnector(ssl=self.tls)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(f"https://127.0.0.1:{self.port}/metrics") as response:
                await response.read()
                return response.status


@contextlib.asynccontextmanager
async def limited_exporter(folder: Path, limit: str) -> AsyncIterator[Exporter]:
    """Run an exporter with TLS under a limit of bash's `ulimit`; its log is a file in the folder."""
    site = Site(folder, trustme.CA(), trustme.CA())
    site.write(tls_server_config=site.certify())
    port = free_port()
    async with Simulator(servers=20) as simulator:
        options = (
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={site.file}",
            f"--api.endpoint={simulator.url}",
            f"--auth.token={simulator.token}",
        )
        limited = f'ulimit {limit}; exec "$@" 2>{folder / "log"}'
        async with started(program("bash"), "-c", limited, "bash", *exporter_command(*options)) as process:
            exporter = Exporter(process, port, site.client())
            await until(exporter.scrape)
            yield exporter


@contextlib.contextmanager
def half_open(port: int, number: int, sent: bytes = b"") -> Iterator[None]:
    """Hold connections open that send only these bytes."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
        yield


@pytest.mark.parametrize("sent", [b"", CLIENT_HELLO_START])
async def test_thousands_of_half_open_tls_connections_do_not_exhaust_memory(tmp_path: Path, sent: bytes) -> None:
    # The memory limit of the Helm chart, in KiB.
    async with limited_exporter(tmp_path, "-d 524288") as exporter:
        with half_open(exporter.port, 5000, sent):
            assert await exporter.scrape() == 200
        assert exporter.process.returncode is None
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_running_out_of_file_descriptors_is_logged_once_and_passes(tmp_path: Path) -> None:
    async with limited_exporter(tmp_path, "-n 24") as exporter:
        with half_open(exporter.port, 100):
            # The exporter tries once per second; a client in its queue cannot tell.
            await until(lambda: logged(tmp_path))
        await until(exporter.scrape)
    lines = (tmp_path / "log").read_text().splitlines()
    assert len([line for line in lines if "cannot accept connections" in line]) == 1
    assert "Traceback" not in "".join(lines)


async def logged(folder: Path) -> bool:
    return "cannot accept connections" in (folder / "log").read_text()
