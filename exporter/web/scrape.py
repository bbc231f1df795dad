"""/metrics, /probe and /self: what a scrape asks for in its query and headers, and the body that answers it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.clock import Clock
from exporter.exposition.bodies import Answer, View
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.exposition.negotiation import negotiate_encoding, negotiate_format

COLLECT: Final = "collect[]"
EXCLUDE: Final = "exclude[]"

NO_ACCOUNT: Final = ""
"""A name that no account can have: to Prometheus, a label that is empty is one that is not there."""

SMALL: Final = 2**16
"""Bytes of a body that is sent with its headers; to copy a larger one behind them would cost more than it saves."""


class Scraper:
    """Answers scrapes from what is rendered; the API is never asked."""

    def __init__(self, current: Callable[[], Generation], health: Health, clock: Clock) -> None:
        self._current = current
        self._health = health
        self._clock = clock

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Answer with all accounts."""
        return await self._answer(request, None)

    async def probe(self, request: web.Request) -> web.StreamResponse:
        """Answer with the one account that the query names."""
        account = request.query.get("account")
        if not account:
            raise web.HTTPBadRequest(text="Name an account: /probe?account=NAME.\n")
        if all(known.name != account for known in self._current().accounts):
            raise web.HTTPNotFound(text="There is no such account; /sd lists those there are.\n")
        return await self._answer(request, account)

    async def itself(self, request: web.Request) -> web.StreamResponse:
        """Answer with what belongs to no account: with all probes, it is what `metrics` gives."""
        return await self._answer(request, NO_ACCOUNT)

    async def _answer(self, request: web.Request, account: str | None) -> web.StreamResponse:
        exposition = self._current().exposition
        chosen = negotiate_format(_joined(request, hdrs.ACCEPT))
        encoding = negotiate_encoding(_joined(request, hdrs.ACCEPT_ENCODING))
        view = View(_collectors(request, exposition.collector_names), account, chosen.syntax)
        tail = self._health.render(chosen.syntax, account)
        body = await exposition.body(view, self._clock.time())
        headers = {hdrs.CONTENT_TYPE: chosen.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if encoding == "gzip":
            headers[hdrs.CONTENT_ENCODING] = encoding
        answer = body.complete(tail, encoding)
        if answer.size <= SMALL:
            return web.Response(body=b"".join(answer.slices), headers=headers)
        return await _written(request, web.StreamResponse(headers=headers), answer)


def _collectors(request: web.Request, names: Sequence[str]) -> frozenset[str]:
    """Read `collect[]` or `exclude[]`: names of collectors that are on."""
    on = frozenset(names)
    collect = frozenset(request.query.getall(COLLECT, ()))
    exclude = frozenset(request.query.getall(EXCLUDE, ()))
    if collect and exclude:
        raise web.HTTPBadRequest(text=f"Give {COLLECT} or {EXCLUDE}, not both.\n")
    if not collect | exclude <= on:
        raise web.HTTPBadRequest(text=f"No such collector, or it is switched off. Those on: {', '.join(names)}.\n")
    return collect or on - exclude


async def _written(request: web.Request, response: web.StreamResponse, answer: Answer) -> web.StreamResponse:
    """Write a large body slice by slice, each when the one before has gone: others are answered between them."""
    response.content_length = answer.size
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    for part in answer.slices:
        await response.write(part)
        # A reader that is quick enough would keep the loop to itself.
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def _joined(request: web.Request, header: str) -> str:
    """Give a header that may stand in several lines as one list."""
    return ",".join(request.headers.getall(header, ()))


class Slots:
    """Lets `most` requests be answered at once, any number where it is 0; others are told to come again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def around(self, handler: Handler) -> Handler:
        """Make a handler that answers while it holds a slot, to the last byte of the answer."""

        async def answered(request: web.Request) -> web.StreamResponse:
            if self._most and self._taken >= self._most:
                raise web.HTTPServiceUnavailable(
                    text=f"{self._most} scrapes are being answered, the most that web.max-requests allows.\n",
                )
            self._taken += 1
            try:
                response = await handler(request)
                await response.prepare(request)
                await response.write_eof()
                return response
            finally:
                self._taken -= 1

        return answered
