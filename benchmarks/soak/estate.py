"""`python -m benchmarks.soak.estate`: polls a large estate for an hour. A tenth of its accounts fails in every way.

The other accounts must not notice: their polls succeed, and their intervals are held. The exporter is scraped as by a
Prometheus that reads its targets from /sd: one target per account.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.figures import describe_run, replace_tables
from benchmarks.programs import Program, free_port, wait_until_ready
from benchmarks.scrapes import ACCEPT
from benchmarks.soak.apis import Api, simulated_apis
from benchmarks.soak.disturbances import FAULTS
from benchmarks.soak.program import ObservedExporter, observed_exporter
from benchmarks.soak.resources import read_cpu_seconds
from benchmarks.soak.run import exit_on_sigterm, print_line
from exporter.families.family import PREFIX

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
FAILING_SHARE: Final = 0.1
POLL_INTERVAL_SECONDS: Final = 60.0
SCRAPE_INTERVAL_SECONDS: Final = 30.0
FAULT_SECONDS: Final = 120.0
"""How long each fault lasts, for at least one poll."""
LOOK_INTERVAL_SECONDS: Final = 5.0
SETTLED_POLLS: Final = 2
"""Polls of an account before its interval is measured: the exporter spreads the accounts over the interval once."""

MIN_MINUTES: Final = 5

_SAMPLE: Final = re.compile(rf'^{PREFIX}(\w+)\{{.*account="([^"]*)".*\}} (\S+)$', re.MULTILINE)
LAST_SUCCESS: Final = "last_success_timestamp_seconds"
POLLS: Final = "exporter_polls_total"
FAILURES: Final = "exporter_poll_failures_total"


@dataclass
class Observed:
    """What was seen of an exporter, by account."""

    successes: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each complete list was read, in seconds since the epoch."""
    totals: defaultdict[str, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    """The counters at the last look, by name."""
    latencies: list[float] = field(default_factory=list)
    scrape_bytes: list[int] = field(default_factory=list)
    failed_scrapes: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    log: str = ""

    def look(self, text: str) -> None:
        """Note the samples of an exposition."""
        self.totals.clear()
        for name, account, value in _SAMPLE.findall(text):
            if name == LAST_SUCCESS:
                known = self.successes[account]
                if not known or known[-1] != float(value):
                    known.append(float(value))
            else:
                self.totals[name][account] += float(value)

    def get_intervals(self, accounts: Sequence[str]) -> Sequence[float]:
        """Return the times from one complete list to the next one of the same account, in seconds."""
        return [
            later - earlier
            for account in accounts
            for earlier, later in itertools.pairwise(self.successes[account][SETTLED_POLLS:])
        ]


async def observe_estate(accounts: int, servers: int, minutes: float) -> tuple[Observed, ObservedExporter]:
    """Run the exporter with these accounts for so long. The first tenth of the accounts fails."""
    fleets = [{"servers": servers, "seed": number, "acceleration": 1.0} for number in range(accounts)]
    url = f"http://127.0.0.1:{free_port()}"
    async with simulated_apis(fleets) as apis, contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = _configure(folder, apis, url)
        exporter = await stack.enter_async_context(observed_exporter(options, folder))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        await wait_until_ready(f"{url}/-/ready")
        observed = Observed()
        before = read_cpu_seconds(exporter.pid)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(minutes * 60), asyncio.TaskGroup() as group:
                group.create_task(exporter.sample())
                group.create_task(_look(session, url, observed))
                for number in range(accounts):
                    group.create_task(_scrape(session, url, f"account-{number}", number / accounts, observed))
                for number in range(round(accounts * FAILING_SHARE)):
                    group.create_task(_fail(session, apis[number], number))
        observed.cpu_seconds = read_cpu_seconds(exporter.pid) - before
        observed.peak_memory = Program(url, exporter.pid).peak_memory()
        await exporter.stop()
        observed.log = exporter.read_log()
        return observed, exporter


def _configure(folder: Path, apis: Sequence[Api], url: str) -> Sequence[str]:
    accounts = [
        {"name": f"account-{number}", "api": {"endpoint": api.url}, "auth": {"token": api.tokens[0]}}
        for number, api in enumerate(apis)
    ]
    file = folder / "config.yml"
    file.write_text(json.dumps({"accounts": accounts}), encoding="utf-8")
    address = url.removeprefix("http://")
    return (f"--config.file={file}", f"--web.listen-address={address}", "--log.level=warn")


async def _look(session: aiohttp.ClientSession, url: str, observed: Observed) -> None:
    """Look at the polls regularly, more often than there are polls."""
    parameters = [("name[]", f"{PREFIX}{name}") for name in (LAST_SUCCESS, POLLS, FAILURES)]
    while True:
        headers = {"Accept-Encoding": "identity"}
        async with session.get(f"{url}/metrics", params=parameters, headers=headers) as response:
            observed.look(await response.text())
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)


async def _scrape(session: aiohttp.ClientSession, url: str, account: str, offset: float, observed: Observed) -> None:
    """Scrape one account regularly; `offset` is a share of the interval."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(offset * SCRAPE_INTERVAL_SECONDS)
    while True:
        started = loop.time()
        try:
            async with asyncio.timeout(10), session.get(f"{url}/probe?account={account}", headers=ACCEPT) as response:
                response.raise_for_status()
                observed.scrape_bytes.append(len(await response.read()))
            observed.latencies.append(loop.time() - started)
        except (aiohttp.ClientError, TimeoutError) as error:
            observed.failed_scrapes.append(f"{account}: {type(error).__name__}: {error}")
        await asyncio.sleep(started + SCRAPE_INTERVAL_SECONDS - loop.time())


async def _fail(session: aiohttp.ClientSession, api: Api, number: int) -> None:
    """Let an account fail in one way after the other; `number` chooses the first one."""
    for fault in itertools.islice(itertools.cycle(FAULTS), number * 9, None):
        await api.control(session, "POST", "faults", fault=fault)
        await asyncio.sleep(FAULT_SECONDS)
        await api.control(session, "DELETE", "faults")
        await api.control(session, "POST", "tokens/restore")


def render_table(
    observed: Observed, exporter: ObservedExporter, accounts: int, servers: int, minutes: float
) -> Sequence[str]:
    """Return the rows of the table."""
    names = [f"account-{number}" for number in range(accounts)]
    healthy = names[round(accounts * FAILING_SHARE) :]
    intervals = observed.get_intervals(healthy)
    deviations = sorted(abs(interval - POLL_INTERVAL_SECONDS) for interval in intervals)
    polls, failures = observed.totals[POLLS], observed.totals[FAILURES]
    latencies = statistics.quantiles(observed.latencies, n=100)
    memory = statistics.median(sample.memory for sample in exporter.samples)
    cpu = observed.cpu_seconds / (minutes * 60)
    rows = (
        ("duration", f"{minutes:.3g} minutes"),
        ("accounts", f"{accounts}, of which {accounts - len(healthy)} fail"),
        ("servers", f"{accounts * servers:,}"),
        ("polls of the healthy accounts", _count(polls, failures, healthy)),
        ("polls of the failing accounts", _count(polls, failures, names[: accounts - len(healthy)])),
        ("interval of the healthy accounts, median", f"{statistics.median(intervals):.2f} s"),
        ("deviation of this interval from 60 s, p99", f"{deviations[int(len(deviations) * 0.99)]:.2f} s"),
        ("deviation of this interval from 60 s, maximum", f"{deviations[-1]:.2f} s"),
        ("CPU of the exporter", f"{cpu:.1%} of a core"),
        ("memory of the exporter, median", f"{memory / 1e6:,.0f} MB"),
        ("memory of the exporter, peak", f"{observed.peak_memory / 1e6:,.0f} MB"),
        ("scrapes, one account each", f"{len(observed.latencies):,}, {len(observed.failed_scrapes)} failed"),
        ("size of a scrape, gzip, median", f"{statistics.median(observed.scrape_bytes) / 1e6:.2f} MB"),
        ("latency of a scrape, p50 and p99", f"{latencies[49] * 1e3:.0f} ms and {latencies[98] * 1e3:.0f} ms"),
    )
    return [f"| {name} | {value} |" for name, value in rows]


def _count(polls: defaultdict[str, float], failures: defaultdict[str, float], accounts: Sequence[str]) -> str:
    total, failed = (sum(counts[account] for account in accounts) for counts in (polls, failures))
    return f"{total:,.0f}, {failed:,.0f} failed"


def find_problems(observed: Observed, accounts: int) -> Sequence[str]:
    """Return in what the healthy accounts noticed the others."""
    healthy = [f"account-{number}" for number in range(round(accounts * FAILING_SHARE), accounts)]
    late = max((abs(interval - POLL_INTERVAL_SECONDS) for interval in observed.get_intervals(healthy)), default=0.0)
    failed = sum(observed.totals[FAILURES][account] for account in healthy)
    problems = []
    if observed.failed_scrapes:
        problems.append(f"{len(observed.failed_scrapes)} scrapes failed, the first one: {observed.failed_scrapes[0]}")
    if late > POLL_INTERVAL_SECONDS / 2:
        problems.append(f"a poll of a healthy account was {late:.1f} s from its time")
    if failed:
        problems.append(f"{failed:.0f} polls of healthy accounts failed")
    return problems


def main() -> int:
    """Run the estate; the exit code is 1 if it found a problem."""
    parser = argparse.ArgumentParser(prog="make estate")
    parser.add_argument("--minutes", type=float, default=60.0, help="duration (default: 60)")
    parser.add_argument("--accounts", type=int, default=50, help="number of accounts (default: 50)")
    parser.add_argument("--servers", type=int, default=1_000, help="servers of each account (default: 1000)")
    parser.add_argument("--log", type=Path, help="write the log of the exporter to this file")
    parser.add_argument("--write", action="store_true", help="write the table to docs/reliability.md")
    arguments = parser.parse_args()
    if arguments.minutes < MIN_MINUTES:
        parser.error(f"--minutes: at least {MIN_MINUTES}, for the intervals between polls")
    exit_on_sigterm()
    when = describe_run(f"fleets with the seeds 0 to {arguments.accounts - 1}")
    observed, exporter = asyncio.run(observe_estate(arguments.accounts, arguments.servers, arguments.minutes))
    if arguments.log:
        arguments.log.write_text(observed.log, encoding="utf-8")
    rows = render_table(observed, exporter, arguments.accounts, arguments.servers, arguments.minutes)
    problems = find_problems(observed, arguments.accounts)
    print_line("\n".join((when, *rows, *problems)))
    if arguments.write and not problems:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(replace_tables(text, {"estate": rows, "estate-when": [when]}, "make estate"), encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
