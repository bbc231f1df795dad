"""The routes of the pages, whose modules are imported at the first request.

The pages and Jinja need 4 MB. Many exporters are only scraped.
"""

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.blocking import SharedCall
from exporter.clock import Clock
from exporter.exposition.generation import Generation
from exporter.logs import get_logger
from exporter.settings.tree import WebSettings

log = get_logger(__name__)

PATHS: Final = (
    "/",
    "/servers",
    "/servers/{account:[^/]+}/{id:[^/]+}",
    "/servers.csv",
    "/servers.json",
    "/migrations",
    "/migrations.csv",
    "/polls",
    "/config",
    "/favicon.ico",
)


class Pages:
    """The handlers of the pages, which never call the API; `current` returns the configuration and accounts."""

    def __init__(self, current: Callable[[], Generation], clock: Clock, options: WebSettings) -> None:
        # In a thread: the imports take about 50 ms.
        self._load = SharedCall(lambda: _load_handlers(current, clock, options))
        self._handlers: Mapping[str, Handler] | None = None

    def routes(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {path: partial(self._answer, path) for path in PATHS}

    async def _answer(self, path: str, request: web.Request) -> web.StreamResponse:
        if self._handlers is None:
            try:
                self._handlers = await self._load()
            except (ImportError, OSError) as error:
                log.warning(
                    "cannot load the pages",
                    err=str(error),
                    hint="restart the exporter if its installation was replaced",
                )
                text = "The pages cannot be loaded; the log says why.\n"
                return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=text)
        return await self._handlers[path](request)


def _load_handlers(current: Callable[[], Generation], clock: Clock, options: WebSettings) -> Mapping[str, Handler]:
    from exporter.web.pages.handlers import PageHandlers

    return PageHandlers(current, clock, options).by_path()
