"""Blocking functions called from the event loop, in threads that nothing waits for when the process ends."""

import asyncio
import contextlib
import contextvars
import errno
import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class SharedCall(Generic[T]):
    """A blocking function that runs in a daemon thread of its own, at most once at a time.

    Callers that arrive while it runs share its result. A caller that stops waiting leaves it running, so a
    function that never returns occupies one thread, however often it is called.
    """

    def __init__(self, function: Callable[[], T], on_end: Callable[[], None] = lambda: None) -> None:
        self._function = function
        self._on_end = on_end
        self._result: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """Return what the function returns, or raise what it raises. Raise OSError if no thread can be started."""
        if self._result is None:
            self._result = self._start(asyncio.get_running_loop())
        # A caller that is cancelled must not cancel the result of the others.
        return await asyncio.shield(self._result)

    def _start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        result: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(target=self._run, args=(loop, result), daemon=True).start()
        except RuntimeError:
            self._on_end()
            raise OSError(errno.EAGAIN, "the process cannot start more threads") from None
        return result

    def _run(self, loop: asyncio.AbstractEventLoop, result: asyncio.Future[T]) -> None:
        value: T | Exception
        try:
            value = self._function()
        except Exception as error:  # noqa: BLE001 - raised in the callers
            value = error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and so has whoever waited
            loop.call_soon_threadsafe(self._end, result, value)

    def _end(self, result: asyncio.Future[T], value: T | Exception) -> None:
        self._result = None
        self._on_end()
        if isinstance(value, Exception):
            result.set_exception(value)
            result.exception()  # no caller may be left that reads the exception
        else:
            result.set_result(value)


class Worker:
    """Runs blocking functions of one kind in daemon threads, at most `threads` at once; the others wait.

    Each kind of work has a worker of its own, so that one that hangs never delays another. A caller that stops waiting
    leaves its function running, which keeps its place until it returns.
    """

    def __init__(self, threads: int = 1) -> None:
        self._slots = asyncio.Semaphore(threads)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns, or raise what it raises. It sees the context variables of the caller."""
        await self._slots.acquire()
        context = contextvars.copy_context()
        call = SharedCall(lambda: context.run(function, *args, **kwargs), self._slots.release)
        return await call()
