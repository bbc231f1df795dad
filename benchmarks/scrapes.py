"""The latency of scrapes, from the request to the last byte, with scrapers that run without a pause."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

ACCEPT: Final = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the latency, in seconds."""

    p50: float
    p99: float


async def scrapes(url: str, count: int, scrapers: int) -> Latency:
    """Measure `count` scrapes by concurrent scrapers."""
    async with _session(scrapers) as session:
        await _scrape(session, url)
        seconds = await _measured(session, url, count, scrapers)
    return Latency(statistics.median(seconds), statistics.quantiles(seconds, n=100)[98])


async def measure_in_turn(urls: Sequence[str], count: int, scrapers: int, rounds: int) -> list[Latency]:
    """Measure several servers in turn, so that other load on the machine affects all alike; return medians."""
    found = [[await scrapes(url, count // rounds, scrapers) for url in urls] for _ in range(rounds)]
    return [
        Latency(*(statistics.median(figures) for figures in ([one.p50 for one in of_one], [one.p99 for one in of_one])))
        for of_one in zip(*found, strict=True)
    ]


async def keep_scraping(url: str, scrapers: int, until: asyncio.Event) -> None:
    """Scrape without a pause until `until` is set."""

    async def scraper(session: aiohttp.ClientSession) -> None:
        while not until.is_set():
            await _scrape(session, url)

    async with _session(scrapers) as session:
        await asyncio.gather(*(scraper(session) for _ in range(scrapers)))


async def first_bytes(url: str, count: int) -> list[float]:
    """Return the times to the first byte of consecutive requests, in seconds."""
    seconds = []
    async with _session(1) as session:
        for _ in range(count):
            started = time.perf_counter()
            async with session.get(url) as response:
                await response.content.readany()
                seconds.append(time.perf_counter() - started)
                await response.read()
    return seconds


async def _measured(session: aiohttp.ClientSession, url: str, count: int, scrapers: int) -> list[float]:
    seconds: list[float] = []

    async def scraper() -> None:
        for _ in range(count // scrapers):
            started = time.perf_counter()
            await _scrape(session, url)
            seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(scraper() for _ in range(scrapers)))
    return seconds


async def _scrape(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url, headers=ACCEPT) as response:
        response.raise_for_status()
        async for _ in response.content.iter_any():
            pass


def _session(scrapers: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=scrapers), auto_decompress=False)
