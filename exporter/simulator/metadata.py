"""A stand-in for the metadata service of an ECS with an agency, which issues temporary keys."""

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from exporter.simulator.errors import ErrorResponse
from exporter.simulator.iam import timestamp
from exporter.simulator.signing import AccessKeys

MAX_TTL_SECONDS: Final = 21_600


class Metadata:
    """Issues temporary keys for `key_lifetime` seconds; `now` returns seconds since the epoch.

    Without `with_tokens` it is an older service, which neither issues nor requires tokens.
    """

    def __init__(
        self,
        keys: AccessKeys,
        *,
        now: Callable[[], float],
        key_lifetime: float,
        with_tokens: bool,
    ) -> None:
        self._keys = keys
        self._now = now
        self._key_lifetime = key_lifetime
        self._with_tokens = with_tokens
        self._tokens: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the metadata service."""
        return [
            web.put("/meta-data/latest/api/token", self.create_token),
            web.get("/openstack/latest/securitykey", self.create_key),
        ]

    async def create_token(self, request: web.Request) -> web.Response:
        """Issue a token, as plain text, with the lifetime in `X-Metadata-Token-Ttl-Seconds`."""
        if not self._with_tokens:
            raise web.HTTPNotFound
        ttl = request.headers.get("X-Metadata-Token-Ttl-Seconds", "")
        if not ttl.isdecimal() or len(ttl) > len(str(MAX_TTL_SECONDS)) or not 1 <= int(ttl) <= MAX_TTL_SECONDS:
            raise ErrorResponse(HTTPStatus.BAD_REQUEST, {"message": "X-Metadata-Token-Ttl-Seconds is expected"})
        token = secrets.token_urlsafe(40)
        self._tokens[token] = self._now() + int(ttl)
        return web.Response(text=token)

    async def create_key(self, request: web.Request) -> web.Response:
        """Issue a temporary key; 401 without a valid token."""
        token = request.headers.get("X-Metadata-Token", "")
        if self._with_tokens and self._tokens.get(token, 0.0) <= self._now():
            raise ErrorResponse(HTTPStatus.UNAUTHORIZED, {"message": "X-Metadata-Token is missing or expired"})
        expires_at = self._now() + self._key_lifetime
        key = self._keys.issue_temporary(expires_at=expires_at)
        credential = {
            "access": key.ak,
            "secret": key.sk,
            "securitytoken": key.security_token,
            "expires_at": timestamp(expires_at),
        }
        return web.json_response({"credential": credential})
