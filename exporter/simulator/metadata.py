"""A stand-in for the metadata service of an ECS whose agency gives it temporary keys."""

import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from exporter.simulator.answers import Refusal
from exporter.simulator.iam import timestamp
from exporter.simulator.signing import AccessKeys

LONGEST_TTL: Final = 21_600


class Metadata:
    """Serves temporary keys that live `key_lifetime` seconds; `now` gives seconds since the epoch.

    Without `with_tokens` it is an older service: it knows no token and asks for none.
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
        """Give the routes of the metadata service."""
        return [
            web.put("/meta-data/latest/api/token", self.create_token),
            web.get("/openstack/latest/securitykey", self.give_key),
        ]

    async def create_token(self, request: web.Request) -> web.Response:
        """Give a token, as plain text, that lives as long as `X-Metadata-Token-Ttl-Seconds` says."""
        if not self._with_tokens:
            raise web.HTTPNotFound
        ttl = request.headers.get("X-Metadata-Token-Ttl-Seconds", "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= LONGEST_TTL:
            raise Refusal(HTTPStatus.BAD_REQUEST, {"message": "X-Metadata-Token-Ttl-Seconds is expected"})
        token = secrets.token_urlsafe(40)
        self._tokens[token] = self._now() + int(ttl)
        return web.Response(text=token)

    async def give_key(self, request: web.Request) -> web.Response:
        """Give new temporary keys; 401 without a token that was given here."""
        token = request.headers.get("X-Metadata-Token", "")
        if self._with_tokens and self._tokens.get(token, 0.0) <= self._now():
            raise Refusal(HTTPStatus.UNAUTHORIZED, {"message": "X-Metadata-Token is missing or expired"})
        expires_at = self._now() + self._key_lifetime
        key = self._keys.issue_temporary(expires_at=expires_at)
        credential = {
            "access": key.ak,
            "secret": key.sk,
            "securitytoken": key.security_token,
            "expires_at": timestamp(expires_at),
        }
        return web.json_response({"credential": credential})
