"""Clients that harm a server that trusts them: slow, silent, broken and numerous ones."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Final

import aiohttp

from benchmarks.soak.site import USER

PAGES: Final = ("/", "/servers", "/servers?problem=any&sort=-speed", "/servers.csv", "/polls", "/config", "/-/ready")
BROKEN_REQUESTS: Final = (
    b"GET / HTTP/1.1\r\n",
    b"\x00\xff\x00\xff\r\n\r\n",
    b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100 + b"\r\n",
    b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nabc",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)
CLIENT_HELLO_START: Final = b"\x16\x03\x01\x02\x00"
"""The header of a TLS record that never comes."""

Client = Callable[[], Awaitable[None]]


class BadClients:
    """The bad clients of one exporter, each a coroutine that ends within about 15 seconds."""

    def __init__(self, port: int, tls: ssl.SSLContext, random: Random) -> None:
        self._port = port
        self._tls = tls
        self._random = random
        self._authorization = aiohttp.encode_basic_auth(*USER)

    def all(self) -> Sequence[Client]:
        """Return all kinds of bad clients."""
        return (
            self.read_slowly,
            self.never_read,
            self.stay_silent,
            self.open_many,
            self.send_broken_request,
            self.guess_password,
            self.view_pages,
            self.disconnect_early,
        )

    async def read_slowly(self) -> None:
        """Request /metrics and read some hundred bytes at a time."""
        async with self._connect() as (reader, writer):
            self._request(writer, "/metrics")
            for _ in range(self._random.randint(5, 50)):
                if not await reader.read(self._random.randint(1, 500)):
                    break
                await asyncio.sleep(0.2)

    async def never_read(self) -> None:
        """Request /metrics several times and read nothing."""
        async with self._connect() as (_, writer):
            for _ in range(5):
                self._request(writer, "/metrics")
            await asyncio.sleep(self._random.uniform(1, 14))

    async def stay_silent(self) -> None:
        """Begin a TLS handshake and never continue."""
        await self._hold(self._random.randint(1, 30), self._random.choice((b"", CLIENT_HELLO_START)))

    async def open_many(self) -> None:
        """Open hundreds of connections at the same time."""
        await self._hold(300, CLIENT_HELLO_START)

    async def send_broken_request(self) -> None:
        """Send a request that is not HTTP, is too large, or does not end."""
        async with self._connect() as (reader, writer):
            writer.write(self._random.choice(BROKEN_REQUESTS))
            async with asyncio.timeout(5):
                await reader.read()

    async def guess_password(self) -> None:
        """Send wrong passwords."""
        async with self._session() as session:
            for number in range(5):
                headers = {"Authorization": aiohttp.encode_basic_auth(USER[0], f"guess {number}")}
                await self._get(session, "/metrics", headers)

    async def view_pages(self) -> None:
        """Read every page, and one that does not exist."""
        async with self._session() as session:
            for path in (*PAGES, f"/{self._random.random()}"):
                await self._get(session, path, {"Authorization": self._authorization})

    async def disconnect_early(self) -> None:
        """Disconnect in the middle of responses."""
        for _ in range(5):
            async with self._connect() as (reader, writer):
                self._request(writer, "/metrics")
                await reader.read(1)

    async def _hold(self, number: int, sent: bytes) -> None:
        """Hold connections open for some seconds; close some of them with a reset."""
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(number):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                if self._random.random() < 0.5:  # noqa: PLR2004 - a share
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self._port))
                await asyncio.get_running_loop().sock_sendall(client, sent)
            await asyncio.sleep(self._random.uniform(1, 12))

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect over TLS; disconnect without a closing handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls, limit=2**12)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def _request(self, writer: asyncio.StreamWriter, path: str) -> None:
        lines = (f"GET {path} HTTP/1.1", "Host: a", f"Authorization: {self._authorization}", "", "")
        writer.write("\r\n".join(lines).encode())

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))

    async def _get(self, session: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> None:
        async with session.get(f"https://127.0.0.1:{self._port}{path}", headers=headers) as response:
            await response.read()
