"""Blocking functions called from the event loop, in threads that nothing waits for when the process ends."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedCall(Generic[T]):
    """A blocking function that runs in a daemon thread of its own, at most once at a time.

    Callers that arrive while it runs share its result. A caller that stops waiting leaves it running, so a
    function that never returns occupies one thread, however often it is called.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: asyncio.Future[T] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the function has been called and has not returned yet."""
        return self._result is not None

    async def __call__(self) -> T:
        """Return what the function returns, or raise what it raises."""
        if self._result is None:
            loop = asyncio.get_running_loop()
            self._result = loop.create_future()
            threading.Thread(target=self._run, args=(loop, self._result), daemon=True).start()
        # A caller that is cancelled must not cancel the result of the others.
        return await asyncio.shield(self._result)

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
        if isinstance(value, Exception):
            result.set_exception(value)
            result.exception()  # no caller may be left that reads the exception
        else:
            result.set_result(value)
