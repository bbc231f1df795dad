"""The HTTP server: one application on all listeners, stopped without interrupting a scrape."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import cast

from aiohttp import web

from exporter.web.acceptor import Acceptor, max_connections
from exporter.web.connection import DEFAULT_LIMITS, Connection, Limits
from exporter.web.listeners import Endpoint, listen, socket_url


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
    runner = web.AppRunner(app, shutdown_timeout=limits.shutdown)
    await runner.setup()
    server = cast("web.Server", runner.server)
    acceptor = Acceptor(lambda: Connection(server, limits), tls, max_connections(limits.connections))
    try:
        async with contextlib.AsyncExitStack() as stack:
            sockets: list[socket.socket] = []
            for endpoint in endpoints:
                sockets += await stack.enter_async_context(listen(endpoint))
            for listener in sockets:
                acceptor.start(listener)
            stack.push_async_callback(acceptor.stop)
            yield tuple(dict.fromkeys(socket_url(listener, tls=tls is not None) for listener in sockets))
    finally:
        # aiohttp applies its timeout to each step of closing a connection, so this bounds all of them.
        deadline = asyncio.get_running_loop().call_later(limits.shutdown, acceptor.abort)
        await runner.cleanup()
        deadline.cancel()
        acceptor.abort()
