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
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.programs import Program, answers, free_port, line_of, started
from benchmarks.scrapes import ACCEPT
from exporter.families.family import PREFIX

SERVERS: Final = 1_000
SHAPES: Final = ((1, SERVERS), (5, SERVERS), (10, SERVERS), (20, SERVERS), (1, 10 * SERVERS))
"""How many accounts are measured, and the servers of each."""
ROUNDS: Final = 20
"""As many polls as it takes until memory grows no more."""
INTERVAL: Final = 5
"""Seconds from poll to poll, for the measurement to end soon; as much changes between two as in a real minute."""
COMMAND: Final = (sys.executable, "-m", "exporter")
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

    def __init__(self, program: Program, session: aiohttp.ClientSession) -> None:
        self._url = program.url
        self._session = session
        self.peak_memory = program.peak_memory

    async def scrape(self) -> Reading:
        """Scrape it once."""
        async with self._session.get(f"{self._url}/metrics", headers=ACCEPT) as response:
            response.raise_for_status()
            body = await response.read()
        return Reading(gzip.decompress(body).decode(), len(body))


@contextlib.asynccontextmanager
async def simulators(count: int, servers: int) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Run a simulator for each account, and give the accounts as the configuration file has them."""
    async with contextlib.AsyncExitStack() as stack:
        accounts = []
        for number in range(count):
            fleet = (f"--servers={servers}", f"--seed={number}", f"--acceleration={60 / INTERVAL}")
            process = await stack.enter_async_context(started(*COMMAND, "simulate", "--listen=127.0.0.1:0", *fleet))
            told: dict[str, str] = {}
            while "token" not in told:
                words = (await line_of(process)).split()
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
        url = f"http://127.0.0.1:{free_port()}"
        address = url.removeprefix("http://")
        common = (f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn")
        async with (
            started(*COMMAND, *common, *options) as process,
            aiohttp.ClientSession(auto_decompress=False) as session,
        ):
            await answers(f"{url}/-/ready")
            yield Exporter(Program(url, process.pid), session)


async def account_row(accounts: int, servers: int) -> str:
    """Measure an exporter of so many accounts, each with so many servers."""
    async with simulators(accounts, servers) as targets, exporting(targets) as exporter:
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
        f"{accounts * servers:,}",
        f"{after.total(f'{PREFIX}exporter_poll_pages'):.0f}",
        f"{cpu:.2f} s",
        f"{cpu / 60:.1%}",
        f"{memory / 1e6:,.0f} MB",
        f"{after.size / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


async def series_row(named: str, *options: str) -> str:
    """Count the series of a server, of an account, and of an exporter without accounts."""
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
    """Give the rows of each table, by its name."""
    every = ("--collector.disks", "--collector.state-set")
    return {
        "series": [await series_row("default"), await series_row("all, with `--collector.state-set`", *every)],
        "accounts": [await account_row(*shape) for shape in SHAPES],
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
