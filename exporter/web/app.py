"""The application: scrapes, discovery of the accounts, pages, and the probes of an orchestrator."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.web.connection import set_safe_headers, timed
from exporter.web.discovery import Discovery
from exporter.web.pages import Pages
from exporter.web.scrape import Scraper, Slots
from exporter.web.toolkit import Policy, configured_headers, screening

MOST_REQUEST_BYTES: Final = 64 * 1024
"""Nothing that is served takes a body."""

PROBES: Final = ("/-/healthy", "/-/ready")
"""What an orchestrator asks."""


def create_app(
    current: Callable[[], Generation],
    health: Health,
    clock: Clock,
    reload: Callable[[], Awaitable[Sequence[str]]],
    policy: Callable[[], Policy] | None = None,
) -> web.Application:
    """Make the application. It reads the targets and asks nothing of the API.

    `current` gives what is in force; the options of the web stay as they are at first. `reload` puts the
    configuration in force as it is written by then, and gives the options that wait for a restart.
    `policy` gives the web configuration in force, if there is one.
    """

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        if not current().ready:
            return web.Response(status=503, text="The first poll of an account has not ended yet.\n")
        return web.Response(text="The exporter is ready.\n")

    async def reload_configuration(_: web.Request) -> web.Response:
        if not options.enable_lifecycle:
            text = "Lifecycle API is not enabled: start the exporter with --web.enable-lifecycle.\n"
            return web.Response(status=403, text=text)
        try:
            waiting = await reload()
        except ConfigurationError as error:
            return web.Response(status=500, text="".join(f"{line}\n" for line in error.lines))
        rest = f"Changed, but waiting for a restart: {', '.join(waiting)}.\n" if waiting else ""
        return web.Response(text=f"The configuration was reloaded.\n{rest}")

    options = current().settings.web
    telemetry_path = options.telemetry_path
    scraper = Scraper(current, health, clock)
    slots = Slots(options.max_requests)
    app = web.Application(client_max_size=MOST_REQUEST_BYTES, middlewares=[timed])
    app.on_response_prepare.append(set_safe_headers)
    if policy is not None:
        app.middlewares.append(screening(policy, PROBES if options.probes_without_auth else ()))
        app.on_response_prepare.append(configured_headers(policy))
    app.router.add_get(telemetry_path, slots.around(scraper.metrics))
    app.router.add_get("/probe", slots.around(scraper.probe))
    app.router.add_get("/self", slots.around(scraper.itself))
    app.router.add_get("/sd", Discovery(current).targets)
    Pages(current, clock, telemetry_path).add_to(app)
    for path, handler in zip(PROBES, (healthy, ready), strict=True):
        app.router.add_get(path, handler)
    app.router.add_post("/-/reload", reload_configuration)
    return app
