"""Authentication of requests by token or signature."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from exporter.simulator.errors import TOKEN_EXPIRED, gateway_error, permission_denied
from exporter.simulator.signing import AccessKeys, SignedRequest
from exporter.simulator.tokens import Tokens, TokenStatus


class Authenticator:
    """Checks the authentication of requests; `now` returns seconds since the epoch."""

    def __init__(self, tokens: Tokens, keys: AccessKeys, now: Callable[[], float]) -> None:
        self._tokens = tokens
        self._keys = keys
        self._now = now

    async def authenticate(self, request: web.Request) -> None:
        """Raise ErrorResponse if the request is not authenticated: 401, or 403 for an invalid token."""
        if "Authorization" in request.headers:
            signed = SignedRequest(request.method, request.raw_path, request.headers, await request.read())
            self._keys.verify(signed, self._now())
            return
        status = self._tokens.status(request.headers.get("X-Auth-Token"), self._now())
        if status is TokenStatus.EXPIRED:
            raise gateway_error(HTTPStatus.UNAUTHORIZED, TOKEN_EXPIRED, "The token must be updated.")
        if status is not TokenStatus.VALID:
            raise permission_denied()
