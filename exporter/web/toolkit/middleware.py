"""The web configuration applied to each request: rate limit, users and headers."""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.web.toolkit.policy import Policy
from exporter.web.toolkit.users import CHALLENGE, TooManyWaiting

RETRY_AFTER_SECONDS: Final = 1
"""By then the waiting passwords have probably been checked."""


def access_control(policy: Callable[[], Policy], exempt: Collection[str] = ()) -> Middleware:
    """Return the middleware that runs before every handler, including the one for unknown paths.

    The rate limit is applied first, because checking a password is the most expensive request that a stranger can
    make. Requests to the paths in `exempt` need no password and take no token: otherwise a stranger could make an
    orchestrator restart the exporter.
    """

    @web.middleware
    async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The route and not the path of the request, which can be written in several ways.
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in exempt:
            return await handler(request)
        current = policy()
        if current.bucket is not None and not current.bucket.take():
            raise web.HTTPTooManyRequests(text="Too many requests.\n")
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if current.users is not None:
            try:
                is_user = await current.users.authenticate(authorization, is_gone=lambda: request.transport is None)
            except TooManyWaiting:
                raise web.HTTPTooManyRequests(
                    text="Too many passwords are waiting to be checked.\n",
                    headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_SECONDS)},
                ) from None
            if not is_user:
                raise web.HTTPUnauthorized(text="Unauthorized.\n", headers={hdrs.WWW_AUTHENTICATE: CHALLENGE})
        return await handler(request)

    return check_access


def configured_headers(
    policy: Callable[[], Policy],
) -> Callable[[web.BaseRequest, web.StreamResponse], Awaitable[None]]:
    """Return the signal handler that sets the configured headers on each response; an empty one is removed."""

    async def set_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
        for name, value in policy().config.http_server_config.headers.items():
            response.headers.popall(name, None)
            if value:
                response.headers[name] = value

    return set_headers
