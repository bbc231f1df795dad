"""One client connection: its time limits, its size limits, the security headers, and the answers to bad requests."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

from exporter.logs import get_logger

ACCESS_LOGGER: Final = "exporter.web.access"

log = get_logger(__name__)
access_log = get_logger(ACCESS_LOGGER)


class AccessLogger(AbstractAccessLogger):
    """Log one line per request at level debug, instead of aiohttp's own access log."""

    @property
    def enabled(self) -> bool:
        """Whether aiohttp should call `log` at all."""
        return logging.getLogger(ACCESS_LOGGER).isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log a request that took `time` seconds."""
        access_log.debug(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            bytes=response.body_length,
            duration=round(time, 6),
            client=request.remote or "",
        )


SECURITY_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        hdrs.SERVER: "sms-exporter",
    },
)
"""The headers of every response that does not set its own value."""


async def set_security_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the security headers that a response lacks."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # aiohttp has already set its own version and Python's.
    response.headers[hdrs.SERVER] = SECURITY_HEADERS[hdrs.SERVER]


MAX_LINE_BYTES: Final = 8190
MAX_HEADER_FIELDS: Final = 64


@dataclass(frozen=True)
class Limits:
    """The limits of client connections. Times are seconds."""

    first_head: float = 10.0
    """From the start of the connection to the end of the first request's headers."""
    exchange: float = 90.0
    """From a request's headers to those of the next request, including the time in which the client reads the
    response; longer than any scrape timeout."""
    stall: float = 10.0
    """Maximum time in which a client reads nothing of a response that it has not read completely."""
    idle: float = 75.0
    """From a response to the headers of the next request; then the connection is closed without an error."""
    body: float = 1.0
    """For reading and discarding a request body that no handler wants, so that the client sees the response."""
    shutdown: float = 8.0
    """From the request to stop until all connections are aborted, less than the 10 seconds that Docker waits."""
    connections: int = 512
    """Maximum number of open connections, at most half of the process's file descriptors."""


DEFAULT_LIMITS: Final = Limits()


class Connection(web.RequestHandler):
    """aiohttp's request handler with a time limit for everything.

    One timer is restarted at the headers of each request. When it expires the connection is aborted, whether
    the client sends slowly, reads slowly, or has disappeared, so a slow client cannot hold a scrape for ever.
    Another timer runs while a response waits for the client to read it, so that clients that never read do not
    hold all scrapes for the time of a slow one.
    """

    def __init__(self, server: web.Server, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the connection is closed."""
        self.first_request: asyncio.Future[None] = loop.create_future()
        """Done when the headers of the first request have been read."""
        self.has_request = False
        """Whether a request is in progress."""
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle,
            access_log_class=AccessLogger,
            access_log=logging.getLogger(ACCESS_LOGGER),
            lingering_time=limits.body,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADER_FIELDS,
        )
        self._limits = limits
        # aiohttp drops its own reference when it closes the connection, which an unread response can delay for ever.
        self._raw_transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer."""
        super().connection_made(transport)
        self._raw_transport = transport
        if isinstance(transport, asyncio.Transport):
            # A response counts as sent only when no buffer of this process holds a part of it: such a part would be
            # lost when the process ends. 1 and not 0: at 0, asyncio's TLS treats an empty buffer as full.
            transport.set_write_buffer_limits(1)
        self._abort_after(self._limits.first_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the timers."""
        if self._timer is not None:
            self._timer.cancel()
        self._stop_stall_timer()
        self._raw_transport = None
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Start the timer of a response that waits for the client to read."""
        super().pause_writing()
        self._watch_unsent(self._unsent_bytes())

    def resume_writing(self) -> None:
        """Stop that timer."""
        self._stop_stall_timer()
        super().resume_writing()

    def start_exchange(self) -> None:
        """Restart the timer: the headers of a request have been read."""
        self.has_request = True
        if not self.first_request.done():
            self.first_request.set_result(None)
        self._abort_after(self._limits.exchange)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a plain-text error response.

        What the client sent is neither echoed nor logged: a header that cannot be parsed may be a password.
        """
        del message
        if isinstance(exc, ConnectionError):
            # The client disconnected, which is not our error; aiohttp handles it without a log line.
            raise exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("request failed", exc_info=exc)
        else:
            log.debug("bad request", client=request.remote or "", reason=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another response has been sent")
        return _plain_response(status)

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; replace aiohttp's response to an unknown `Expect` header, which would echo it."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = _plain_response(resp.status)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.has_request = False

    def _abort_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._abort)

    def _watch_unsent(self, before: int) -> None:
        """Abort the connection if it still has `before` or more unsent bytes after the time limit."""

        def check() -> None:
            unsent = self._unsent_bytes()
            if unsent < before:
                self._watch_unsent(unsent)
            else:
                self._abort()

        self._stall_timer = asyncio.get_running_loop().call_later(self._limits.stall, check)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _unsent_bytes(self) -> int:
        return self._raw_transport.get_write_buffer_size() if isinstance(self._raw_transport, asyncio.Transport) else 0

    def _abort(self) -> None:
        if isinstance(self._raw_transport, asyncio.Transport):
            self._raw_transport.abort()


@web.middleware
async def limit_exchange_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Restart the connection's timer at each request."""
    if isinstance(request.protocol, Connection):
        request.protocol.start_exchange()
    return await handler(request)


def _plain_response(status: int) -> web.Response:
    response = web.Response(status=status, text=f"{HTTPStatus(status).phrase}.\n", headers=SECURITY_HEADERS)
    response.force_close()
    return response
