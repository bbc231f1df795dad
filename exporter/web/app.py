"""The application: scrapes, discovery of the accounts, pages, and the probes of an orchestrator."""

from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.exposition import Exposition
from exporter.health import Health
from exporter.settings import Settings
from exporter.target import Target
from exporter.web.connection import timed
from exporter.web.headers import set_safe_headers
from exporter.web.pages import Pages
from exporter.web.scrape import Scraper
from exporter.web.slots import Slots
from exporter.web.toolkit import Policy, configured_headers, screening

MOST_REQUEST_BYTES: Final = 64 * 1024
"""Nothing that is served takes a body."""

PROBES: Final = ("/-/healthy", "/-/ready")
"""What an orchestrator asks."""


def create_app(
    exposition: Exposition,
    health: Health,
    targets: Sequence[Target],
    clock: Clock,
    settings: Callable[[], Settings],
    policy: Callable[[], Policy] | None = None,
) -> web.Application:
    """Make the application. It reads the targets and asks nothing of the API.

    `settings` gives the configuration in force; where the metrics are served stays as it is at first.
    `policy` gives the web configuration in force, if there is one.
    """

    async def discovery(request: web.Request) -> web.Response:
        """Answer in the form of Prometheus's http_sd: one target an account, scraped through /probe."""
        return web.json_response(
            [
                {
                    "targets": [request.host],
                    "labels": {
                        "__scheme__": request.scheme,
                        "__metrics_path__": "/probe",
                        "__param_account": target.name,
                        "__meta_sms_account": target.name,
                        "__meta_sms_api_region": target.account.api.region or "",
                    },
                }
                for target in targets
            ],
        )

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        if any(target.last_poll is None for target in targets):
            return web.Response(status=503, text="The first poll of an account has not ended yet.\n")
        return web.Response(text="The exporter is ready.\n")

    options = settings().web
    telemetry_path = options.telemetry_path
    scraper = Scraper(exposition, health, targets, clock)
    slots = Slots(options.max_requests)
    app = web.Application(client_max_size=MOST_REQUEST_BYTES, middlewares=[timed])
    app.on_response_prepare.append(set_safe_headers)
    if policy is not None:
        app.middlewares.append(screening(policy, PROBES if options.probes_without_auth else ()))
        app.on_response_prepare.append(configured_headers(policy))
    app.router.add_get(telemetry_path, slots.around(scraper.metrics))
    app.router.add_get("/probe", slots.around(scraper.probe))
    app.router.add_get("/sd", discovery)
    Pages(targets, settings, clock, telemetry_path).add_to(app)
    for path, handler in zip(PROBES, (healthy, ready), strict=True):
        app.router.add_get(path, handler)
    return app
