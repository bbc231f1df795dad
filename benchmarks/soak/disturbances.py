"""What disturbs the exporter during a soak: faults of the API, changes of every file it reads, and bad clients."""

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import aiohttp

from benchmarks.soak.apis import Api
from benchmarks.soak.clients import BadClients
from benchmarks.soak.site import USER, Site

FAULTS: Final = (
    "latency=0.5",
    "latency=3",
    "token-expiry",
    "throttled",
    "throttled=1",
    "throttled-until=2",
    "server-error",
    "server-error,times=1",
    "bad-gateway",
    "forbidden",
    "unauthorized",
    "html",
    "redirect=http://127.0.0.1:9",
    "reset",
    "hang",
    "endless-body",
    "row-flood=20000",
    "echo",
    "hang-before-body",
    "hang-mid-body",
    "reset-mid-body",
    "drip=0.01",
    "truncated",
    "wrong-types",
    "short-page",
    "count-changes",
    "duplicates-across-pages",
    "duplicates-within-page",
    "moved",
    "page-size=7",
    "short-first-page=3",
    "ignored-offset",
    "unreachable-count",
    "deep-nesting",
    "deep-nesting=20000",
    "empty-list",
    "long-token",
    "clock-skew=120",
    "server-error,api=iam",
    "hang,api=iam",
    "throttled=1,api=iam",
    "reset,api=metadata",
    "hang,api=metadata",
)
"""Every kind of fault of the simulator."""

SERVERS: Final = 150
"""Servers of each account at rest."""
MAX_BAD_CLIENTS: Final = 16
"""Concurrent bad clients: fewer than the concurrent scrapes that the exporter allows."""


@dataclass
class Counts:
    """How many disturbances there were, by kind."""

    faults: set[str] = field(default_factory=set)
    by_kind: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str) -> None:
        """Count a disturbance."""
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1


class Disturbances:
    """Disturbs an exporter, in the order and with the pauses that `random` chooses."""

    def __init__(self, apis: Mapping[str, Api], site: Site, url: str, pid: int, random: Random) -> None:
        self.counts = Counts()
        self._apis = apis
        self._site = site
        self._url = url
        self._pid = pid
        self._random = random
        self._tls: ssl.SSLContext = site.client()
        self._clients = BadClients(int(url.rpartition(":")[2]), self._tls, random)
        # Every fault occurs once before any occurs again.
        self._faults: list[str] = []

    async def run(self, seconds: float) -> None:
        """Disturb the exporter for a time, then undo everything."""
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    for name in self._apis:
                        if name != "steady":
                            group.create_task(self._break_api(session, name))
                        group.create_task(self._change_fleet(session, name))
                    for disturb in (self._reload, self._swap_secrets, self._swap_certificates):
                        group.create_task(disturb())
                    for _ in range(MAX_BAD_CLIENTS):
                        group.create_task(self._misbehave())
            await self._undo(session)

    async def _break_api(self, session: aiohttp.ClientSession, name: str) -> None:
        api = self._apis[name]
        while True:
            if not self._faults:
                self._faults = self._random.sample(FAULTS, len(FAULTS))
            fault = self._faults.pop()
            self.counts.faults.add(fault)
            self.counts.add("faults of the API")
            await api.control(session, "POST", "faults", fault=fault)
            await self._pause(1, 8)
            await api.control(session, "DELETE", "faults")
            await api.control(session, "POST", "tokens/restore")
            await self._pause(1, 8)

    async def _change_fleet(self, session: aiohttp.ClientSession, name: str) -> None:
        while True:
            await self._apis[name].control(session, "POST", "servers", count=self._random.randint(0, 2 * SERVERS))
            self.counts.add("changes of the number of servers")
            await self._pause(3, 15)

    async def _reload(self) -> None:
        while True:
            is_usable = self._random.random() < 0.7  # noqa: PLR2004 - a share
            if is_usable:
                self._site.configure(self._random)
            else:
                self._site.break_configuration(self._random)
            await self._request_reload(expected=200 if is_usable else 500)
            await self._pause(2, 8)

    async def _swap_secrets(self) -> None:
        while True:
            self._site.swap_token(self._random.randint(0, 1))
            self._site.swap_key(self._random.randint(0, 1))
            self.counts.add("swaps of secrets")
            await self._pause(2, 8)
            if self._random.random() < 0.3:  # noqa: PLR2004 - a share
                self._site.break_token()
                await self._pause(1, 4)

    async def _swap_certificates(self) -> None:
        while True:
            await self._pause(3, 12)
            if self._random.random() < 0.3:  # noqa: PLR2004 - a share
                self._site.break_certificate()
                await self._pause(1, 5)
            self._site.swap_certificate()
            self._site.write_web_config(**{"X-Frame-Options": self._random.choice(("deny", "sameorigin"))})
            self.counts.add("swaps of the certificate")

    async def _misbehave(self) -> None:
        kinds = self._clients.all()
        while True:
            # Hundreds of connections at once, but not from all clients at the same time.
            client = self._random.choices(
                kinds, weights=[1 if kind == self._clients.open_many else 8 for kind in kinds]
            )[0]
            self.counts.add("bad clients")
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError):
                await client()
            await self._pause(0.5, 3)

    async def _request_reload(self, *, expected: int) -> None:
        """Reload by a signal or a request; the response to a request must have the expected status."""
        self.counts.add("reloads")
        if self._random.random() < 0.5:  # noqa: PLR2004 - a share
            os.kill(self._pid, signal.SIGHUP)
            return
        headers = {"Authorization": aiohttp.encode_basic_auth(*USER)}
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as session,
            session.post(f"{self._url}/-/reload") as response,
        ):
            text = await response.text()
            if response.status != expected:
                raise RuntimeError(f"a reload ended with status {response.status} instead of {expected}: {text}")

    async def _undo(self, session: aiohttp.ClientSession) -> None:
        """Remove all disturbances."""
        for api in self._apis.values():
            await api.control(session, "DELETE", "faults")
            await api.control(session, "POST", "tokens/restore")
            await api.control(session, "POST", "servers", count=SERVERS)
        self._site.swap_token(0)
        self._site.swap_key(0)
        self._site.swap_certificate()
        self._site.configure()
        os.kill(self._pid, signal.SIGHUP)

    async def _pause(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._random.uniform(shortest, longest))
