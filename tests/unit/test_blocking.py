"""Blocking functions in threads: bounded per kind, and nothing waits for them at the end."""

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from exporter.blocking import SharedCall, Worker


class Blocked:
    """A function that blocks until it is released, and counts its calls."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.started = 0

    def __call__(self) -> str:
        self.started += 1
        assert self.released.wait(20)
        return "done"


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def until_started(blocked: Blocked, calls: int) -> None:
    async with asyncio.timeout(20):
        while blocked.started < calls:
            await asyncio.sleep(0)


async def test_a_worker_runs_as_many_functions_as_it_has_threads() -> None:
    worker, blocked = Worker(2), Blocked()
    calls = [asyncio.ensure_future(worker.run(blocked)) for _ in range(5)]
    await until_started(blocked, 2)
    await turns()
    assert blocked.started == 2
    blocked.released.set()
    assert await asyncio.gather(*calls) == ["done"] * 5


async def test_a_worker_that_hangs_does_not_delay_another() -> None:
    blocked = Blocked()
    hanging = asyncio.ensure_future(Worker().run(blocked))
    assert await Worker().run(sum, [1, 2]) == 3
    blocked.released.set()
    await hanging


async def test_a_function_whose_caller_was_cancelled_keeps_its_place_until_it_returns() -> None:
    worker, blocked = Worker(), Blocked()
    cancelled = asyncio.ensure_future(worker.run(blocked))
    await until_started(blocked, 1)
    cancelled.cancel()
    waiting = asyncio.ensure_future(worker.run(blocked))
    await turns()
    assert (cancelled.cancelled(), blocked.started) == (True, 1)
    blocked.released.set()
    assert await waiting == "done"


async def test_an_error_is_raised_in_the_caller_and_frees_the_place() -> None:
    worker = Worker()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await worker.run(divmod, 1, 0)


async def test_a_function_sees_the_context_of_its_caller() -> None:
    account = contextvars.ContextVar("account", default="none")
    account.set("shop")
    assert await Worker().run(account.get) == "shop"


async def test_callers_of_a_shared_call_share_one_thread() -> None:
    blocked = Blocked()
    call = SharedCall(blocked)
    callers = [asyncio.ensure_future(call()) for _ in range(3)]
    await until_started(blocked, 1)
    blocked.released.set()
    assert (await asyncio.gather(*callers), blocked.started) == (["done"] * 3, 1)


@pytest.mark.parametrize("runner", ["Worker().run(hang)", "SharedCall(hang)()"])
def test_a_process_ends_while_a_function_hangs(runner: str) -> None:
    program = f"""
import asyncio, threading
from exporter.blocking import SharedCall, Worker

hang = threading.Event().wait

async def main():
    hanging = asyncio.ensure_future({runner})
    await asyncio.sleep(0.01)
    hanging.cancel()

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=True).returncode == 0


async def test_a_caller_of_a_shared_call_that_stops_waiting_leaves_it_to_the_others() -> None:
    blocked = Blocked()
    call = SharedCall(blocked)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await call()
    blocked.released.set()
    assert (await call(), blocked.started) == ("done", 1)


async def test_a_process_without_more_threads_is_an_error_of_the_system_and_frees_the_place() -> None:
    worker = Worker()
    before = threading.stack_size(2**46)  # no machine has that much memory
    try:
        for _ in range(2):
            with pytest.raises(OSError, match="cannot start more threads"):
                await worker.run(sum, [1, 2])
    finally:
        threading.stack_size(before)
    assert await worker.run(sum, [1, 2]) == 3
