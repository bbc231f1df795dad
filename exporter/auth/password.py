"""Tokens that IAM sells for a user's password."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from yarl import URL

from exporter.auth.credentials import TOKEN_HEADER, Secret, digest
from exporter.auth.renewal import Lease, Renewed, Term
from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse
from exporter.http.api_errors import api_error
from exporter.http.transport import Request, Response, Transport

HOLD: Final = 240.0
"""Seconds in which a password that IAM refused is not sent again: wrong ones lock the user."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: a project by id or name, else the whole account of the user."""

    project_id: str | None = None
    project_name: str | None = None

    def as_json(self, domain: str) -> dict[str, Any]:
        """Give it as IAM reads it."""
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
        expires_at: datetime

    token: Token


class PasswordCredentials:
    """Tokens bought with a password, renewed before they expire and once when one is refused."""

    def __init__(
        self,
        user: User,
        password: Secret,
        scope: Scope,
        source: str,
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
        self._tokens = Renewed(self._buy, clock)
        self._last_read: str | None = None
        self._refused: str | None = None
        # By the monotonic clock: whoever sets the other one must not have the password sent again.
        self._refused_until = 0.0

    @property
    def term(self) -> Term | None:
        """That of the token in use."""
        return self._tokens.term

    async def headers(self, request: Request) -> Mapping[str, str]:
        """Give a token that is valid, bought if need be."""
        del request
        return {TOKEN_HEADER: await self._tokens.get()}

    async def refused(self, headers: Mapping[str, str]) -> bool:
        """Forget the token; another can be bought."""
        self._tokens.drop(headers[TOKEN_HEADER])
        return True

    def changed(self) -> bool:
        """Tell whether the password is another than the one that was last used."""
        try:
            return self._password.read() != self._last_read
        except AuthError:
            return False

    async def fingerprint(self) -> str | None:
        """Return a digest of the user and the password."""
        try:
            return digest(str(self._url), self._user.domain, self._user.name, self._password.read())
        except AuthError:
            return None

    async def _buy(self) -> Lease[str]:
        self._last_read = None
        password = self._last_read = self._password.read()
        if password == self._refused and self._clock.monotonic() < self._refused_until:
            raise AuthError("IAM refused this password a moment ago; it is not sent again so soon")
        response = await self._transport.send(self._request(password))
        if response.status != HTTPStatus.CREATED:
            error = api_error(response, now=self._clock.time())
            if isinstance(error, AuthError):
                self._refused, self._refused_until = password, self._clock.monotonic() + HOLD
                raise AuthError(
                    f"IAM refused the password of user {self._user.name}: {error.message}",
                    hint="check auth.user-name, auth.domain-name and the password; wrong ones lock the user",
                    status=error.status,
                    code=error.code,
                    request_id=error.request_id,
                ) from None
            raise error
        return _lease(response)

    def _request(self, password: str) -> Request:
        domain = {"name": self._user.domain}
        user = {"name": self._user.name, "password": password, "domain": domain}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": self._scope.as_json(self._user.domain),
        }
        return Request("POST", self._url, {"Content-Type": "application/json"}, msgspec.json.encode({"auth": auth}))


def _lease(response: Response) -> Lease[str]:
    token = response.headers.get("X-Subject-Token", "")
    try:
        expires_at = msgspec.json.decode(response.body, type=_Body).token.expires_at.timestamp()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        token, expires_at = "", 0.0
    if not token:
        # The body of such an answer may hold anything: it is no cause to show.
        raise BadResponse("IAM answered 201 without a token and its end", hint="check iam.endpoint") from None
    return Lease(token, expires_at)
