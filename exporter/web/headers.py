"""Headers of every response: nothing is sniffed, framed, or told of the software that answers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web

SAFE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        hdrs.SERVER: "sms-exporter",
    },
)
"""Where a page has its own, that stands."""


async def set_safe_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add what the response does not have."""
    for name, value in SAFE.items():
        response.headers.setdefault(name, value)
    # aiohttp writes its own and Python's version here.
    response.headers[hdrs.SERVER] = SAFE[hdrs.SERVER]
