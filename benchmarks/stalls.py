"""`python -m benchmarks.stalls API POLLS`: an exporter that monitors its own event loop for some polls.

It prints its URL after the first poll. At the end it prints, as JSON, the longest time for which the event loop was
blocked and the duration of each further poll until its data was served, in seconds.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from exporter.clock import SystemClock
from exporter.commands.process import run_server
from exporter.logs import configure_logs
from exporter.polling.connections import Runtime
from exporter.service import running
from exporter.settings import Settings

TICK_SECONDS: Final = 0.001
PAUSE_SECONDS: Final = 2.0


async def main(api: str, polls: int) -> None:
    """Run the exporter until that many polls have ended, including the first."""
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
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            longest = max(longest, now - before - TICK_SECONDS)
            before = now

    runtime = Runtime(SystemClock(), os.environ, Path("/nonexistent"))
    async with running(settings, runtime, lambda: settings) as service:
        watching = asyncio.create_task(watch())
        (poller,) = service.pollers
        await poller.polled.wait()
        print(service.urls[0], flush=True)  # noqa: T201 - read by the parent process
        durations = []
        for _ in range(polls - 1):
            # Time for the scrapers to start.
            await asyncio.sleep(PAUSE_SECONDS)
            started = time.perf_counter()
            await poller.poll()
            durations.append(time.perf_counter() - started)
        watching.cancel()
        print(json.dumps({"longest": longest, "durations": durations}), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    run_server(lambda: main(sys.argv[1], int(sys.argv[2])))
