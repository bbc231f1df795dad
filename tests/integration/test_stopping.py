"""Stopping a process while it is busy: every scrape that has begun is finished, and nothing that hangs delays it."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Sequence

from exporter.simulator import Simulator
from programs import exporter_command, started, until
from support import TIMEOUT_SECONDS

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


async def test_a_stop_does_not_wait_for_an_api_that_hangs() -> None:
    async with Simulator(servers=1, faults=["hang"]) as simulator:
        command = exporter_command(
            "--web.listen-address=127.0.0.1:0",
            f"--api.endpoint={simulator.url}",
            f"--auth.token={simulator.token}",
        )
        async with started(*command) as process:
            await until(lambda: asyncio.sleep(0, bool(simulator.requests)))
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert await process.wait() == 0
