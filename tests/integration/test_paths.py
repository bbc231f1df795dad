"""The modules through which one poll and one scrape go, as CONTRIBUTING lists them in order."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import aiohttp

import exporter
from exporter.polling.account import open_account
from exporter.polling.connections import Runtime
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.simulator import Simulator
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from support import NOWHERE, FakeClock, Unobserved, account, exporting

PACKAGE = Path(exporter.__file__).parent
CONTRIBUTING = PACKAGE.parent / "CONTRIBUTING.md"


class Trace:
    """The modules of the package whose functions ran while it was on, by their path in the package."""

    def __init__(self) -> None:
        self.modules: set[str] = set()

    @contextmanager
    def on(self) -> Iterator[None]:
        sys.setprofile(self._called)
        threading.setprofile(self._called)
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            package, _, module = str(file.relative_to(PACKAGE)).partition("/")
            # The simulator runs in this process too, and the modules of the lowest layer are used everywhere.
            if module and package != "simulator":
                self.modules.add(f"{package}/{module}")


class StopAtSnapshot:
    """Ends the trace once the poll has a new snapshot."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    async def collector_read(self, *_: object) -> None:
        """Do nothing: no other list is read."""

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        del snapshot
        self._trace.stop()

    async def poll_ended(self, _: Account, poll: Poll, __: Listing[SourceServer] | None) -> None:
        assert poll.error is None


def listed(heading: str) -> list[str]:
    """Return the modules that CONTRIBUTING lists under a heading."""
    page = CONTRIBUTING.read_text(encoding="utf-8")
    section = page.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`", section, re.MULTILINE)


async def test_a_scrape_from_the_cache_goes_through_the_seven_modules_that_contributing_lists(clock: FakeClock) -> None:
    trace = Trace()
    async with Simulator(servers=50, clock=clock) as simulator, exporting(simulator, clock) as service:
        async with aiohttp.ClientSession(service.urls[0]) as session:
            await (await session.get("/metrics")).read()
            with trace.on():
                # Other headers for the same body: what is negotiated is kept for the headers of earlier scrapes.
                headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "gzip;q=0.9"}
                await (await session.get("/metrics", headers=headers)).read()
    assert trace.modules ^ set(listed("One scrape")) == set()
    assert len(trace.modules) <= 7


async def test_a_poll_reads_a_list_through_the_ten_modules_that_contributing_lists(clock: FakeClock) -> None:
    trace = Trace()
    async with Simulator(servers=50, clock=clock) as simulator:
        settings = account(api={"endpoint": simulator.url}, auth={"token": simulator.token})
        runtime = Runtime(clock, {}, NOWHERE)
        runner = await open_account(settings, Unobserved(), StopAtSnapshot(trace), runtime)
        try:
            await runner.poller.poll()
            with trace.on():
                await runner.poller.poll()
        finally:
            await runner.close()
    assert trace.modules ^ set(listed("One poll")) == set()
    assert len(trace.modules) <= 10
