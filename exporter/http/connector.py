"""Connections of one account, which record how far each request got, so that a timeout can say what took too long."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import aiohttp

from exporter.http.resolver import SystemResolver

MAX_HEADER_BYTES: Final = 32_768
"""Size limit of a response header; the header with a token of IAM can have 16,384 characters."""


class Stage(Enum):
    """What a request is waiting for."""

    LOOKUP = auto()
    TCP = auto()
    TLS = auto()
    PROXY = auto()
    HEADERS = auto()
    BODY = auto()


@dataclass(slots=True)
class Progress:
    """How far a request got."""

    stage: Stage = Stage.LOOKUP


PROGRESS: Final = ContextVar[Progress]("progress")
"""The progress of the request that the current task sends: aiohttp passes no such thing to its connector."""


class RecordingConnector(aiohttp.TCPConnector):
    """A connector that records the stage of each request.

    The methods with an underscore are aiohttp's own. If they change, a timeout is reported with an earlier stage.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as aiohttp has it
        """Open a connection, or take one from the pool."""
        connection = await super().connect(*args, **kwargs)
        PROGRESS.get().stage = Stage.HEADERS
        return connection

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        factory: Callable[[], Any] = args[0]
        progress = PROGRESS.get()
        progress.stage = Stage.TCP

        def create_protocol() -> Any:  # noqa: ANN401 - aiohttp's
            # asyncio calls this between the TCP connection and the TLS handshake.
            progress.stage = Stage.TLS
            return factory()

        created = await super()._wrap_create_connection(create_protocol, *args[1:], **kwargs)
        progress.stage = Stage.PROXY  # or the connection is complete, and `connect` returns at once
        return created

    async def _start_tls_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        PROGRESS.get().stage = Stage.TLS
        return await super()._start_tls_connection(*args, **kwargs)


@contextlib.asynccontextmanager
async def open_session(trust: ssl.SSLContext | bool, max_connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session, shared with no other account. `trust` is aiohttp's `ssl`."""
    connector = RecordingConnector(ssl=trust, limit=max_connections, resolver=SystemResolver())
    async with aiohttp.ClientSession(
        connector=connector,
        # A cookie of one response must not be sent with the next request.
        cookie_jar=aiohttp.DummyCookieJar(),
        # Otherwise aiohttp would read passwords from a .netrc. The transport finds the proxies.
        trust_env=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    ) as session:
        yield session
