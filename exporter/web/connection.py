"""A client's connection: how long it may take, how much it may send, and how its faults are answered."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

ACCESS_LOGGER: Final = "exporter.web.access"

access_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(ACCESS_LOGGER)


class AccessLogger(AbstractAccessLogger):
    """Writes our lines where aiohttp would write its own; where debug is off, it is asked for none."""

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return logging.getLogger(ACCESS_LOGGER).isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write a line; `time` is seconds."""
        access_log.debug(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            bytes=response.body_length,
            duration=round(time, 6),
            client=request.remote or "",
        )


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


log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

MOST_LINE_BYTES: Final = 8190
MOST_HEADER_FIELDS: Final = 64


@dataclass(frozen=True)
class Limits:
    """What a client is given. Times are seconds."""

    first_head: float = 10.0
    """From the connection to the end of the first request's head."""
    exchange: float = 90.0
    """From there until the answer is read and the next head is here; longer than any scrape's timeout."""
    idle: float = 75.0
    """From an answer to the end of the next head, after which the connection is closed in peace."""
    body: float = 1.0
    """In which a body that nobody asked for is read away, so that its sender sees the answer."""
    connections: int = 512
    """At once; the pollers need file descriptors, too."""


LIMITS: Final = Limits()


class Connection(web.RequestHandler):
    """aiohttp's side of a connection, with an end to everything.

    One timer does it, set anew at each head of a request: when it rings, the connection is cut, whether the
    client sends slowly, reads slowly, or is gone. A scrape so never waits longer for its reader.
    """

    def __init__(self, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle,
            access_log_class=AccessLogger,
            access_log=logging.getLogger(ACCESS_LOGGER),
            lingering_time=limits.body,
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_LINE_BYTES,
            max_headers=MOST_HEADER_FIELDS,
        )
        self._server = server
        self._limits = limits
        # aiohttp forgets its own once it has asked for the end, which an unread answer delays for ever.
        self._wire: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._wire = transport
        if isinstance(transport, asyncio.Transport):
            # An answer is finished when no buffer of ours has any of it: at the end of the process it would be lost.
            # 1 and not 0: TLS takes an empty buffer for a full one at 0.
            transport.set_write_buffer_limits(1)
        self._cut_after(self._limits.first_head)
        if len(self._server.connections) > self._limits.connections:
            log.debug("connection refused: there are too many")
            self._cut()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        self._wire = None
        super().connection_lost(exc)

    def head_read(self) -> None:
        """Give the client time for the answer, and for its next request."""
        self._cut_after(self._limits.exchange)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what went wrong in plain text.

        What a client sent is neither echoed nor logged: a header that cannot be parsed may be a password.
        """
        del message
        if isinstance(exc, ConnectionError):
            # Who left while being answered is no failure of ours; aiohttp takes it as a quiet end.
            raise exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("request failed", exc_info=exc)
        else:
            log.debug("bad request", client=request.remote or "", reason=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another answer is sent already")
        return _plain(status)

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; aiohttp's own to an `Expect` that it does not know would echo it."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = _plain(resp.status)
        return await super().finish_response(request, resp, start_time)

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cut)

    def _cut(self) -> None:
        if isinstance(self._wire, asyncio.Transport):
            self._wire.abort()


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that a head is read."""
    if isinstance(request.protocol, Connection):
        request.protocol.head_read()
    return await handler(request)


def _plain(status: int) -> web.Response:
    response = web.Response(status=status, text=f"{HTTPStatus(status).phrase}.\n", headers=SAFE)
    response.force_close()
    return response
