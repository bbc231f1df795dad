"""The cost of a poll: CPU time of one process from the bytes of all pages to the rendered exposition."""

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import naive
from benchmarks.pages import all_changed, pages_of, records_of, replicated
from exporter.exposition.bodies import Exposition, View
from exporter.families import Collector, select_collectors
from exporter.polling.snapshot import next_snapshot
from exporter.polling.state import Account
from exporter.settings import CollectorSettings, Settings
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.paging import merge

SETTINGS: Final = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}})
ONE_PERCENT: Final = 0.01
SLOW_BASELINE_SERVERS: Final = 10_000
"""From this number of servers on, the baseline is measured once and with one scraper: more would take minutes."""


def chosen(which: str) -> tuple[Collector, ...]:
    """Return the collectors that are enabled by default, or all."""
    return select_collectors(CollectorSettings(disks=which == "all"))


class OurPoll:
    """An account that is polled from pages in memory, with the state of its earlier polls."""

    def __init__(self, which: str) -> None:
        self._account = Account(SETTINGS.targets()[0])
        self._exposition = Exposition(chosen(which), [self._account])
        self._view = View(frozenset(self._exposition.collector_names), None, "openmetrics")
        self._records = Records(SOURCE_SERVERS)
        self._body = b""

    def poll(self, pages: Sequence[bytes], now: float) -> bytes:
        """Read a list, and return the body that is served from then on."""
        read = [self._records.page(page) for page in pages]
        listing = merge(read, read[0].count)
        self._records.list_ended()
        self._account.state.snapshot = next_snapshot(listing, self._account.settings, now, self._account.state.snapshot)
        asyncio.run(self._serve(now))
        return self._body

    async def _serve(self, now: float) -> None:
        # Stored, not returned: asyncio.run() takes time to format a large result.
        self._body = b"".join((await self._exposition.body(self._view, now)).complete(b"# EOF\n", "gzip").slices)


@dataclass(frozen=True, slots=True)
class PollCost:
    """CPU seconds of polls of one fleet; sizes in bytes, of the pages and of the body."""

    servers: int
    first: float
    one_percent: float
    all_changed: float
    baseline: float
    json_loads: float
    pages: int
    body: int


def measure(servers: int, which: str, runs: int) -> PollCost:
    """Measure a fleet; the figures are medians of `runs`."""
    records = records_of(servers)
    pages = pages_of(records)
    later, all_later = pages_of(replicated(records, ONE_PERCENT)), pages_of(all_changed(records))
    now = time.time()
    # A real exporter does not hold these records, so the garbage collector must not visit them.
    del records
    gc.collect()
    gc.freeze()

    def second(next_pages: Sequence[bytes]) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            ours = OurPoll(which)
            ours.poll(pages, now)
            return lambda: ours.poll(next_pages, now + 60)

        return prepare

    return PollCost(
        servers,
        first=_cpu(lambda: lambda: OurPoll(which).poll(pages, now), runs),
        one_percent=_cpu(second(later), runs),
        all_changed=_cpu(second(all_later), runs),
        baseline=_cpu(
            lambda: lambda: naive.render(chosen(which), naive.snapshot_of(pages)),
            runs if servers < SLOW_BASELINE_SERVERS else 1,
        ),
        json_loads=_cpu(lambda: lambda: [json.loads(page) for page in pages], runs),
        pages=sum(map(len, pages)),
        body=len(OurPoll(which).poll(pages, now)),
    )


def _cpu(prepare: Callable[[], Callable[[], object]], runs: int) -> float:
    """Return the median CPU seconds of work that is prepared, unmeasured, before each run."""
    seconds = []
    for _ in range(runs):
        work = prepare()
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)
