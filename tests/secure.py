"""An exporter with TLS and users: certificates, a web configuration file, clients."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import trustme
import yaml

from exporter.service import Service
from exporter.simulator import Simulator
from exporter.web.toolkit.watching import CHECK_INTERVAL_SECONDS
from support import FakeClock, exporting

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = {"prometheus": HASH}
RIGHT = ("prometheus", PASSWORD)

Answer = tuple[int, str, Mapping[str, str]]
REFUSED: Answer = (0, "", {})
"""Exceptions that a client sees when its connection is closed without a response."""


@dataclass
class Site:
    """The folder of a web configuration file, and the CAs of its certificates."""

    folder: Path
    authority: trustme.CA
    clients: trustme.CA

    @property
    def file(self) -> Path:
        return self.folder / "web.yml"

    def write(self, **sections: object) -> None:
        """Write the web configuration file."""
        self.file.write_text(yaml.safe_dump(sections))

    def certify(self, host: str = "127.0.0.1") -> dict[str, Any]:
        """Write a new server certificate and key; return the options that name them."""
        issued = self.authority.issue_cert(host)
        (self.folder / "server.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        (self.folder / "server.key").write_bytes(issued.private_key_pem.bytes())
        self.clients.cert_pem.write_to_path(self.folder / "clients.crt")
        self.authority.cert_pem.write_to_path(self.folder / "authority.crt")
        return {"cert_file": "server.crt", "key_file": "server.key"}

    def client(self, identity: str | None = None, *, issuer: trustme.CA | None = None) -> ssl.SSLContext:
        """Build the TLS context of a client that trusts the server; with `identity`, it has a certificate."""
        context = ssl.create_default_context(cadata=self.authority.cert_pem.bytes().decode())
        if identity is not None:
            (issuer or self.clients).issue_cert(identity).configure_cert(context)
        return context

    @contextlib.asynccontextmanager
    async def exporting(self, clock: FakeClock, *, servers: int = 3, **web: object) -> AsyncIterator[Service]:
        """Run an exporter with this web configuration, after its first poll."""
        options = {"listen_address": ("127.0.0.1:0",), "config_file": self.file} | web
        async with (
            Simulator(servers=servers, clock=clock) as simulator,
            exporting(simulator, clock, web=options) as service,
        ):
            await clock.until_asleep(2)
            yield service

    async def look(self, clock: FakeClock) -> None:
        """Let the exporter check its files as often as needed to accept a change."""
        for _ in range(2):
            await self.glance(clock)

    async def glance(self, clock: FakeClock) -> None:
        """Let the exporter check its files once."""
        clock.advance(CHECK_INTERVAL_SECONDS)
        await clock.until_asleep(2)


async def ask(
    url: str,
    tls: ssl.SSLContext | None = None,
    auth: tuple[str, str] | None = None,
    method: str = "GET",
    **headers: str,
) -> Answer:
    """Return the status, text and headers of a response on a new connection."""
    if auth is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*auth)
    try:
        async with (
            asyncio.timeout(20),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True)) as session,
            session.request(method, url, headers=headers, allow_redirects=False) as response,
        ):
            return response.status, await response.text(), response.headers
    except (aiohttp.ClientError, ssl.SSLError, ConnectionError):
        return REFUSED
