"""Reject requests that another site makes a browser send, such as a form that posts to /-/reload."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from yarl import URL

SAFE_METHODS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
SEC_FETCH_SITE: Final = "Sec-Fetch-Site"


@web.middleware
async def reject_cross_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to a request that changes something and comes from a page of another origin."""
    if request.method not in SAFE_METHODS and _is_cross_origin(request):
        raise web.HTTPForbidden(text="Cross-origin request rejected.\n")
    return await handler(request)


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
