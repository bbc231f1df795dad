"""The aiohttp application: scrapes, service discovery, pages, probes and the reload endpoint."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.web.connection import limit_exchange_time, set_security_headers
from exporter.web.cross_origin import require_same_origin
from exporter.web.discovery import Discovery
from exporter.web.pages import Pages
from exporter.web.scrape import ConcurrencyLimit, Scraper
from exporter.web.toolkit import Policy, access_control, configured_headers

MAX_REQUEST_BYTES: Final = 64 * 1024
"""No handler reads a request body."""

PROBES: Final = ("/-/healthy", "/-/ready")
"""Liveness and readiness, as an orchestrator requests them."""


def create_app(
    current: Callable[[], Generation],
    health: Health,
    clock: Clock,
    reload: Callable[[], Awaitable[Sequence[str]]],
    policy: Callable[[], Policy] | None = None,
) -> web.Application:
    """Return the application, which never calls the API.

    `current` returns the current configuration and accounts; the options of the group `web` are read once.
    `reload` reloads the configuration and returns the changed options that need a restart. `policy` returns
    the current web configuration, if there is one.
    """

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        if not current().ready:
            return web.Response(status=503, text="The first poll of an account has not finished.\n")
        return web.Response(text="The exporter is ready.\n")

    async def reload_configuration(_: web.Request) -> web.Response:
        if not options.enable_lifecycle:
            text = "Lifecycle API is not enabled; start the exporter with --web.enable-lifecycle.\n"
            return web.Response(status=403, text=text)
        try:
            waiting = await reload()
        except ConfigurationError as error:
            return web.Response(status=500, text="".join(f"{line}\n" for line in error.lines))
        restart = f"Options that need a restart to take effect: {', '.join(waiting)}.\n" if waiting else ""
        return web.Response(text=f"The configuration was reloaded.\n{restart}")

    options = current().settings.web
    telemetry_path = options.telemetry_path
    scraper = Scraper(current, health, clock)
    scrape_limit = ConcurrencyLimit(options.max_requests)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[limit_exchange_time])
    app.on_response_prepare.append(set_security_headers)
    if policy is not None:
        app.middlewares.append(access_control(policy, PROBES if options.probes_without_auth else ()))
        app.on_response_prepare.append(configured_headers(policy))
    app.router.add_get(telemetry_path, scrape_limit.wrap(scraper.metrics))
    app.router.add_get("/probe", scrape_limit.wrap(scraper.probe))
    app.router.add_get("/self", scrape_limit.wrap(scraper.exporter_metrics))
    app.router.add_get("/sd", Discovery(current).targets)
    Pages(current, clock, telemetry_path).add_to(app)
    for path, handler in zip(PROBES, (healthy, ready), strict=True):
        app.router.add_get(path, handler)
    app.router.add_post("/-/reload", require_same_origin(reload_configuration))
    return app
