"""The application: scrapes, discovery of the accounts, a landing page, and the probes of an orchestrator."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.exposition import Exposition
from exporter.health import Health
from exporter.target import Target
from exporter.web.landing import landing_page
from exporter.web.scrape import Scraper

MOST_REQUEST_BYTES: Final = 64 * 1024
"""Nothing that is served takes a body."""


def create_app(
    exposition: Exposition,
    health: Health,
    targets: Sequence[Target],
    clock: Clock,
    *,
    telemetry_path: str = "/metrics",
) -> web.Application:
    """Make the application. It reads the targets and asks nothing of the API."""

    async def discovery(request: web.Request) -> web.Response:
        """Answer in the form of Prometheus's http_sd: one target an account, scraped through /probe."""
        return web.json_response(
            [
                {
                    "targets": [request.host],
                    "labels": {
                        "__metrics_path__": "/probe",
                        "__param_account": target.name,
                        "__meta_sms_account": target.name,
                        "__meta_sms_api_region": target.account.api.region or "",
                    },
                }
                for target in targets
            ],
        )

    async def landing(_: web.Request) -> web.Response:
        return web.Response(text=landing_page(telemetry_path), content_type="text/html")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        if any(target.last_poll is None for target in targets):
            return web.Response(status=503, text="The first poll of an account has not ended yet.\n")
        return web.Response(text="The exporter is ready.\n")

    scraper = Scraper(exposition, health, targets, clock)
    app = web.Application(client_max_size=MOST_REQUEST_BYTES)
    app.router.add_get(telemetry_path, scraper.metrics)
    app.router.add_get("/probe", scraper.probe)
    app.router.add_get("/sd", discovery)
    if telemetry_path != "/":
        app.router.add_get("/", landing)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    return app
