"""How the process of a server is set up: its threads, and how they share the interpreter."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = 16
"""Started as they are needed: names that are looked up in an outage of DNS take one each for a while."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that renders lets the event loop go on, instead of Python's 5 ms."""


def serve(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run an event loop until `main` ends."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What was made until here lives as long as the process: no collection need look through it again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "worker"))
        await main()

    asyncio.run(run())
