"""`python -m benchmarks.accounts`: measures the cost of accounts, and writes the tables of docs/scaling.md.

The exporter is a process of its own, and so is the simulator of each account; both are the commands that users run. CPU
is that of the exporter for one poll of every account and one scrape (OpenMetrics, gzip); memory is its peak (VmHWM).
"""

import asyncio
import contextlib
import gzip
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.figures import describe_run, replace_tables
from benchmarks.programs import ROOT, Program, environment, free_port, read_line, started, wait_until_ready
from benchmarks.scrapes import ACCEPT
from exporter.families.family import PREFIX

SERVERS: Final = 1_000
SHAPES: Final = ((1, SERVERS), (5, SERVERS), (10, SERVERS), (20, SERVERS), (1, 10 * SERVERS))
"""The measured numbers of accounts, and the servers of each."""
ROUNDS: Final = 20
"""Enough polls for the memory to stop growing."""
INTERVAL_SECONDS: Final = 5
"""A short poll interval, so that the measurement ends soon. The fleet changes as much per poll as in a real minute."""
COMMAND: Final = (sys.executable, "-m", "exporter")
PAGE: Final = Path(__file__).parent.parent / "docs" / "scaling.md"

_SAMPLE: Final = re.compile(r"^(?P<name>\w+)(?:\{.*\})? (?P<value>\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape: the exposition, and its compressed size in bytes."""

    text: str
    size: int

    @property
    def series(self) -> int:
        """The number of series."""
        return sum(not line.startswith("#") for line in self.text.splitlines())

    def total(self, metric: str) -> float:
        """Return the sum of the samples of a metric."""
        return sum(float(sample["value"]) for sample in _SAMPLE.finditer(self.text) if sample["name"] == metric)


class Exporter:
    """A running exporter."""

    def __init__(self, program: Program, session: aiohttp.ClientSession) -> None:
        self._url = program.url
        self._session = session
        self.peak_memory = program.peak_memory

    async def scrape(self) -> Reading:
        """Scrape once."""
        async with self._session.get(f"{self._url}/metrics", headers=ACCEPT) as response:
            response.raise_for_status()
            body = await response.read()
        return Reading(gzip.decompress(body).decode(), len(body))


@contextlib.asynccontextmanager
async def simulators(count: int, servers: int) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Run a simulator for each account; yield the accounts as entries of the configuration file."""
    async with contextlib.AsyncExitStack() as stack:
        accounts = []
        for number in range(count):
            fleet = (f"--servers={servers}", f"--seed={number}", f"--acceleration={60 / INTERVAL_SECONDS}")
            process = await stack.enter_async_context(started(*COMMAND, "simulate", "--listen=127.0.0.1:0", *fleet))
            printed: dict[str, str] = {}
            while "token" not in printed:
                words = (await read_line(process)).split()
                printed[words[0]] = words[1]
            account = {"api": {"endpoint": printed["endpoint"]}, "auth": {"token": printed["token"]}}
            accounts.append({"name": f"account-{number}", **account})
        yield accounts


@contextlib.asynccontextmanager
async def exporting(accounts: Iterable[dict[str, Any]], *options: str) -> AsyncIterator[Exporter]:
    """Run the exporter with these accounts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yml"
        file.write_text(json.dumps({"poll": {"interval": f"{INTERVAL_SECONDS}s"}, "accounts": list(accounts)}))
        url = f"http://127.0.0.1:{free_port()}"
        address = url.removeprefix("http://")
        common = (f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn")
        async with (
            started(*COMMAND, *common, *options, env=environment(ROOT)) as process,
            aiohttp.ClientSession(auto_decompress=False) as session,
        ):
            await wait_until_ready(f"{url}/-/ready")
            yield Exporter(Program(url, process.pid), session)


async def account_row(accounts: int, servers: int) -> str:
    """Return the table row of an exporter with that many accounts, each with that many servers."""
    async with simulators(accounts, servers) as targets, exporting(targets) as exporter:
        before = after = await exporter.scrape()
        for _ in range(ROUNDS):
            await asyncio.sleep(INTERVAL_SECONDS)
            after = await exporter.scrape()
        memory = exporter.peak_memory()

    def get_increase(metric: str) -> float:
        return after.total(metric) - before.total(metric)

    rounds = get_increase(f"{PREFIX}exporter_polls_total") / accounts
    cpu = get_increase("process_cpu_seconds_total") / rounds
    cells = (
        str(accounts),
        f"{accounts * servers:,}",
        f"{after.total(f'{PREFIX}exporter_poll_pages'):.0f}",
        f"{cpu:.2f} s",
        f"{cpu / 60:.1%}",
        f"{memory / 1e6:,.0f} MB",
        f"{after.size / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


async def series_row(named: str, *options: str) -> str:
    """Return the table row of the series per server, per account, and of an exporter without accounts."""
    readings = []
    for accounts, servers in ((2, 0), (1, 0), (1, SERVERS)):
        async with simulators(accounts, servers) as targets, exporting(targets, *options) as exporter:
            readings.append(await exporter.scrape())
    two, empty, full = readings
    account = two.series - empty.series
    cells = (
        named,
        f"{(full.series - empty.series) / SERVERS:.1f}",
        f"{account}",
        f"{empty.series - account}",
        f"{(full.size - empty.size) / SERVERS:.0f} B",
    )
    return f"| {' | '.join(cells)} |"


async def measure() -> Mapping[str, Sequence[str]]:
    """Return the rows of each table, by its name."""
    every = ("--collector.disks", "--collector.state-set")
    return {
        "series": [await series_row("default"), await series_row("all, with `--collector.state-set`", *every)],
        "accounts": [await account_row(*shape) for shape in SHAPES],
        "when": [describe_run()],
    }


if __name__ == "__main__":
    text = replace_tables(PAGE.read_text(encoding="utf-8"), asyncio.run(measure()), "python -m benchmarks.accounts")
    PAGE.write_text(text, encoding="utf-8")
