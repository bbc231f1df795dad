"""`python -m benchmarks.accounts`: measures what accounts cost one exporter, and writes the tables of docs/scaling.md.

The exporter is a process of its own, and so is the simulator of each account; both are the commands that users run.
CPU is the exporter's own for one poll of every account with one scrape (OpenMetrics, gzip); memory its peak (VmHWM).
"""

import asyncio
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from exporter.families.family import PREFIX

ACCOUNTS: Final = (1, 5, 10, 20)
SERVERS: Final = 1_000
ROUNDS: Final = 4
INTERVAL: Final = 15
"""Seconds from poll to poll, for the measurement to end soon; as much changes between two as in a real minute."""
PATIENCE: Final = 120.0
"""Seconds in which a program must be up."""
ACCEPT: Final = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
PAGE: Final = Path(__file__).parent.parent / "docs" / "scaling.md"

_SAMPLE: Final = re.compile(r"^(?P<name>\w+)(?:\{.*\})? (?P<value>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape: the exposition, and its size in bytes as it was sent."""

    text: str
    size: int

    @property
    def series(self) -> int:
        """How many series there are."""
        return sum(not line.startswith("#") for line in self.text.splitlines())

    def total(self, metric: str) -> float:
        """Add up the samples of a metric."""
        return sum(float(sample["value"]) for sample in _SAMPLE.finditer(self.text) if sample["name"] == metric)


class Exporter:
    """A running exporter."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, session: aiohttp.ClientSession) -> None:
        self._process = process
        self._url = url
        self._session = session

    async def ready(self) -> None:
        """Wait until every account has been polled once."""
        async with asyncio.timeout(PATIENCE):
            while not await self._is_ready():  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.5)

    async def _is_ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with self._session.get(f"{self._url}/-/ready") as response:
                return response.ok
        return False

    async def scrape(self) -> Reading:
        """Scrape it once."""
        async with self._session.get(f"{self._url}/metrics", headers=ACCEPT) as response:
            response.raise_for_status()
            body = await response.read()
        return Reading(gzip.decompress(body).decode(), len(body))

    def peak_memory(self) -> int:
        """Give the most memory that it ever had, in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command of the exporter while the context lasts."""
    command = (sys.executable, "-m", "exporter", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@contextlib.asynccontextmanager
async def simulators(count: int, servers: int) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Run a simulator for each account, and give the accounts as the configuration file has them."""
    async with contextlib.AsyncExitStack() as stack:
        accounts = []
        for number in range(count):
            fleet = (f"--servers={servers}", f"--seed={number}", f"--acceleration={60 / INTERVAL}")
            process = await stack.enter_async_context(started("simulate", "--listen=127.0.0.1:0", *fleet))
            told: dict[str, str] = {}
            while "token" not in told:
                words = (await _line(process.stdout)).split()
                told[words[0]] = words[1]
            account = {"api": {"endpoint": told["endpoint"]}, "auth": {"token": told["token"]}}
            accounts.append({"name": f"account-{number}", **account})
        yield accounts


@contextlib.asynccontextmanager
async def exporting(accounts: Iterable[dict[str, Any]], *options: str) -> AsyncIterator[Exporter]:
    """Run the exporter on these accounts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yml"
        file.write_text(json.dumps({"poll": {"interval": f"{INTERVAL}s"}, "accounts": list(accounts)}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        common = (f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn")
        async with started(*common, *options) as process, aiohttp.ClientSession(auto_decompress=False) as session:
            exporter = Exporter(process, f"http://{address}", session)
            await exporter.ready()
            yield exporter


async def _line(stream: asyncio.StreamReader | None) -> str:
    async with asyncio.timeout(PATIENCE):
        if stream is None or not (line := await stream.readline()):
            raise RuntimeError("a program ended before it said that it is up")
        return line.decode()


async def account_row(accounts: int) -> str:
    """Measure an exporter of so many accounts."""
    async with simulators(accounts, SERVERS) as targets, exporting(targets) as exporter:
        before = after = await exporter.scrape()
        for _ in range(ROUNDS):
            await asyncio.sleep(INTERVAL)
            after = await exporter.scrape()
        memory = exporter.peak_memory()

    def grown(metric: str) -> float:
        return after.total(metric) - before.total(metric)

    rounds = grown(f"{PREFIX}exporter_polls_total") / accounts
    cpu = grown("process_cpu_seconds_total") / rounds
    cells = (
        str(accounts),
        f"{accounts * SERVERS:,}",
        f"{grown(f'{PREFIX}exporter_api_requests_total') / rounds:.0f}",
        f"{cpu:.2f} s",
        f"{cpu / 60:.1%}",
        f"{memory / 1e6:,.0f} MB",
        f"{after.size / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


async def series_row(named: str, *options: str) -> str:
    """Count the series of a fleet, and of an account without servers."""
    readings = []
    for servers in (0, SERVERS):
        async with simulators(1, servers) as targets, exporting(targets, *options) as exporter:
            readings.append(await exporter.scrape())
    empty, full = readings
    cells = (
        named,
        f"{(full.series - empty.series) / SERVERS:.1f}",
        f"{empty.series}",
        f"{(full.size - empty.size) / SERVERS:.0f} B",
    )
    return f"| {' | '.join(cells)} |"


async def measure() -> Mapping[str, Sequence[str]]:
    """Give the rows of each table, by its name."""
    every = ("--collector.disks", "--collector.state-set")
    return {
        "series": [await series_row("default"), await series_row("all, with `--collector.state-set`", *every)],
        "accounts": [await account_row(accounts) for accounts in ACCOUNTS],
        "when": [f"Measured on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {sys.version.split()[0]}."],
    }


def page(text: str, tables: Mapping[str, Sequence[str]]) -> str:
    """Put rows in the place of those between the marks of their table."""
    for name, rows in tables.items():
        begin, end = f"<!-- {name}: python -m benchmarks.accounts -->\n", "<!-- end -->"
        above, _, rest = text.partition(begin)
        heading = rest.partition(end)[0].splitlines()[: 2 if len(rows) > 1 else 0]
        text = "\n".join((f"{above}{begin.rstrip()}", *heading, *rows, f"{end}{rest.partition(end)[2]}"))
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), asyncio.run(measure())), encoding="utf-8")
