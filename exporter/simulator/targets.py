"""Stand-ins for the target servers of launched migrations: listeners on loopback addresses. Some do not answer."""

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

from exporter.clock import Clock
from exporter.simulator.fleet import Fleet

LOOPBACK_TARGETS: Final = "127.64.0.1"
"""The first address of target servers that listen; on Linux all of 127.0.0.0/8 is on the loopback interface."""
MAX_LISTENERS: Final = 500

_CHECK_SECONDS: Final = 1.0
_UNANSWERED: Final = 4
"""One target server in so many does not answer."""


class TargetsUnavailable(Exception):
    """The addresses of target servers cannot be listened on; the message says why."""


class Targets:
    """Listens on `port` of the address of each launched target server that answers, for an `async with`.

    A connection is accepted and closed, which is what a probe of a TCP port needs. Raise TargetsUnavailable if the
    first address cannot be listened on.
    """

    def __init__(self, fleet: Fleet, port: int, clock: Clock) -> None:
        self._fleet = fleet
        self._port = port
        self._clock = clock
        self._listeners: dict[str, asyncio.Server] = {}
        self._following: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> set[str]:
        """The addresses that answer."""
        return set(self._listeners)

    async def __aenter__(self) -> Self:
        try:
            (await self._listen(LOOPBACK_TARGETS)).close()
        except OSError as error:
            text = error.strerror or str(error)
            raise TargetsUnavailable(f"cannot listen on {LOOPBACK_TARGETS}:{self._port}: {text}") from error
        await self.update()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        for address in list(self._listeners):
            self._listeners.pop(address).close()

    async def update(self) -> None:
        """Listen on the addresses of the servers that are launched now, and on no others."""
        launched = [each.address for each in self._fleet.select().migrations() if each.is_launched and each.address]
        wanted = {address for address in launched[:MAX_LISTENERS] if answers(address)}
        for address in self.addresses - wanted:
            self._listeners.pop(address).close()
        for address in wanted - self.addresses:
            # An address that something else uses does not answer as a target server.
            with contextlib.suppress(OSError):
                self._listeners[address] = await self._listen(address)

    async def _follow(self) -> None:
        while True:
            await self._clock.sleep(_CHECK_SECONDS)
            await self.update()

    async def _listen(self, address: str) -> asyncio.Server:
        return await asyncio.start_server(_close, address, self._port)


def answers(address: str) -> bool:
    """Return whether the target server with this address answers."""
    return int(address.rpartition(".")[2]) % _UNANSWERED != 0


async def _close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
