"""Take the screenshots of the pages: `PYTHONPATH=tests python -m tools.docs.screenshots`.

Fleet and time are simulated, so that a screenshot changes only with its page, except for ports and request ids.
Needs Chromium, its driver and a Chinese font (Debian: apt install chromium chromium-driver fonts-noto-cjk).
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from browser import browsing
from exporter.language import CHINESE, ENGLISH
from exporter.logs import configure_logs
from exporter.simulator import Simulator
from support import NOW, FakeClock, exporting, next_poll

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
INTERVAL: Final = 60
POLLS: Final = 32
"""Polls before the screenshots, so that one server has been stalled for long enough."""
FLEET_SECONDS_PER_POLL: Final = 5.0
"""How far the fleet's migrations advance from poll to poll."""
MAX_BYTES: Final = 300_000


@dataclass(frozen=True)
class Screenshot:
    """A page at a width in CSS pixels, completely or up to `height`, after a click on the link `follow`."""

    name: str
    path: str
    width: int
    height: int | None = None
    dark: bool = False
    follow: str = ""
    language: str = ENGLISH


SCREENSHOTS: Final = (
    Screenshot("status-1440-light", "/?refresh=off", 1440, 1280),
    Screenshot("status-1440-light-zh-CN", "/?refresh=off", 1440, 1100, language=CHINESE),
    Screenshot("status-1440-dark", "/?refresh=off", 1440, 1280, dark=True),
    Screenshot("status-360-light", "/?refresh=off", 360, 1900),
    Screenshot("status-360-dark", "/?refresh=off", 360, 1900, dark=True),
    Screenshot("servers-1440-light", "/servers?state=replicate&sort=remaining", 1440, 900),
    Screenshot("servers-360-light", "/servers?search=web", 360, 1500),
    Screenshot("server-1440-light", "/servers?search=web-074", 1440, 1280, follow="tbody th a"),
    Screenshot("polls-1440-light", "/polls", 1440, 1000),
    Screenshot("config-1440-light", "/config", 1440, 1000),
)


class _TickingClock(FakeClock):
    """A clock that advances at each reading, so that polls have a duration."""

    def monotonic(self) -> float:
        """Return a later time than the previous call."""
        self.advance(0.013)
        return super().monotonic()


@contextlib.asynccontextmanager
async def _serve() -> AsyncIterator[str]:
    """Serve two accounts, the second of which fails at the end, and give the URL."""
    clock = _TickingClock()
    async with (
        Simulator(servers=430, seed=4, clock=clock) as north,
        Simulator(servers=70, seed=2, clock=clock) as east,
    ):
        accounts = [
            {"name": "north", "api": {"endpoint": north.url}, "auth": {"token": north.token}},
            {"name": "east", "api": {"endpoint": east.url}, "auth": {"token": east.token}},
        ]
        north.fleet.stall(next(record["id"] for record in north.fleet.records() if record["state"] == "replicate"))
        async with exporting(north, clock, accounts=accounts, poll={"interval": f"{INTERVAL}s"}) as service:
            for number in range(POLLS):
                for simulator in (north, east):
                    # Slow enough that consecutive polls show the same migrations.
                    simulator.fleet.freeze(NOW + number * FLEET_SECONDS_PER_POLL)
                if number == POLLS - 1:
                    east.faults.add("forbidden")
                # The polls of accounts are spread over the interval: one after the other.
                for _ in accounts:
                    await next_poll(clock, len(accounts))
            clock.advance(12)
            yield service.urls[0]


async def _take_screenshots() -> None:
    async with _serve() as url, browsing() as browser:
        for screenshot in SCREENSHOTS:
            await browser.view(width=screenshot.width, dark=screenshot.dark)
            await browser.open(f"{url}/?lang={screenshot.language}")
            await browser.open(f"{url}{screenshot.path}")
            if screenshot.follow:
                await browser.click(screenshot.follow)
            png = await browser.screenshot(screenshot.height)
            if len(png) > MAX_BYTES:
                raise SystemExit(f"{screenshot.name}.png has {len(png)} bytes, more than {MAX_BYTES}")
            (FOLDER / f"{screenshot.name}.png").write_bytes(png)
            sys.stdout.write(f"{screenshot.name}.png {len(png)} bytes\n")


if __name__ == "__main__":
    configure_logs("error", "logfmt")
    asyncio.run(_take_screenshots())
