"""Accept connections within limits of number, time and memory, with or without TLS."""

import asyncio
import contextlib
import errno
import math
import resource
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from functools import partial
from typing import Final

from exporter.logs import get_logger
from exporter.web.connection import Connection

MAX_ACCEPTS_PER_TURN: Final = 64
"""Connections accepted before other work of the event loop gets its turn."""
ACCEPT_RETRY_SECONDS: Final = 1.0
"""How long nothing is accepted after the process ran out of file descriptors or memory."""
WARNING_INTERVAL_SECONDS: Final = 60.0
HANDSHAKE_TIMEOUT_SECONDS: Final = 10.0
"""From the start of a connection to the end of the TLS handshake."""
FIRST_REQUEST_GRACE_SECONDS: Final = 0.5
"""When the server stops, how long connections that have not sent a request yet may still send it."""
TLS_BUFFER_BYTES: Final = 16 * 1024
"""One TLS record. asyncio's default is 256 KiB for each connection."""
HTTP_ON_TLS: Final = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
"""The words of Go's server, which Prometheus's exporters send."""

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = get_logger(__name__)


def max_connections(wanted: int) -> int:
    """Return the maximum number of connections: `wanted`, but at most half of the process's file descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft // 2))


class Acceptor:
    """Accepts connections on any number of sockets and closes the oldest idle ones above a maximum.

    A connection counts from the moment it is accepted, so half-open ones cannot exhaust memory or descriptors.
    They are closed first: a client that completes a request quickly is served even while others only connect.
    """

    def __init__(
        self,
        new_connection: Callable[[], Connection],
        tls: ssl.SSLContext | None,
        maximum: int,
    ) -> None:
        self._new_connection = new_connection
        self._tls = tls
        self._maximum = maximum
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._clients: dict[asyncio.Task[None], Connection] = {}
        self._warn_after = dict.fromkeys(("connections", "descriptors"), 0.0)

    def start(self, listener: socket.socket) -> None:
        """Accept connections from a listening socket."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._loop.add_reader(listener, self._accept, listener)

    async def stop(self) -> None:
        """Accept no further connections, and wait a moment for the first request of those just accepted."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            # Clients in the queue are already connected and have probably sent their request.
            self._accept(listener)
        self._listeners.clear()
        if waiting := [client.first_request for client in self._clients.values() if not client.first_request.done()]:
            await asyncio.wait(waiting, timeout=FIRST_REQUEST_GRACE_SECONDS)

    def abort(self) -> None:
        """Abort all connections."""
        for client in self._clients:
            client.cancel()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(MAX_ACCEPTS_PER_TURN):
            try:
                accepted, _ = listener.accept()
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause(listener, error)
                return
            accepted.setblocking(False)
            if len(self._clients) >= self._maximum and not self._close_idle():
                log.debug("connection refused: too many connections")
                accepted.close()
                continue
            connection = self._new_connection()
            client = self._loop.create_task(self._serve(accepted, connection))
            self._clients[client] = connection
            client.add_done_callback(partial(self._forget, accepted))

    def _forget(self, accepted: socket.socket, client: asyncio.Task[None]) -> None:
        # Here and not in the task: a task that is cancelled before its first step executes nothing.
        accepted.close()
        if connection := self._clients.pop(client, None):
            connection.first_request.cancel()

    def _close_idle(self) -> bool:
        """Close the oldest connection without a request in progress. Return False if there is none."""
        if self._may_warn("connections"):
            log.warning("too many connections: closing the oldest idle ones", maximum=self._maximum)
        for client, connection in self._clients.items():
            if not connection.has_request:
                client.cancel()
                # Removed here, so that the next turn does not choose it again.
                del self._clients[client]
                return True
        return False

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Stop accepting for a moment: the socket stays readable, so the event loop would try again at once."""
        if self._may_warn("descriptors"):
            log.warning("cannot accept connections", err=error.strerror, retry_seconds=ACCEPT_RETRY_SECONDS)
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_RETRY_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _may_warn(self, kind: str) -> bool:
        now = self._loop.time()
        if now < self._warn_after[kind]:
            return False
        self._warn_after[kind] = now + WARNING_INTERVAL_SECONDS
        return True

    async def _serve(self, accepted: socket.socket, connection: Connection) -> None:
        """Serve one connection until it is closed; cancelling this aborts it."""
        transport: asyncio.Transport | None = None
        try:
            protocol: Connection | _TlsProtocol = connection
            if self._tls is not None:
                deadline = self._loop.time() + HANDSHAKE_TIMEOUT_SECONDS
                if not await self._starts_tls(accepted, deadline):
                    return
                protocol = _TlsProtocol(
                    self._loop, connection, self._tls, max(1, math.ceil(deadline - self._loop.time()))
                )
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, accepted)
            await protocol.closed
        except OSError as error:
            log.debug("connection failed", reason=error.strerror or type(error).__name__)
        finally:
            if transport is not None:
                transport.abort()

    async def _starts_tls(self, accepted: socket.socket, deadline: float) -> bool:
        """Wait for the first byte, before memory for TLS is allocated. Return whether it can belong to TLS."""
        async with asyncio.timeout_at(deadline):
            await self._readable(accepted)
        first = accepted.recv(1, socket.MSG_PEEK)
        if not first.isalpha():
            return bool(first)
        # A close with unread data would reset the connection, and the client might lose the response.
        accepted.recv(TLS_BUFFER_BYTES)
        with contextlib.suppress(BlockingIOError):
            accepted.send(HTTP_ON_TLS)
        return False

    async def _readable(self, accepted: socket.socket) -> None:
        readable = asyncio.Event()
        self._loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(accepted)


class _TlsProtocol(SSLProtocol):
    """asyncio's TLS with small buffers. It lies between the socket's transport and the HTTP connection."""

    max_size = TLS_BUFFER_BYTES

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: asyncio.BaseProtocol,
        context: ssl.SSLContext,
        handshake_timeout: int,
    ) -> None:
        self.closed: asyncio.Future[None] = loop.create_future()
        super().__init__(
            loop,
            connection,
            context,
            waiter=None,  # type: ignore[arg-type]  # asyncio's own default, which typeshed lacks
            server_side=True,
            ssl_handshake_timeout=handshake_timeout,
            ssl_shutdown_timeout=math.ceil(HANDSHAKE_TIMEOUT_SECONDS),
        )

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is not None and self._transport is not None:
            # OpenSSL has written an alert that says why, which asyncio would discard.
            self._process_outgoing()  # type: ignore[attr-defined]  # not in typeshed
        super()._on_handshake_complete(handshake_exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report the end, also of a connection whose handshake never completed."""
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)
