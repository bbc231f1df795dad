"""`python -m benchmarks.soak`: disturbs a running exporter in every way, and checks that it does not change.

The run is a series of cycles. Each cycle disturbs the exporter, undoes the disturbances, and measures the exporter at
rest. After a warm-up the resources at rest must not grow. Every scrape must succeed, and no counter may decrease.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from benchmarks.figures import describe_run, replace_tables
from benchmarks.programs import free_port
from benchmarks.soak.apis import simulated_apis
from benchmarks.soak.disturbances import FAULTS, SERVERS, Counts, Disturbances
from benchmarks.soak.plot import Panel, render_plot
from benchmarks.soak.program import ObservedExporter, observed_exporter
from benchmarks.soak.resources import Growth, get_growth
from benchmarks.soak.run import exit_on_sigterm, print_line
from benchmarks.soak.scrapers import CounterCheck, Scraper
from benchmarks.soak.site import ACCOUNTS, INTERVAL_SECONDS, TEMPORARY, USER, Site
from exporter.families.family import PREFIX

DOCS: Final = Path(__file__).parents[2] / "docs"
CYCLE_SECONDS: Final = 240.0
MIN_CYCLES: Final = 4
"""A short run has shorter cycles instead of fewer."""
WARM_UP_SECONDS: Final = 600.0
"""Until then caches and the histories of polls and servers fill: a shorter run compares memory only coarsely."""
WARM_UP_SHARE: Final = 0.25
"""The share of the cycles that are not compared."""
SETTLE_SECONDS: Final = 4.0
"""From the end of the disturbances to the measurement: more than a poll interval."""
REST_SAMPLES: Final = 8
SCRAPE_INTERVAL_SECONDS: Final = 2.0
MIN_POLLS_SHARE: Final = 0.9
"""The share of the polls of the account without faults that must take place, also on a busy machine."""
MAX_FAILED_SHARE: Final = 0.01
"""The share of these polls that may fail: one process simulates all APIs, and a fault of one can delay the others."""


@dataclass(frozen=True)
class Result:
    """What a soak has found."""

    exporter: ObservedExporter
    scraper: Scraper
    counters: CounterCheck
    counts: Counts
    rests: Sequence[tuple[float, Mapping[str, float]]]
    """The resources at rest after each cycle, with the seconds from the start."""

    @property
    def growth(self) -> Sequence[Growth]:
        """The growth of each resource after the warm-up."""
        return get_growth([measured for _, measured in self.rests[round(len(self.rests) * WARM_UP_SHARE) :]])

    def get_total(self, metric: str, account: str) -> float:
        """Return the sum of a metric of the exporter over an account's series, from the last scrape."""
        prefix, label = f"{PREFIX}exporter_{metric}{{", f'account="{account}"'
        lines = (line for line in self.scraper.last_text.splitlines() if line.startswith(prefix) and label in line)
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def problems(self) -> Sequence[str]:
        """Return why the soak has failed; empty if it has not."""
        expected = self.rests[-1][0] / INTERVAL_SECONDS * MIN_POLLS_SHARE
        polls = self.get_total("polls_total", "steady")
        log = self.exporter.read_log()
        problems = [f"a scrape failed: {failure}" for failure in self.scraper.failures]
        problems += [f"a counter decreased: {series}" for series in self.counters.decreased]
        problems += [
            f"{growth.resource} grew from {growth.first:,.0f} to {growth.second:,.0f}"
            for growth in self.growth
            if not growth.is_flat(warming_up=self.rests[-1][0] < WARM_UP_SECONDS)
        ]
        if polls < expected:
            problems.append(f"the account without faults was polled {polls:.0f} times, not {expected:.0f} times")
        failures = self.get_total("poll_failures_total", "steady")
        if failures > polls * MAX_FAILED_SHARE:
            problems.append(f"{failures:.0f} polls of the account without faults failed")
        if "Traceback" in log or "defect" in log:
            problems.append("the log reports a defect of the exporter")
        if "web configuration read" not in log.partition("web configuration read")[2]:
            problems.append("no swapped certificate was used")
        if self.exporter.exit_code != 0:
            problems.append(f"the exit code is {self.exporter.exit_code}")
        return problems


async def soak(minutes: float, seed: int, folder: Path) -> Result:
    """Run the exporter for so long with disturbances."""
    random = Random(seed)  # noqa: S311 - a simulation, not a secret
    cycle_seconds = min(CYCLE_SECONDS, minutes * 60 / MIN_CYCLES)
    fleets = [
        {"servers": SERVERS, "seed": number, "token_lifetime": 60.0, "key_lifetime": 60.0}
        for number, _ in enumerate(ACCOUNTS)
    ]
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    async with simulated_apis(fleets) as simulated, contextlib.AsyncExitStack() as stack:
        apis = dict(zip(ACCOUNTS, simulated, strict=True))
        site = Site(folder, apis)
        options = (
            f"--config.file={site.config_file}",
            f"--web.config.file={site.web_config_file}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        exporter = await stack.enter_async_context(observed_exporter(options, folder))
        await _wait_until_ready(site, url)
        counters = CounterCheck(TEMPORARY)
        scraper = Scraper(url, site.client(), USER, counters)
        disturbances = Disturbances(apis, site, url, exporter.pid, random)
        rests = []
        running = [
            asyncio.create_task(scraper.run(SCRAPE_INTERVAL_SECONDS)),
            asyncio.create_task(exporter.sample()),
        ]
        end = exporter.seconds + minutes * 60
        while exporter.seconds + cycle_seconds <= end + 1:
            began = exporter.seconds
            rest = SETTLE_SECONDS + REST_SAMPLES * 0.5
            await disturbances.run(max(cycle_seconds - rest, 1.0))
            await asyncio.sleep(SETTLE_SECONDS)
            measured = await exporter.measure(REST_SAMPLES)
            rests.append((exporter.seconds, measured))
            counts = ", ".join(f"{name} {value:,.0f}" for name, value in measured.items())
            print_line(f"{exporter.seconds:6.0f} s: {counts}")
            await asyncio.sleep(max(0.0, cycle_seconds - (exporter.seconds - began)))
        for task in running:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.wait(running)
        await exporter.stop()
        return Result(exporter, scraper, counters, disturbances.counts, rests)


async def _wait_until_ready(site: Site, url: str) -> None:
    connector = aiohttp.TCPConnector(ssl=site.client())
    headers = {"Authorization": aiohttp.encode_basic_auth(*USER)}
    async with asyncio.timeout(60), aiohttp.ClientSession(connector=connector, headers=headers) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{url}/-/ready") as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.2)


def render_table(result: Result, minutes: float) -> Sequence[str]:
    """Return the rows of the table of docs/reliability.md."""
    polls = {name: result.get_total("polls_total", name) for name in ACCOUNTS}
    failures = {name: result.get_total("poll_failures_total", name) for name in ACCOUNTS}
    unit = {"memory": ("memory, resident", 1e6, " MB"), "objects": ("objects of Python", 1, "")}
    rows = [
        ("duration", f"{minutes:.3g} minutes, {len(result.rests)} cycles"),
        ("polls", f"{sum(polls.values()):,.0f}, of which {sum(failures.values()):,.0f} failed because of faults"),
        ("polls of the account without faults", f"{polls['steady']:,.0f}, {failures['steady']:.0f} failed"),
        ("scrapes", f"{result.scraper.scrapes:,}, {len(result.scraper.failures)} failed"),
        ("counters that decreased", f"{len(result.counters.decreased)}"),
        ("kinds of faults", f"{len(result.counts.faults)} of {len(FAULTS)}"),
        *((kind, f"{count:,}") for kind, count in sorted(result.counts.by_kind.items())),
    ]
    for growth in result.growth:
        name, divisor, suffix = unit.get(growth.resource, (growth.resource, 1, ""))
        change = growth.second / growth.first - 1
        first, second = growth.first / divisor, growth.second / divisor
        rows.append((f"{name}, at rest", f"{first:,.0f} to {second:,.0f}{suffix} ({change:+.1%})"))
    return [f"| {name} | {value} |" for name, value in rows]


def draw(result: Result) -> str:
    """Return the plot of docs/reliability.md."""
    titles = {"memory": "Memory (MB)", "descriptors": "File descriptors", "sockets": "Sockets", "threads": "Threads"}
    panels = []
    for resource, title in titles.items():
        divisor = 1e6 if resource == "memory" else 1
        line = [(one.seconds / 60, one.counts()[resource] / divisor) for one in result.exporter.samples]
        dots = [(seconds / 60, measured[resource] / divisor) for seconds, measured in result.rests]
        panels.append(Panel(title, line, dots))
    return render_plot(panels, "Memory, file descriptors, sockets and threads of the exporter during the soak")


def main() -> int:
    """Run the soak; the exit code is 1 if it found a problem."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=60.0, help="duration (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the disturbances (default: random)")
    parser.add_argument("--write", action="store_true", help="write the table and the plot to docs/")
    parser.add_argument("--plot", type=Path, help="write the plot to this file, also if there are problems")
    parser.add_argument("--log", type=Path, help="write the log of the exporter to this file")
    arguments = parser.parse_args()
    exit_on_sigterm()
    seed = Random().randrange(2**32) if arguments.seed is None else arguments.seed  # noqa: S311 - not a secret
    when = describe_run(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(soak(arguments.minutes, seed, Path(folder)))
        problems = result.problems()
        if arguments.log:
            arguments.log.write_text(result.exporter.read_log(), encoding="utf-8")
    rows = render_table(result, arguments.minutes)
    print_line("\n".join((when, *rows, *problems)))
    if arguments.plot:
        arguments.plot.write_text(draw(result), encoding="utf-8")
    if arguments.write and not problems:
        text = (DOCS / "reliability.md").read_text(encoding="utf-8")
        tables = {"soak": rows, "soak-when": [when]}
        (DOCS / "reliability.md").write_text(replace_tables(text, tables, "make soak"), encoding="utf-8")
        (DOCS / "images" / "soak.svg").write_text(draw(result), encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
