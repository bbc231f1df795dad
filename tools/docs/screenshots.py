"""Takes the pictures of the pages: `PYTHONPATH=tests python -m tools.docs.screenshots`.

Fleet and time are made up, so that a picture changes with the page alone, but for ports and ids of requests.
Chromium and its driver are needed (Debian: apt install chromium chromium-driver).
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from browser import browsing
from exporter.logs import configure_logs
from exporter.simulator import Simulator
from support import NOW, FakeClock, exporting, next_poll

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
INTERVAL: Final = 60
POLLS: Final = 32
"""Polls before the pictures, so that a stalled server has stood still long enough."""
PACE: Final = 5.0
"""Seconds that the fleet lives from poll to poll."""
LARGEST: Final = 300_000
"""Bytes of a picture."""


@dataclass(frozen=True)
class Picture:
    """A page at a width in CSS pixels, from its top to `height`, or whole."""

    name: str
    path: str
    width: int
    height: int | None = None
    dark: bool = False


PICTURES: Final = (
    Picture("status-1440-light", "/?refresh=off", 1440, 1280),
    Picture("status-1440-dark", "/?refresh=off", 1440, 1280, dark=True),
    Picture("status-360-light", "/?refresh=off", 360, 1900),
    Picture("status-360-dark", "/?refresh=off", 360, 1900, dark=True),
    Picture("polls-1440-light", "/polls", 1440, 1000),
    Picture("config-1440-light", "/config", 1440, 1000),
)


class _TickingClock(FakeClock):
    """Time that passes by being looked at, so that polls take some."""

    def monotonic(self) -> float:
        """Give a reading later than the one before."""
        self.advance(0.013)
        return super().monotonic()


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[str]:
    """Serve two accounts, the second of which is refused at the end, and give the address."""
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
                    # Life goes on at a pace at which neighbouring polls show the same migrations.
                    simulator.fleet.freeze(NOW + number * PACE)
                if number == POLLS - 1:
                    east.faults.add("forbidden")
                await next_poll(clock, len(service.pollers))
            clock.advance(12)
            yield service.urls[0]


async def _take() -> None:
    async with _served() as url, browsing() as browser:
        for picture in PICTURES:
            await browser.view(width=picture.width, dark=picture.dark)
            await browser.open(f"{url}{picture.path}")
            shot = await browser.screenshot(picture.height)
            if len(shot) > LARGEST:
                raise SystemExit(f"{picture.name}.png has {len(shot)} bytes, more than {LARGEST}")
            (FOLDER / f"{picture.name}.png").write_bytes(shot)
            sys.stdout.write(f"{picture.name}.png {len(shot)} bytes\n")


if __name__ == "__main__":
    configure_logs("error", "logfmt")
    asyncio.run(_take())
