"""Tokens that IAM issues for a user's password."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from yarl import URL

from exporter.auth.renewal import Lease, parse_expiry
from exporter.auth.secret import Secret, clean_secret
from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse
from exporter.http.api_errors import api_error
from exporter.http.transport import Request, Response, Transport
from exporter.language import Translatable

REFUSED_PASSWORD_PAUSE_SECONDS: Final = 240.0
"""How long a password that IAM refused is not sent again: wrong ones lock the user."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: a project by ID or name, or else the whole account of the user."""

    project_id: str | None = None
    project_name: str | None = None

    def as_json(self, domain: str) -> dict[str, Any]:
        """Return the scope as IAM reads it."""
        if self.project_id:
            return {"project": {"id": self.project_id}}
        if self.project_name:
            return {"project": {"name": self.project_name, "domain": {"name": domain}}}
        return {"domain": {"name": domain}}


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user and the account (domain) that it belongs to."""

    name: str
    domain: str


class _Body(msgspec.Struct):
    class Token(msgspec.Struct):
        expires_at: str

    token: Token


class TokenIssuer:
    """IAM, which issues tokens for a password."""

    def __init__(
        self,
        user: User,
        password: Secret,
        scope: Scope,
        source: Translatable,
        *,
        iam_url: str,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self.source = source
        self._user = user
        self._password = password
        self._scope = scope
        self._url = URL(f"{iam_url}/v3/auth/tokens?nocatalog=true")
        self._transport = transport
        self._clock = clock
        self._refused: str | None = None
        # By the monotonic clock: changing the wall clock must not send the password again.
        self._refused_until = 0.0

    async def identity(self) -> tuple[str, ...]:
        """Return the address of IAM, the user and the password."""
        return str(self._url), self._user.domain, self._user.name, await self._password.read()

    async def issue(self) -> Lease[str]:
        """Return a new token. Raise AuthError if IAM refuses the password, now or a moment ago."""
        password = await self._password.read()
        if password == self._refused and self._clock.monotonic() < self._refused_until:
            raise AuthError("IAM refused this password a moment ago; it is not sent again so soon")
        response = await self._transport.send(self._request(password))
        if response.status == HTTPStatus.CREATED:
            return _lease(response)
        error = api_error(response, now=self._clock.time())
        if not isinstance(error, AuthError):
            raise error
        self._refused = password
        self._refused_until = self._clock.monotonic() + REFUSED_PASSWORD_PAUSE_SECONDS
        raise AuthError(
            f"IAM refused the password of user {self._user.name}: {error.message}",
            hint=Translatable("check auth.user-name, auth.domain-name and the password; wrong ones lock the user"),
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        )

    def _request(self, password: str) -> Request:
        domain = {"name": self._user.domain}
        user = {"name": self._user.name, "password": password, "domain": domain}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": self._scope.as_json(self._user.domain),
        }
        body = msgspec.json.encode({"auth": auth})
        return Request("POST", self._url, {"Content-Type": "application/json"}, body, secrets=(password,))


def _lease(response: Response) -> Lease[str]:
    token = response.headers.get("X-Subject-Token", "")
    try:
        expires_at = msgspec.json.decode(response.body, type=_Body).token.expires_at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        token, expires_at = "", ""
    if not token:
        # The body of such an answer may contain anything, so it is not part of the message.
        raise BadResponse(
            "IAM answered 201 without a token and its expiry", hint=Translatable("check iam.endpoint")
        ) from None
    return Lease(clean_secret("the token of IAM", token), parse_expiry(Translatable("IAM"), expires_at))
