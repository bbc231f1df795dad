"""`python -m benchmarks`: measures scrapes, polls and commands, prints the rows, and writes docs/performance.md.

With a number, as in `python -m benchmarks 1000`, only fleets up to that number of servers are measured, and nothing is
written.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks import polls, programs, startup
from benchmarks.scrapes import Latency, first_bytes, keep_scraping, measure_in_turn, scrapes

FLEETS: Final = (200, 1_000, 10_000, 50_000)
CHOICES: Final = ("default", "all")
SCRAPERS: Final = 10
ROUNDS: Final = 5
RUNS: Final = 5
DURATION_SERVERS: Final = 10_000
API_LATENCY_SECONDS: Final = 0.1
"""Latency of the API per page, in seconds, when the duration of a poll is measured."""
PAGES: Final = ("/servers?search=web&state=replicate", "/servers?problem=any&sort=-speed", "/", "/servers.json")
PAGE_REQUESTS: Final = 21
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"
TEMPLATE: Final = Path(__file__).parent / "performance.md"


async def scrape_row(servers: int, choice: str) -> str:
    """Return the table row of the scrapes of a fleet."""
    count = {200: 10_000, 1_000: 5_000, 10_000: 500}.get(servers, 100)
    async with contextlib.AsyncExitStack() as stack:
        api = await stack.enter_async_context(programs.served("api", servers))
        ours = await stack.enter_async_context(programs.exporter(api, choice, "--poll.interval=1h"))
        static_server = await stack.enter_async_context(programs.served("static", servers, choice))
        urls = [f"{static_server.url}/metrics", f"{ours.url}/metrics"]
        static, here = await measure_in_turn(urls, count, SCRAPERS, ROUNDS)
        alone = await _one_scraper(ours.url)
        go = await _go(stack, ours.url, servers)
    baseline, scrapers = None, SCRAPERS
    if choice == "default":
        scrapers = SCRAPERS if servers < polls.SLOW_BASELINE_SERVERS else 1
        async with programs.served("naive", servers, choice) as naive:
            baseline = await scrapes(f"{naive.url}/metrics", 2 * scrapers, scrapers)
    cells = (
        f"{servers:,}",
        choice,
        f"**{here.p50 / static.p50:.2f}**",
        f"**{here.p99 / static.p99:.2f}**",
        _times(static),
        f"{baseline.p50 / (here if scrapers == SCRAPERS else alone).p50:,.0f}" if baseline else "",
        f"{go.p50 / here.p50:,.0f}" if go else "",
        _times(here),
        f"{alone.p50 * 1e3:.2f}",
    )
    return _row(cells)


async def _one_scraper(url: str) -> Latency:
    return await scrapes(f"{url}/metrics", 20, 1)


async def _go(stack: contextlib.AsyncExitStack, ours: str, servers: int) -> Latency | None:
    if servers > polls.SLOW_BASELINE_SERVERS:
        return None
    go = await stack.enter_async_context(programs.go_peer(ours))
    return await scrapes(f"{go.url}/metrics", 4 * SCRAPERS, SCRAPERS) if go else None


def _times(latency: Latency) -> str:
    return f"{latency.p50 * 1e3:.1f} / {latency.p99 * 1e3:.1f}"


def poll_row(servers: int, choice: str) -> tuple[str, polls.PollCost]:
    """Return the table row of the polls of a fleet, measured in a process with nothing else in memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        cost = pool.apply(polls.measure, (servers, choice, RUNS if servers < polls.SLOW_BASELINE_SERVERS else 3))
    cells = (
        f"{servers:,}",
        choice,
        f"**{cost.baseline / cost.first:.1f}**",
        f"**{cost.one_percent / cost.first:.2f}**",
        f"{cost.all_changed / cost.first:.2f}",
        f"{cost.first * 1e3:,.0f}",
        f"{cost.first / servers * 1e6:.0f}",
        f"{cost.baseline * 1e3:,.0f}",
        f"{cost.json_loads * 1e3:,.0f}",
        f"{cost.pages / 1e6:.1f} / {cost.body / 1e6:.2f}",
    )
    return _row(cells), cost


async def process_row(servers: int, choice: str) -> str:
    """Return the table row of the process while it polls every 5 seconds and is scraped without a pause."""
    async with (
        programs.served("api", servers) as api,
        programs.exporter(api, choice, "--poll.interval=5s") as ours,
        aiohttp.ClientSession() as session,
    ):
        end = asyncio.Event()
        scraping = asyncio.create_task(keep_scraping(f"{ours.url}/metrics", 1, end))
        await asyncio.sleep(22)
        end.set()
        await scraping
        memory = ours.peak_memory()
        async with session.get(f"{ours.url}/metrics") as answer:
            text = await answer.text()
    # From an API that was polled once, because a poll in flight would be counted in part.
    async with (
        programs.served("api", servers) as api,
        programs.exporter(api, choice, "--poll.interval=1h"),
        aiohttp.ClientSession() as session,
        session.get(f"{api.url}/requests") as answer,
    ):
        requests = await answer.json()
    cells = (
        f"{servers:,}",
        choice,
        f"**{memory / 1e6:.0f}**",
        f"{text.count(chr(10)) - text.count('# '):,}",
        f"**{requests}**",
    )
    return _row(cells)


async def stall_row(servers: int, delay: float, scrapers: int) -> str:
    """Return the table row of the longest block of the event loop and the duration of polls, while scrapers run."""
    async with programs.served("api", servers, delay=delay) as api, programs.stalls(api, 4) as (ours, process):
        end = asyncio.Event()
        scraping = asyncio.create_task(keep_scraping(f"{ours.url}/metrics", scrapers, end))
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        result = json.loads(await process.stdout.readline())
        end.set()
        scraping.cancel()
        with contextlib.suppress(aiohttp.ClientError, asyncio.CancelledError, ExceptionGroup):
            await scraping
    durations = sorted(result["durations"])
    cells = (
        f"{servers:,}",
        f"{delay * 1e3:.0f}",
        str(scrapers),
        f"**{result['longest'] * 1e3:.0f}**",
        f"**{durations[len(durations) // 2]:.2f}**",
    )
    return _row(cells)


async def page_rows(servers: int) -> list[str]:
    """Return the table rows of the pages: the time to the first byte, of the first request after a poll and later."""
    async with (
        programs.served("api", servers) as api,
        programs.exporter(api, CHOICES[0], "--poll.interval=1h") as ours,
    ):
        rows = []
        for path in PAGES:
            first, *others = await first_bytes(f"{ours.url}{path}", PAGE_REQUESTS)
            rows.append(
                _row((f"{servers:,}", f"`{path}`", f"{first * 1e3:.0f}", f"{statistics.median(others) * 1e3:.0f}"))
            )
        return rows


async def startup_rows() -> list[str]:
    """Return the table rows of the commands: their CPU time, and its ratio to that of the baseline."""
    seconds = await startup.measure()
    baseline = seconds[startup.BASELINE]
    return [_row((f"`{name}`", f"**{cpu / baseline:.2f}**", f"{cpu * 1e3:.0f}")) for name, cpu in seconds.items()]


def measure(fleets: Iterable[int]) -> Mapping[str, str]:
    """Return the rows of each table."""
    polled, scraped, processes, stalled = [], [], [], []
    costs: dict[int, polls.PollCost] = {}
    started = [_print(row) for row in asyncio.run(startup_rows())]
    for servers in fleets:
        # With the largest fleet the baseline alone takes minutes.
        for choice in CHOICES if servers <= polls.SLOW_BASELINE_SERVERS else CHOICES[:1]:
            row, cost = poll_row(servers, choice)
            if choice == CHOICES[0]:
                costs[servers] = cost
            polled.append(_print(row))
            scraped.append(_print(asyncio.run(scrape_row(servers, choice))))
            processes.append(_print(asyncio.run(process_row(servers, choice))))
    largest = max(costs)
    stalled.append(_print(asyncio.run(stall_row(min(largest, DURATION_SERVERS), API_LATENCY_SECONDS, 0))))
    stalled.append(_print(asyncio.run(stall_row(largest, 0.0, SCRAPERS))))
    pages = [_print(row) for row in asyncio.run(page_rows(min(largest, DURATION_SERVERS)))]
    smallest = min(servers for servers in costs if servers >= min(1_000, largest))
    growth = costs[largest].first / largest / (costs[smallest].first / smallest)
    return {
        "polls": "\n".join(polled),
        "scrapes": "\n".join(scraped),
        "processes": "\n".join(processes),
        "stalls": "\n".join(stalled),
        "pages": "\n".join(pages),
        "startup": "\n".join(started),
        "growth": f"{growth:.2f}",
        "smallest": f"{smallest:,}",
        "largest": f"{largest:,}",
    }


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _print(line: str) -> str:
    print(line, flush=True)  # noqa: T201 - the output of the command
    return line


def main() -> None:
    """Measure and write."""
    max_servers = int(sys.argv[1]) if len(sys.argv) > 1 else FLEETS[-1]
    rows = measure(servers for servers in FLEETS if servers <= max_servers)
    if max_servers == FLEETS[-1]:
        text = TEMPLATE.read_text(encoding="utf-8").format(
            **rows,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            cores=os.cpu_count(),
            python=sys.version.split()[0],
            scrapers=SCRAPERS,
        )
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
