"""The sockets: an application served on all listen addresses, and closed without cutting a scrape off."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import web

from exporter.settings.quantities import ListenAddress

SHUTDOWN_TIMEOUT: Final = 10.0
"""Seconds that scrapes in flight are given to finish."""


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why."""


@contextlib.asynccontextmanager
async def serve(app: web.Application, addresses: Sequence[ListenAddress]) -> AsyncIterator[tuple[str, ...]]:
    """Serve `app` while the context lasts, and give the URLs under which it is reached from this machine.

    Port 0 is any free port. Raises ListenError where an address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT, handle_signals=False)
    await runner.setup()
    try:
        for address in addresses:
            try:
                await web.TCPSite(runner, address.host, address.port).start()
            except OSError as error:
                reason = error.strerror or error
                raise ListenError(f"--web.listen-address: cannot listen on {address}: {reason}") from error
        yield tuple(dict.fromkeys(_url(sockname) for sockname in runner.addresses))
    finally:
        await runner.cleanup()


def _url(sockname: tuple[str, int]) -> str:
    host, port = sockname[:2]
    local = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"
