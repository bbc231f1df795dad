"""`python -m benchmarks.stalls API POLLS`: an exporter that watches its own event loop for some polls.

It says its URL after the first poll, and at the end, as JSON, the longest time between two turns of the loop that
should have been a millisecond apart, and the seconds of each further poll until its numbers were served.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from exporter.cli import run_server
from exporter.clock import SystemClock
from exporter.logs import configure_logs
from exporter.polling.connections import Runtime
from exporter.service import running
from exporter.settings import Settings

TICK: Final = 0.001
PAUSE: Final = 2.0


async def main(api: str, polls: int) -> None:
    """Run the exporter until so many polls have ended, the first included."""
    settings = Settings.model_validate(
        {
            "api": {"endpoint": api},
            "auth": {"token": "none"},
            "poll": {"interval": "1h", "timeout": "5m"},
            "web": {"listen_address": ("127.0.0.1:0",)},
        },
    )
    configure_logs("error", "logfmt")
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        before = time.perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            longest = max(longest, now - before - TICK)
            before = now

    runtime = Runtime(SystemClock(), os.environ, Path("/nonexistent"))
    async with running(settings, runtime, lambda: settings) as service:
        watching = asyncio.create_task(watch())
        (poller,) = service.pollers
        await poller.polled.wait()
        print(service.urls[0], flush=True)  # noqa: T201 - who started it reads it
        durations = []
        for _ in range(polls - 1):
            # For the scrapers to be under way.
            await asyncio.sleep(PAUSE)
            started = time.perf_counter()
            await poller.poll()
            durations.append(time.perf_counter() - started)
        watching.cancel()
        print(json.dumps({"longest": longest, "durations": durations}), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    run_server(lambda _stop: main(sys.argv[1], int(sys.argv[2])))
