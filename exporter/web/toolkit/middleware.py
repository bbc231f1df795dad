"""What the file means for each request: a rate limit, users, headers."""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from exporter.web.toolkit.policy import Policy
from exporter.web.toolkit.users import CHALLENGE, TooManyWaiting

SOON: Final = 1
"""Seconds after which the passwords that wait have probably been checked."""


def screening(policy: Callable[[], Policy], exempt: Collection[str] = ()) -> Middleware:
    """Make what stands before every handler, that of paths which are not there included.

    The rate limit comes first, because checking a password is the dearest thing that a stranger can ask
    for. The paths in `exempt` are answered to everybody and take no token: an orchestrator must not
    conclude from a stranger's requests that the exporter is dead.
    """

    @web.middleware
    async def screened(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The route that was found, not the text of the path, which has more than one way to be written.
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in exempt:
            return await handler(request)
        current = policy()
        if current.bucket is not None and not current.bucket.take():
            raise web.HTTPTooManyRequests(text="Too many requests.\n")
        authorization = request.headers.get(hdrs.AUTHORIZATION, "")
        if current.users is not None:
            try:
                admitted = await current.users.admits(authorization, is_gone=lambda: request.transport is None)
            except TooManyWaiting:
                raise web.HTTPTooManyRequests(
                    text="Too many passwords wait to be checked.\n",
                    headers={hdrs.RETRY_AFTER: str(SOON)},
                ) from None
            if not admitted:
                raise web.HTTPUnauthorized(text="Unauthorized.\n", headers={hdrs.WWW_AUTHENTICATE: CHALLENGE})
        return await handler(request)

    return screened


def configured_headers(
    policy: Callable[[], Policy],
) -> Callable[[web.BaseRequest, web.StreamResponse], Awaitable[None]]:
    """Make what sets the configured headers on each response, over those of the exporter; a blank one is unset."""

    async def set_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
        for name, value in policy().config.http_server_config.headers.items():
            response.headers.popall(name, None)
            if value:
                response.headers[name] = value

    return set_headers
