"""The API itself: `GET /v3/sources`."""

from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import msgspec
from aiohttp import web

from exporter.simulator.answers import BAD_PARAMETER, gateway_error
from exporter.simulator.fleet import Fleet
from exporter.simulator.gate import Gate
from exporter.simulator.misbehaviour import STRUCK
from exporter.simulator.pages import make_page
from exporter.simulator.query import BadParameter, Query, parse_query

Offsets: TypeAlias = Literal["records", "pages"]
"""What the query's `offset` counts."""

_encode: Final = msgspec.json.Encoder().encode


class Sources:
    """Lists a fleet to who is admitted."""

    def __init__(self, fleet: Fleet, gate: Gate, offsets: Offsets) -> None:
        self._fleet = fleet
        self._gate = gate
        self._offsets = offsets

    def routes(self) -> list[web.RouteDef]:
        """Give the route of the list."""
        return [web.get("/v3/sources", self.list_servers)]

    async def list_servers(self, request: web.Request) -> web.Response:
        """Give one page; an empty one past the end. Raises Refusal: 400, 401 or 403."""
        await self._gate.admit(request)
        query = read_query(request)
        start = query.offset * (query.limit if self._offsets == "pages" else 1)
        struck = request[STRUCK]
        page = make_page(self._fleet.select(query), start, query.limit, struck)
        body = _encode({"count": page.count, "source_servers": page.rows})
        return web.Response(body=body, content_type="application/json")


def read_query(request: web.Request) -> Query:
    """Read a request's query. Raises Refusal 400."""
    try:
        return parse_query(request.query)
    except BadParameter as error:
        raise gateway_error(HTTPStatus.BAD_REQUEST, BAD_PARAMETER, f"Invalid parameter: {error}.") from error
