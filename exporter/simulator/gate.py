"""Who may pass: a request with a good token or a good signature."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from exporter.simulator.answers import TOKEN_EXPIRED, gateway_error, permission_denied
from exporter.simulator.signing import AccessKeys, SignedRequest
from exporter.simulator.tokens import Standing, Tokens


class Gate:
    """Checks the authentication of requests; `now` gives seconds since the epoch."""

    def __init__(self, tokens: Tokens, keys: AccessKeys, now: Callable[[], float]) -> None:
        self._tokens = tokens
        self._keys = keys
        self._now = now

    async def admit(self, request: web.Request) -> None:
        """Return if the request may pass. Raises Refusal: 401, or the reference's 403 for a bad token."""
        if "Authorization" in request.headers:
            signed = SignedRequest(request.method, request.raw_path, request.headers, await request.read())
            self._keys.verify(signed, self._now())
            return
        standing = self._tokens.standing(request.headers.get("X-Auth-Token"), self._now())
        if standing is Standing.EXPIRED:
            raise gateway_error(HTTPStatus.UNAUTHORIZED, TOKEN_EXPIRED, "The token must be updated.")
        if standing is not Standing.GOOD:
            raise permission_denied()
