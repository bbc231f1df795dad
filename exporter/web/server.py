"""The server: an application behind every place it listens on, ended without cutting a scrape off."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Final, cast

from aiohttp import web

from exporter.web.connection import LIMITS, Connection, Limits
from exporter.web.listeners import Place, listening, url

SHUTDOWN_TIMEOUT: Final = 10.0
"""Seconds that scrapes in flight are given to finish."""


@contextlib.asynccontextmanager
async def serve(
    app: web.Application,
    places: Iterable[Place],
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits = LIMITS,
) -> AsyncIterator[tuple[str, ...]]:
    """Serve `app` while the context lasts, and tell how it is reached from this machine.

    Port 0 is any free port. Raises ListenError where an address cannot be had.
    """
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    server = cast("web.Server", runner.server)
    try:
        async with contextlib.AsyncExitStack() as stack:
            sockets: list[socket.socket] = []
            for place in places:
                sockets += await stack.enter_async_context(
                    listening(place, lambda: Connection(server, limits), tls),
                )
            yield tuple(dict.fromkeys(url(one, tls=tls is not None) for one in sockets))
    finally:
        await runner.cleanup()
