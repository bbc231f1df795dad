"""The SMS API as a capture recorded it: the same answers to the same requests."""

from collections import defaultdict
from http import HTTPStatus
from typing import Final, TypeAlias

import msgspec
from aiohttp import web
from msgspec import UNSET

from exporter.capture.anonymizer import keep_headers
from exporter.capture.file import Capture, Exchange
from exporter.simulator.authentication import Authenticator
from exporter.simulator.errors import NOT_FOUND, gateway_error

REPLAYED_HEADERS: Final = ("content-type", "retry-after")
"""Other recorded headers describe the connection of the capture."""

_Key: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


class Replay:
    """Answers authenticated requests as a capture does.

    Several answers to the same request are given in their order, and the last one again and again.
    """

    def __init__(self, capture: Capture, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._answers: defaultdict[_Key, list[Exchange]] = defaultdict(list)
        for exchange in capture.exchanges:
            self._answers[exchange.path, frozenset(exchange.query.items())].append(exchange)

    def routes(self) -> list[web.RouteDef]:
        """Return the route of everything that the capture has."""
        return [web.get("/v3/{path:.*}", self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the next answer to a request. Raise ErrorResponse 404 if the capture has none."""
        await self._authenticator.authenticate(request)
        answers = self._answers.get((request.path, frozenset(request.query.items())))
        if not answers:
            message = f"The capture has no answer to GET {request.path_qs}."
            raise gateway_error(HTTPStatus.NOT_FOUND, NOT_FOUND, message)
        exchange = answers.pop(0) if len(answers) > 1 else answers[0]
        if exchange.status < HTTPStatus.OK:
            # The capture had no answer, for example because of a timeout.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        # The file may be somebody else's.
        headers = {name: value for name, value in keep_headers(exchange.headers).items() if name in REPLAYED_HEADERS}
        content = b"x" * exchange.body_bytes if exchange.body is UNSET else msgspec.json.encode(exchange.body)
        return web.Response(status=exchange.status, headers=headers, body=content)
