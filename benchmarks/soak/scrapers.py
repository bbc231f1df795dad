"""Scrapers that check every response: complete, successful, and without a counter that has decreased."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp

OPENMETRICS: Final = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
TEXT: Final = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
TIMEOUT_SECONDS: Final = 10.0
"""The scrape timeout, as Prometheus has it by default."""

_TYPE: Final = re.compile(r"^# TYPE (\S+) (counter|histogram)$", re.MULTILINE)
_SAMPLE: Final = re.compile(r"^(\w+)((?:\{.*\})?) (\S+)$", re.MULTILINE)
_ACCOUNT: Final = re.compile(r'[{,]account="([^"]*)"')


def read_counters(text: str) -> dict[tuple[str, str], float]:
    """Return the samples of all counters and histograms of an exposition in the text format, by name and labels."""
    counters = set()
    for family, kind in _TYPE.findall(text):
        counters |= {family} if kind == "counter" else {f"{family}_{part}" for part in ("bucket", "count", "sum")}
    return {(name, labels): float(value) for name, labels, value in _SAMPLE.findall(text) if name in counters}


class CounterCheck:
    """Compares the counters of consecutive scrapes. The counters of `temporary` accounts may start again."""

    def __init__(self, temporary: frozenset[str]) -> None:
        self.decreased: list[str] = []
        self._temporary = temporary
        self._last: dict[tuple[str, str], float] = {}

    def check(self, text: str) -> None:
        """Compare a scrape with all previous ones."""
        counters = read_counters(text)
        for series, value in counters.items():
            if value < self._last.get(series, 0.0):
                self.decreased.append(f"{series[0]}{series[1]}: {self._last[series]} to {value}")
        absent = self._last.keys() - counters.keys()
        for series in absent:
            account = _ACCOUNT.search(series[1])
            if account and account[1] in self._temporary:
                del self._last[series]
        self._last |= counters


class Scraper:
    """Scrapes the exporter over TLS as a Prometheus does, in three ways. `failures` says what was wrong, and when."""

    def __init__(self, url: str, tls: ssl.SSLContext, user: tuple[str, str], counters: CounterCheck) -> None:
        self.scrapes = 0
        self.failures: list[str] = []
        self.last_text = ""
        self._url = url
        self._tls = tls
        self._headers = {"Authorization": aiohttp.encode_basic_auth(*user)}
        self._counters = counters

    async def run(self, interval: float) -> None:
        """Scrape every `interval` seconds in each of the three ways, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for scrape in (self._scrape_all, self._scrape_on_new_connections, self._scrape_discovered):
                group.create_task(scrape(interval))

    async def _scrape_all(self, interval: float) -> None:
        """Scrape /metrics in the text format on one connection, and check its counters."""
        async with self._session() as session:
            while True:
                text = await self._scrape(session, "/metrics", TEXT)
                if text is not None:
                    self.last_text = text
                    self._counters.check(text)
                await asyncio.sleep(interval)

    async def _scrape_on_new_connections(self, interval: float) -> None:
        """Scrape /metrics as OpenMetrics, each time on a new connection."""
        while True:
            async with self._session() as session:
                text = await self._scrape(session, "/metrics", OPENMETRICS)
            if text is not None and not text.endswith("\n# EOF\n"):
                self.failures.append("/metrics: the OpenMetrics body is not complete")
            await asyncio.sleep(interval)

    async def _scrape_discovered(self, interval: float) -> None:
        """Scrape the targets of /sd. One that a reload has removed in the meantime is status 404."""
        async with self._session() as session:
            while True:
                async with session.get(f"{self._url}/sd") as response:
                    groups = await response.json()
                for group in groups:
                    labels = group["labels"]
                    account = labels.get("__param_account")
                    path = f"{labels['__metrics_path__']}{f'?account={account}' if account else ''}"
                    await self._scrape(session, path, OPENMETRICS, also_allowed=404 if account == "visitor" else 200)
                await asyncio.sleep(interval)

    async def _scrape(
        self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str], *, also_allowed: int = 200
    ) -> str | None:
        """Return the body of a scrape, or None if it failed."""
        self.scrapes += 1
        try:
            async with session.get(f"{self._url}{path}", headers=headers) as response:
                text = await response.text()
                if response.status not in {200, also_allowed}:
                    self.failures.append(f"{path}: status {response.status}: {text[:100]}")
                    return None
                return text
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.failures.append(f"{path}: {type(error).__name__}: {error}")
            return None

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(ssl=self._tls)
        return aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
