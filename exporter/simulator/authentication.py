"""Authentication of requests by token or signature, and the permissions of the authenticated users."""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Final

from aiohttp import web

from exporter.simulator.errors import TOKEN_EXPIRED, bad_authentication, gateway_error, permission_denied
from exporter.simulator.signing import AccessKeys, SignedRequest
from exporter.simulator.tokens import Tokens, TokenStatus

LIST_SOURCES: Final = "sms:server:list"
LIST_TASKS: Final = "sms:server:listTask"
SHOW_TASK: Final = "sms:server:getTask"
LIST_ERRORS: Final = "sms:server:listErrors"
LIST_PROJECTS: Final = "sms:migproject:list"
SHOW_CONSISTENCY: Final = "sms:server:getConsistencyCheckResult"
SHOW_OVERVIEW: Final = "sms:server:overview"
ACTIONS: Final = (
    LIST_SOURCES,
    LIST_TASKS,
    SHOW_TASK,
    LIST_ERRORS,
    LIST_PROJECTS,
    SHOW_CONSISTENCY,
    SHOW_OVERVIEW,
)
"""The IAM actions that requests need."""


class BadAction(ValueError):
    """There is no such IAM action; the message lists all."""


class Permissions:
    """The IAM actions that no user may perform. Raise BadAction for an unknown one."""

    def __init__(self, denied: Iterable[str] = ()) -> None:
        self._denied: set[str] = set()
        for action in denied:
            self.deny(action)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the denied actions."""
        return iter(sorted(self._denied))

    def deny(self, action: str) -> None:
        """Deny an action to all users. Raise BadAction."""
        self._denied.add(_known(action))

    def allow(self, action: str) -> None:
        """Allow an action again. Raise BadAction."""
        self._denied.discard(_known(action))

    def check(self, action: str) -> None:
        """Raise ErrorResponse 403 if the action is denied."""
        if action in self._denied:
            raise permission_denied(action)


def _known(action: str) -> str:
    if action not in ACTIONS:
        raise BadAction(f"{action}: unknown IAM action; the actions are {', '.join(ACTIONS)}")
    return action


class Authenticator:
    """Checks the authentication of requests; `now` returns seconds since the epoch."""

    def __init__(
        self, tokens: Tokens, keys: AccessKeys, now: Callable[[], float], permissions: Permissions | None = None
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._now = now
        self._permissions = permissions or Permissions()

    async def authorize(self, request: web.Request, action: str) -> None:
        """Raise ErrorResponse if the request is not authenticated or its user may not perform the action."""
        await self.authenticate(request)
        self._permissions.check(action)

    async def authenticate(self, request: web.Request) -> None:
        """Raise ErrorResponse 401 if the request is not authenticated, 403 if its user has no permission at all."""
        if "Authorization" in request.headers:
            signed = SignedRequest(request.method, request.raw_path, request.headers, await request.read())
            self._keys.verify(signed, self._now())
            return
        status = self._tokens.status(request.headers.get("X-Auth-Token"), self._now())
        if status is TokenStatus.EXPIRED:
            raise gateway_error(HTTPStatus.UNAUTHORIZED, TOKEN_EXPIRED, "The token must be updated.")
        if status is TokenStatus.UNKNOWN:
            raise bad_authentication("decrypt token fail")
        if status is TokenStatus.NOT_PERMITTED:
            raise permission_denied()
