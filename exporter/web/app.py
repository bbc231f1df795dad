"""The aiohttp application: scrapes, service discovery, pages, probes and the reload endpoint."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.web.connection import limit_exchange_time, set_security_headers
from exporter.web.cross_origin import require_same_origin
from exporter.web.discovery import Discovery
from exporter.web.pages import Pages
from exporter.web.scrape import ConcurrencyLimit, Scraper

MAX_REQUEST_BYTES: Final = 64 * 1024
"""No handler reads a request body."""

HEALTHY: Final = "/-/healthy"
READY: Final = "/-/ready"
RELOAD: Final = "/-/reload"

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Reloads the configuration and returns the changed options that need a restart."""

Protect = Callable[[web.Application, Collection[str]], None]
"""Applies the web configuration to all requests, without users and rate limit to those with one of the paths."""


def create_app(
    current: Callable[[], Generation],
    health: Health,
    clock: Clock,
    reload: Reload,
    protect: Protect | None = None,
) -> web.Application:
    """Return the application, which never calls the API.

    `current` returns the current configuration and accounts; the options of the group `web` are read once.
    `protect` applies the web configuration, if there is one.
    """
    options = current().settings.web
    lifecycle = _Lifecycle(current, reload, enabled=options.enable_lifecycle)
    scraper = Scraper(current, health, clock)
    scrape_limit = ConcurrencyLimit(options.max_requests)
    prefix = options.path_prefix
    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[limit_exchange_time])
    app.on_response_prepare.append(set_security_headers)
    if protect is not None:
        protect(app, (f"{prefix}{HEALTHY}", f"{prefix}{READY}") if options.probes_without_auth else ())
    routes: Mapping[str, Handler] = {
        options.telemetry_path: scrape_limit.wrap(scraper.metrics),
        "/probe": scrape_limit.wrap(scraper.probe),
        "/self": scrape_limit.wrap(scraper.exporter_metrics),
        "/sd": Discovery(current, clock, options.link_prefix, options.external_url).targets,
        **Pages(current, clock, options).routes(),
        HEALTHY: lifecycle.healthy,
        READY: lifecycle.ready,
    }
    for path, handler in routes.items():
        app.router.add_get(f"{prefix}{path}", handler)
    app.router.add_post(f"{prefix}{RELOAD}", require_same_origin(lifecycle.reload))
    if prefix:
        for path in ("/", prefix):
            app.router.add_get(path, partial(_redirect, f"{options.link_prefix}/"))
    return app


async def _redirect(location: str, _: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(location)


class _Lifecycle:
    """The handlers of the probes and of the reload endpoint."""

    def __init__(self, current: Callable[[], Generation], reload: Reload, *, enabled: bool) -> None:
        self._current = current
        self._reload = reload
        self._enabled = enabled

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(self, _: web.Request) -> web.Response:
        if not self._current().ready:
            return web.Response(status=503, text="The first poll of an account has not finished.\n")
        return web.Response(text="The exporter is ready.\n")

    async def reload(self, _: web.Request) -> web.Response:
        if not self._enabled:
            text = "Lifecycle API is not enabled; start the exporter with --web.enable-lifecycle.\n"
            return web.Response(status=403, text=text)
        try:
            waiting = await self._reload()
        except ConfigurationError as error:
            return web.Response(status=500, text="".join(f"{line}\n" for line in error.lines))
        restart = f"Options that need a restart to take effect: {', '.join(waiting)}.\n" if waiting else ""
        return web.Response(text=f"The configuration was reloaded.\n{restart}")
