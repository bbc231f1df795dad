"""What tests share: a fake clock, the examples of the API reference, and parsed expositions."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from exporter.polling.connections import Runtime
from exporter.polling.snapshot import Snapshot
from exporter.service import Service, running
from exporter.settings import AccountSettings, Settings
from exporter.simulator import Simulator
from exporter.sms.model import SourceServer
from exporter.sms.tolerant import Findings, read_record
from parsing import Labels, parse_samples

T = TypeVar("T")

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parent / "golden"
NOW = 1_800_000_000.0
NOWHERE = Path("/nonexistent")

TIMEOUT_SECONDS = 240.0
"""Timeout of whatever a test waits for: a generous bound for a busy machine, not a measurement."""


class FakeClock:
    """Time that only moves when a test advances it."""

    def __init__(self, now: float = NOW) -> None:
        self._start = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def time(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, waking))
        self._slept.set()
        await waking

    def advance(self, seconds: float) -> None:
        """Advance time, and wake every sleeper whose time has come."""
        self._elapsed += seconds
        for sleeper in list(self._sleepers):
            if sleeper[0] <= self._elapsed:
                self._sleepers.remove(sleeper)
                if not sleeper[1].done():
                    sleeper[1].set_result(None)

    def set(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator does; no sleeper wakes."""
        self._start += seconds

    async def until_asleep(self, sleepers: int = 1) -> float:
        """Wait until that many tasks sleep; return the seconds until the first of them wakes."""

        def asleep() -> bool:
            self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
            return len(self._sleepers) >= sleepers

        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not asleep():
                self._slept.clear()
                await self._slept.wait()
        return min(wake for wake, _ in self._sleepers) - self._elapsed


async def run_ahead(awaitable: Awaitable[T]) -> T:
    """Await something while the clock of the event loop runs ahead: every timeout expires, and nobody has waited.

    Nothing that needs a thread or a network has time to answer.
    """
    loop, ahead = asyncio.get_running_loop(), 0.0
    of_the_loop = loop.time
    loop.time = lambda: of_the_loop() + ahead  # type: ignore[method-assign]
    waiting = asyncio.ensure_future(awaitable)
    while not waiting.done():
        ahead += 0.5
        await asyncio.sleep(0)
    return await waiting


def example() -> dict[str, Any]:
    """Return the 200 response of the API reference; its ten ids are masked and identical."""
    content: dict[str, Any] = json.loads((DATA / "list-servers-200.json").read_text())
    return content


def example_servers() -> list[dict[str, Any]]:
    """Return the ten records of the API reference with distinct ids."""
    records: list[dict[str, Any]] = example()["source_servers"]
    for number, record in enumerate(records):
        record["id"] = f"00000000-0000-4000-8000-{number:012d}"
    return records


def server(server_id: str = "s1", **fields: Any) -> SourceServer:
    """Build a record from fields as the API writes them."""
    record = read_record({"id": server_id, **fields}, SourceServer, Findings())
    assert record is not None
    return record


def snapshot(*servers: SourceServer, account: str = "default", read_at: float = NOW) -> Snapshot:
    """Build a snapshot of one account."""
    return Snapshot(account, read_at, servers, len(servers))


def settings(**groups: Mapping[str, object]) -> Settings:
    """Build settings from groups of options; nothing listens at the address of the API."""
    return Settings.model_validate({"api": {"endpoint": "http://127.0.0.1:9"}} | groups)


def account(**groups: Mapping[str, object]) -> AccountSettings:
    """Return the only account of such settings."""
    return settings(**groups).targets()[0]


class Scrape:
    """A text exposition. Samples are parsed when they are read: a scrape of a large list has many thousands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[str, dict[Labels, float]] = {}

    @cached_property
    def samples(self) -> dict[tuple[str, Labels], float]:
        """All samples, by name and labels."""
        samples: dict[tuple[str, Labels], float] = {}
        for name, labels, value in parse_samples(self.text):
            assert (name, labels) not in samples, f"duplicate series: {name}{labels}"
            samples[name, labels] = value
        return samples

    def value(self, name: str, **labels: str) -> float | None:
        """Return the only sample of this name whose labels include `labels`, or None."""
        found = self.values(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series: {found}"
        return next(iter(found.values()), None)

    def values(self, name: str, **labels: str) -> dict[Labels, float]:
        """Return all samples of this name whose labels include `labels`."""
        full = name if name.startswith(("process_", "python_")) else f"huaweicloud_sms_{name}"
        if full not in self._values:
            lines = re.findall(rf"^{full}[ {{].*", self.text, re.MULTILINE)
            found = [(own, value) for _, own, value in parse_samples("\n".join(lines))]
            self._values[full] = dict(found)
            assert len(self._values[full]) == len(found), f"duplicate series: {full}"
        return {own: value for own, value in self._values[full].items() if labels.items() <= set(own)}

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of this name whose labels include `labels`."""
        return sum(self.values(name, **labels).values())

    def label_values(self, name: str, label: str) -> Sequence[str]:
        """Return the sorted values of a label over all series of this name."""
        return sorted(dict(own)[label] for own in self.values(name))


async def scrape(url: str) -> Scrape:
    """Fetch and parse /metrics of the exporter at `url`."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        return Scrape(await response.text())


@dataclass(frozen=True)
class FakeApi:
    """The address of an API other than the simulator, and a token for it."""

    url: str
    token: str = "t"


@contextlib.asynccontextmanager
async def exporting(
    simulator: Simulator | FakeApi,
    clock: FakeClock,
    *,
    auth: Mapping[str, object] | None = None,
    api: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    home: Path = NOWHERE,
    polled: bool = True,
    **groups: object,
) -> AsyncIterator[Service]:
    """Run an exporter for the API on a free port; with `polled`, after its first poll."""
    tree = Settings.model_validate(
        {
            "api": {"endpoint": simulator.url, **(api or {})},
            "iam": {"endpoint": simulator.url},
            "auth": {"token": simulator.token} if auth is None else auth,
            "web": {"listen_address": ("127.0.0.1:0",)},
        }
        | groups,
    )
    async with running(tree, Runtime(clock, environ or {}, home)) as service:
        if polled:
            await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
            await clock.until_asleep(len(service.pollers))
        yield service


async def next_poll(clock: FakeClock, pollers: int = 1) -> None:
    """Advance time to the next poll, and wait until it has ended."""
    clock.advance(await clock.until_asleep(pollers))
    await clock.until_asleep(pollers)


async def pass_time(clock: FakeClock, seconds: float, pollers: int = 1) -> None:
    """Advance the clock, with the polls that become due, and wait until they have ended."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        first = await clock.until_asleep(pollers)
        clock.advance(min(first, end - clock.monotonic()))
        await clock.until_asleep(pollers)


async def fetch(url: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
    """Return the status, text and headers of a response."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers


class Unobserved:
    """An observer of requests and retries that ignores them."""

    def request_ended(self, *_: object) -> None: ...
    def retry_waits(self, *_: object) -> None: ...
    def throttled(self, *_: object) -> None: ...
