"""Stopping a process while it is busy: every scrape that has begun is finished, and nothing that hangs delays it."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import yaml

from exporter.simulator import Simulator
from programs import TIMEOUT_SECONDS, exporter_command, started, until
from support import scrape

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"


class Scraper:
    """Scrapes in a loop over one connection at a time, and counts the responses that were not complete."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.complete = 0
        self.interrupted = 0

    async def run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(*self._address)
            except ConnectionRefusedError:
                return
            with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    writer.write(REQUEST)
                    await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length
        try:
            await reader.readexactly(int(length[1]))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.interrupted += 1
            raise
        self.complete += 1


async def stop_under_load(command: Sequence[str], scrapers: int) -> Sequence[Scraper]:
    async with started(*command) as process:
        assert process.stderr is not None
        while b"msg=listening" not in (line := await process.stderr.readline()):
            assert line
        address = re.search(rb"http://([0-9.]+):(\d+)", line)
        assert address
        running = [Scraper((address[1].decode(), int(address[2]))) for _ in range(scrapers)]
        tasks = [asyncio.ensure_future(scraper.run()) for scraper in running]
        await until(lambda: asyncio.sleep(0, all(scraper.complete for scraper in running)))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert await process.wait() == 0
            await asyncio.gather(*tasks)
    return running


async def test_a_stop_under_load_finishes_every_scrape_that_has_begun() -> None:
    async with Simulator(servers=2000, acceleration=1000) as simulator:
        command = exporter_command(
            "--web.listen-address=127.0.0.1:0",
            f"--api.endpoint={simulator.url}",
            f"--auth.token={simulator.token}",
            "--poll.interval=1s",
        )
        for _ in range(3):
            scrapers = await stop_under_load(command, 20)
            assert sum(scraper.interrupted for scraper in scrapers) == 0


async def test_a_stop_waits_neither_for_a_poll_nor_for_a_file_that_hangs(tmp_path: Path) -> None:
    """A thread that reads a FIFO, and a poll whose API never answers."""
    config = tmp_path / "config.yml"
    async with Simulator(servers=1, faults=["hang"]) as simulator:
        config.write_text(
            yaml.safe_dump({"api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}}),
        )
        command = exporter_command(f"--config.file={config}", "--web.listen-address=127.0.0.1:0")
        async with started(*command) as process:
            assert process.stderr is not None
            while b"msg=listening" not in (line := await process.stderr.readline()):
                assert line
            await until(lambda: asyncio.sleep(0, bool(simulator.requests)))
            config.unlink()
            os.mkfifo(config)
            process.send_signal(signal.SIGHUP)
            url = line.decode().partition("urls=")[2].split()[0]
            assert (await scrape(url)).value("up") == 0
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert await process.wait() == 0
