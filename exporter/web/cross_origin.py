"""Reject requests that another site makes a browser send, such as a form that posts to /-/reload."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

SEC_FETCH_SITE: Final = "Sec-Fetch-Site"


def require_same_origin(handler: Handler) -> Handler:
    """Return a handler that answers 403 to a request from a page of another origin."""

    async def checked(request: web.Request) -> web.StreamResponse:
        if _is_cross_origin(request):
            raise web.HTTPForbidden(text="Cross-origin request rejected.\n")
        return await handler(request)

    return checked


def _is_cross_origin(request: web.Request) -> bool:
    """Decide as Go's http.CrossOriginProtection: by Sec-Fetch-Site, or by Origin and Host in older browsers."""
    if site := request.headers.get(SEC_FETCH_SITE):
        # "none" is a request that the user has started, for example from the address bar.
        return site not in {"same-origin", "none"}
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        # Not a browser.
        return False
    try:
        return URL(origin).authority != request.host
    except ValueError:
        return True
