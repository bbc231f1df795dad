"""/metrics, /probe and /self: choose what a scrape requests in its query and headers, and send it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.exposition.bodies import MAX_SLICE_BYTES, View
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.exposition.negotiation import negotiate_encoding, negotiate_format

COLLECT: Final = "collect[]"
EXCLUDE: Final = "exclude[]"
NAME: Final = "name[]"

NO_ACCOUNT: Final = ""
"""A name that no account can have: Prometheus treats an empty label as a missing one."""

NO_SUCH_ACCOUNT: Final = "No such account; /sd lists the accounts.\n"


class Scraper:
    """The handlers of scrapes, which serve rendered metrics and never call the API."""

    def __init__(self, current: Callable[[], Generation], health: Health, clock: Clock) -> None:
        self._current = current
        self._health = health
        self._clock = clock

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Return the metrics of all accounts."""
        return await self._answer(request, None)

    async def probe(self, request: web.Request) -> web.StreamResponse:
        """Return the metrics of the account in the query."""
        account = request.query.get("account")
        if not account:
            raise web.HTTPBadRequest(text="account: missing; use /probe?account=NAME.\n")
        if all(known.name != account for known in self._current().accounts):
            raise web.HTTPNotFound(text=NO_SUCH_ACCOUNT)
        return await self._answer(request, account)

    async def exporter_metrics(self, request: web.Request) -> web.StreamResponse:
        """Return the metrics that belong to no account: together with all probes this is `metrics`."""
        return await self._answer(request, NO_ACCOUNT)

    async def _answer(self, request: web.Request, account: str | None) -> web.StreamResponse:
        exposition = self._current().exposition
        chosen = negotiate_format(_joined(request, hdrs.ACCEPT))
        encoding = negotiate_encoding(_joined(request, hdrs.ACCEPT_ENCODING))
        # As in client_golang: no name selects all metrics, an unknown one selects none.
        names = frozenset(request.query.getall(NAME, ())) or None
        view = View(_collectors(request, exposition.collector_names), account, chosen.syntax, names)
        tail = self._health.render(chosen.syntax, account, names)
        body = await exposition.body(view, self._clock.time())
        headers = {hdrs.CONTENT_TYPE: chosen.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if encoding == "gzip":
            headers[hdrs.CONTENT_ENCODING] = encoding
        answer = body.complete(tail, encoding)
        if answer.size <= MAX_SLICE_BYTES:
            return web.Response(body=b"".join(answer.slices), headers=headers)
        headers[hdrs.CONTENT_LENGTH] = str(answer.size)
        return web.Response(body=_one_by_one(answer.slices), headers=headers)


def _collectors(request: web.Request, names: Sequence[str]) -> frozenset[str]:
    """Return the collectors that `collect[]` or `exclude[]` select among the enabled ones."""
    enabled = frozenset(names)
    collect = frozenset(request.query.getall(COLLECT, ()))
    exclude = frozenset(request.query.getall(EXCLUDE, ()))
    if collect and exclude:
        raise web.HTTPBadRequest(text=f"{COLLECT} and {EXCLUDE} cannot be combined.\n")
    if not collect | exclude <= enabled:
        raise web.HTTPBadRequest(text=f"Unknown or disabled collector. Enabled: {', '.join(names)}.\n")
    return collect or enabled - exclude


async def _one_by_one(slices: Iterable[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    """Yield the slices of a large body, so that other requests are served in between."""
    for number, part in enumerate(slices):
        if number:
            # A fast reader would otherwise keep the event loop busy with this response alone.
            await asyncio.sleep(0)
        yield part


def _joined(request: web.Request, header: str) -> str:
    """Return all lines of a header as one comma-separated list."""
    return ",".join(request.headers.getall(header, ()))


class ConcurrencyLimit:
    """At most `maximum` requests in progress, any number if it is 0; further ones are answered with 503."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._in_progress = 0

    def wrap(self, handler: Handler) -> Handler:
        """Return a handler that counts a request until the last byte of its response has been sent."""

        async def limited(request: web.Request) -> web.StreamResponse:
            if self._maximum and self._in_progress >= self._maximum:
                raise web.HTTPServiceUnavailable(
                    text=f"Limit of concurrent scrapes reached ({self._maximum}, --web.max-requests).\n",
                )
            self._in_progress += 1
            try:
                response = await handler(request)
                await response.prepare(request)
                await response.write_eof()
                return response
            finally:
                self._in_progress -= 1

        return limited
