"""The list of source servers: `GET /v3/sources`."""

from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import msgspec
from aiohttp import web

from exporter.simulator.authentication import LIST_SOURCES, Authenticator
from exporter.simulator.errors import BAD_PARAMETER, gateway_error
from exporter.simulator.fleet import Fleet
from exporter.simulator.injection import APPLIED_FAULTS
from exporter.simulator.pages import build_page
from exporter.simulator.query import SOURCES, BadParameter, Parameters, Query, parse_query

Offsets: TypeAlias = Literal["records", "pages"]
"""What the `offset` of a query counts."""

_encode: Final = msgspec.json.Encoder().encode


class Sources:
    """Lists a fleet to authenticated clients."""

    def __init__(self, fleet: Fleet, authenticator: Authenticator, offsets: Offsets) -> None:
        self._fleet = fleet
        self._authenticator = authenticator
        self._offsets = offsets

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the list."""
        return [web.get("/v3/sources", self.list_servers)]

    async def list_servers(self, request: web.Request) -> web.Response:
        """Return one page; it is empty behind the end of the list. Raise ErrorResponse: 400, 401 or 403."""
        await self._authenticator.authorize(request, LIST_SOURCES)
        query = read_query(request)
        start = query.offset * (query.limit if self._offsets == "pages" else 1)
        faults = request[APPLIED_FAULTS]
        page = build_page(self._fleet.select(query), start, query.limit, faults)
        body = _encode({"count": page.count, "source_servers": page.rows})
        return web.Response(body=body, content_type="application/json")


def read_query(request: web.Request, allowed: Parameters = SOURCES) -> Query:
    """Parse the query of a request. Raise ErrorResponse 400."""
    try:
        return parse_query(request.query, allowed)
    except BadParameter as error:
        raise gateway_error(HTTPStatus.BAD_REQUEST, BAD_PARAMETER, f"Invalid parameter: {error}.") from error
