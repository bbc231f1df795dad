"""How the process of a server is set up: its threads, and how they share the interpreter and the memory."""

import asyncio
import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = 16
"""Started as they are needed: names that are looked up in an outage of DNS take one each for a while."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that renders lets the event loop go on, instead of Python's 5 ms."""

_M_ARENA_MAX: Final = -8
"""The number of heaps, as `malloc.h` of glibc numbers its parameters."""


def serve(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run an event loop until `main` ends."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    _share_one_heap()
    # What was made until here lives as long as the process: no collection need look through it again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "worker"))
        await main()

    asyncio.run(run())


def _share_one_heap() -> None:
    """Let all threads allocate from one heap.

    glibc has one for each, which keeps what a poll once took in that thread: a third more with many accounts.
    Threads of Python take turns anyway. Other C libraries have no such option.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
