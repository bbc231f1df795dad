"""The HTTP server: one application on all listeners, stopped without interrupting a scrape."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Final, cast

from aiohttp import web

from exporter.web.connection import DEFAULT_LIMITS, Connection, Limits
from exporter.web.listeners import Endpoint, listen, socket_url

SHUTDOWN_TIMEOUT_SECONDS: Final = 10.0
"""How long scrapes in progress may take after a stop was requested."""


@contextlib.asynccontextmanager
async def serve(
    app: web.Application,
    endpoints: Iterable[Endpoint],
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[tuple[str, ...]]:
    """Serve `app` during the context, which gives the URLs that reach it from this machine.

    Port 0 selects a free port. Raises ListenError if an address cannot be listened on.
    """
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS)
    await runner.setup()
    server = cast("web.Server", runner.server)
    try:
        async with contextlib.AsyncExitStack() as stack:
            sockets: list[socket.socket] = []
            for endpoint in endpoints:
                sockets += await stack.enter_async_context(
                    listen(endpoint, lambda: Connection(server, limits), tls),
                )
            yield tuple(dict.fromkeys(socket_url(listener, tls=tls is not None) for listener in sockets))
    finally:
        await runner.cleanup()
