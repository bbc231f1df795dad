"""`python -m benchmarks`: measures, prints a table, and writes it to docs/performance.md.

Poll: CPU seconds of one process from the bytes of all pages to the bytes of a gzip OpenMetrics body. Scrape: seconds
from request to last byte of gzip OpenMetrics, as ten scrapers see it that ask without a pause, each server in a
process of its own on loopback. Medians of several runs.
"""

import asyncio
import gzip
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from benchmarks import naive
from exporter.clock import SystemClock
from exporter.decoding import Records
from exporter.exposition import Exposition, View
from exporter.families import Collector, collectors
from exporter.generation import Generation
from exporter.health import Health
from exporter.paging import merge
from exporter.settings import CollectorSettings, Settings
from exporter.simulator import Fleet
from exporter.snapshot import Snapshot, take
from exporter.target import Poll, Target
from exporter.web import create_app

FLEETS: Final = (200, 1_000, 10_000)
SCRAPERS: Final = 10
RUNS: Final = 5
PATIENCE: Final = 60.0
"""Seconds in which a server must be up."""
SETTINGS: Final = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}})
ACCOUNT: Final = SETTINGS.targets()[0]
ACCEPT: Final = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
PAGE: Final = Path(__file__).parent.parent / "docs" / "performance.md"


def pages_of(servers: int) -> list[bytes]:
    """Make the pages of a simulated fleet; the same for every run."""
    fleet = Fleet(servers, seed=1)
    fleet.freeze()
    records = fleet.records()
    return [
        msgspec.json.encode({"count": servers, "source_servers": records[start : start + 200]})
        for start in range(0, servers, 200)
    ]


def cpu(work: Callable[[], object]) -> float:
    """Give the median CPU seconds of some work."""
    seconds = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def snapshot_of(pages: Sequence[bytes]) -> Snapshot:
    """Make the snapshot of a list."""
    return take(merge([Records().page(page) for page in pages]), ACCOUNT, time.time(), None)


def poll(pages: Sequence[bytes], chosen: Sequence[Collector]) -> bytes:
    """Do what a poll does from its bytes to the bytes that are served."""
    target = Target(ACCOUNT)
    target.snapshot = snapshot_of(pages)
    exposition = Exposition(chosen, [target])
    view = View(frozenset(exposition.collector_names), None, "openmetrics", "gzip")
    return b"".join(asyncio.run(exposition.body(view, b"# EOF\n", time.time())))


def ours(pages: Sequence[bytes], chosen: Sequence[Collector]) -> web.Application:
    """Make the exporter's application on a snapshot of these pages."""
    target = Target(ACCOUNT)
    target.snapshot = snapshot_of(pages)
    target.remember(Poll(time.time(), 1.0, len(pages)))
    exposition = Exposition(chosen, [target])
    clock = SystemClock()
    health = Health([target], clock, exposition.series_dropped)
    served = Generation(SETTINGS, (target,), exposition)
    return create_app(lambda: served, health, clock, _nothing_to_reload)


async def _nothing_to_reload() -> Sequence[str]:
    return ()


def naively(pages: Sequence[bytes], chosen: Sequence[Collector]) -> web.Application:
    """Make the peer's application, which renders and compresses at each scrape."""
    shown = snapshot_of(pages)

    async def metrics(_: web.Request) -> web.Response:
        body = gzip.compress(naive.render(chosen, shown), 1)
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return _app(metrics)


def constant(pages: Sequence[bytes], chosen: Sequence[Collector]) -> web.Application:
    """Make an application that serves the very bytes of a scrape and does nothing else."""
    body = poll(pages, chosen)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    return _app(metrics)


def _app(handler: Any) -> web.Application:  # noqa: ANN401 - aiohttp's handlers
    app = web.Application()
    app.router.add_get("/metrics", handler)
    return app


@dataclass(frozen=True, slots=True)
class Scrapes:
    """What scrapers saw: seconds, and the server's peak memory in bytes."""

    p50: float
    p99: float
    memory: int


Maker = Callable[[Sequence[bytes], Sequence[Collector]], web.Application]


def scrapes(make: Maker, pages: Sequence[bytes], chosen: Sequence[Collector], requests: int) -> Scrapes:
    """Measure an application with all scrapers at once."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(make, pages, chosen, there))
    server.start()
    try:
        if not here.poll(PATIENCE):
            raise TimeoutError("a server did not start")
        port = here.recv()
        seconds = asyncio.run(_load(port, requests))
        here.send("end")
        memory = here.recv()
    finally:
        server.join(10)
        if server.is_alive():
            server.kill()
    cuts = statistics.quantiles(seconds, n=100)
    return Scrapes(statistics.median(seconds), cuts[98], memory)


def _serve(make: Maker, pages: Sequence[bytes], chosen: Sequence[Collector], pipe: Connection) -> None:
    app = make(pages, chosen)

    async def serving() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)
        await runner.cleanup()

    asyncio.run(serving())
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


async def _load(port: int, requests: int) -> list[float]:
    url = f"http://127.0.0.1:{port}/metrics"
    seconds: list[float] = []

    async def scraper(session: aiohttp.ClientSession, count: int) -> None:
        for _ in range(count):
            started = time.perf_counter()
            async with session.get(url, headers=ACCEPT) as response:
                await response.read()
                assert response.status == 200  # noqa: S101, PLR2004 - a failed scrape is no measurement
            seconds.append(time.perf_counter() - started)

    connector = aiohttp.TCPConnector(limit=SCRAPERS)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        await scraper(session, 1)
        seconds.clear()
        await asyncio.gather(*(scraper(session, requests // SCRAPERS) for _ in range(SCRAPERS)))
    return seconds


def measure() -> tuple[list[str], list[str]]:
    """Give the rows of the tables of polls and of scrapes."""
    chosen = collectors(CollectorSettings())
    polls, served = [], []
    for servers in FLEETS:
        pages = pages_of(servers)
        polls.append(_poll_row(pages, chosen, servers))
        _tell(polls[-1])
        served.append(_scrape_row(pages, chosen, servers))
        _tell(served[-1])
    return polls, served


def _poll_row(pages: Sequence[bytes], chosen: Sequence[Collector], servers: int) -> str:
    def raw() -> object:
        return [json.loads(page) for page in pages]

    shown = snapshot_of(pages)
    own = cpu(lambda: poll(pages, chosen))
    decoding, rendering = cpu(lambda: naive.decode(pages)), cpu(lambda: naive.render(chosen, shown))
    cells = (
        f"{servers:,}",
        f"{(decoding + rendering) / own:.1f}",
        f"{own * 1e3:,.0f} ms",
        f"{decoding * 1e3:,.0f} + {rendering * 1e3:,.0f} ms",
        f"{cpu(raw) * 1e3:,.0f} ms",
        f"{len(poll(pages, chosen)) / 1e6:.2f} MB",
    )
    return f"| {' | '.join(cells)} |"


def _scrape_row(pages: Sequence[bytes], chosen: Sequence[Collector], servers: int) -> str:
    requests = 2000 if servers <= 1000 else 300  # noqa: PLR2004 - a larger body takes longer
    limit, mine = (scrapes(make, pages, chosen, requests) for make in (constant, ours))
    peer = scrapes(naively, pages, chosen, 2 * SCRAPERS)
    cells = (
        f"{servers:,}",
        f"{mine.p50 / limit.p50:.2f}",
        f"{mine.p99 / limit.p99:.2f}",
        f"{peer.p50 / mine.p50:,.0f}",
        f"{mine.p50 * 1e3:.1f} / {mine.p99 * 1e3:.1f} ms",
        f"{limit.p50 * 1e3:.1f} / {limit.p99 * 1e3:.1f} ms",
        f"{peer.p50 * 1e3:,.0f} ms",
        f"{mine.memory / 1e6:.0f} MB",
    )
    return f"| {' | '.join(cells)} |"


PAGE_TEXT: Final = """# What do a scrape and a poll cost?

Measured by `make bench` on {date}, {cores} cores, Python {python}. Ratios within one run say more than times: machines
differ.

The peer is the exporter that anyone would write: pydantic models, prometheus-client families, rendered at each scrape
(`benchmarks/naive.py`). The limit is aiohttp serving the same bytes from memory.

## A scrape

gzip, OpenMetrics, default collectors, {scrapers} scrapers at once without a pause. Memory is the server's peak, with
the pages that it was made from.

| servers | p50, times the limit's | p99, times the limit's | faster than the peer | here | limit | peer | memory |
| --- | --- | --- | --- | --- | --- | --- | --- |
{served}

Here and of the limit p50 / p99; of the peer p50.

## A poll

CPU from the bytes of all pages to the bytes that are served, against the peer's decoding and one rendering.

| servers | times less CPU than the peer | poll | peer: decode + render | `json.loads` alone | body |
| --- | --- | --- | --- | --- | --- |
{polls}

A poll costs the same whether much or nothing changed: every record is decoded and rendered anew. Most of it goes into
writing the lines, then into compressing them.
"""


def page(polls: Sequence[str], served: Sequence[str]) -> str:
    """Write the page of the documentation."""
    return PAGE_TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        cores=os.cpu_count(),
        python=sys.version.split()[0],
        scrapers=SCRAPERS,
        served="\n".join(served),
        polls="\n".join(polls),
    )


def _tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what was asked for


if __name__ == "__main__":
    PAGE.write_text(page(*measure()), encoding="utf-8")
