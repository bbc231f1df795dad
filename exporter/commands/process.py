"""The process of a command: what it inherits, its event loop, and the signals that end it."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from exporter.clock import SystemClock
from exporter.polling.connections import Runtime

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""Time after which a rendering thread yields to the event loop; Python's default of 5 ms delays scrapes."""


def get_runtime() -> Runtime:
    """Return the clock, the environment and the home directory of this process."""
    try:
        home = Path.home()
    except RuntimeError:  # A service often has neither HOME nor a user with a home directory.
        home = None
    return Runtime(SystemClock(), os.environ, home)


def run_server(serve: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run an event loop until `serve` ends. SIGTERM and SIGINT cancel it, also while it is starting."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    # Objects created until now live as long as the process: the garbage collector need not visit them again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        server = asyncio.create_task(serve())

        def stop() -> None:
            if not server.cancelling():  # A second signal must not cut the running scrapes.
                server.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with contextlib.suppress(asyncio.CancelledError):
            await server

    asyncio.run(run())


async def until_stopped() -> None:
    """Wait until the task is cancelled."""
    await asyncio.Event().wait()
