"""The application: /metrics, a landing page, and the probes of an orchestrator."""

from collections.abc import Sequence

from aiohttp import hdrs, web

from exporter.clock import Clock
from exporter.exposition import Exposition
from exporter.health import Health
from exporter.negotiation import negotiate_encoding, negotiate_format
from exporter.target import Target
from exporter.web.landing import landing_page

MOST_REQUEST_BYTES = 64 * 1024
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

    async def metrics(request: web.Request) -> web.Response:
        chosen = negotiate_format(_joined(request, hdrs.ACCEPT))
        encoding = negotiate_encoding(_joined(request, hdrs.ACCEPT_ENCODING))
        body = await exposition.body(chosen.syntax, encoding, health.render(chosen.syntax), clock.time())
        headers = {hdrs.CONTENT_TYPE: chosen.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if encoding == "gzip":
            headers[hdrs.CONTENT_ENCODING] = encoding
        return web.Response(body=body, headers=headers)

    async def landing(_: web.Request) -> web.Response:
        return web.Response(text=landing_page(telemetry_path), content_type="text/html")

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def ready(_: web.Request) -> web.Response:
        waiting = [target.name for target in targets if target.last_poll is None]
        if waiting:
            return web.Response(status=503, text="The first poll has not ended yet.\n")
        return web.Response(text="The exporter is ready.\n")

    app = web.Application(client_max_size=MOST_REQUEST_BYTES)
    app.router.add_get(telemetry_path, metrics)
    if telemetry_path != "/":
        app.router.add_get("/", landing)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    return app


def _joined(request: web.Request, header: str) -> str:
    """Give a header that may stand in several lines as one list."""
    return ",".join(request.headers.getall(header, ()))
