"""The exporter put together: for each account a client and a poller; one server."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from exporter import revision
from exporter.accounts import Surroundings, account_client
from exporter.auth import Credentials
from exporter.clock import Clock
from exporter.exposition import Exposition
from exporter.families import collectors
from exporter.health import Health
from exporter.paging import Listing
from exporter.poller import Poller
from exporter.settings import Settings
from exporter.settings.quantities import parse_listen_place
from exporter.target import Poll, Target
from exporter.web import Place, create_app, inherited, serve
from exporter.web.toolkit import Watched


@dataclass(frozen=True)
class Service:
    """A running exporter: where it is reached, what it polls, and what it authenticates with."""

    urls: tuple[str, ...]
    targets: Sequence[Target]
    pollers: Sequence[Poller]
    credentials: Sequence[Credentials]


class _Publisher:
    """Counts each poll, and renders its snapshot before the next scrape asks for it."""

    def __init__(self, health: Health, exposition: Exposition, clock: Clock) -> None:
        self._health = health
        self._exposition = exposition
        self._clock = clock

    async def poll_ended(self, target: Target, poll: Poll, listing: Listing | None) -> None:
        """Take note of a poll."""
        self._health.poll_ended(target, poll, listing)
        await self._exposition.refresh(self._clock.time())


@contextlib.asynccontextmanager
async def running(settings: Settings, around: Surroundings) -> AsyncIterator[Service]:
    """Run the exporter while the context lasts; scrapes in flight at its end are finished.

    Raises ConfigurationError where an account has no credentials or the web configuration is unsound, and
    ListenError where an address cannot be had.
    """
    clock = around.clock
    targets = [Target(account) for account in settings.targets()]
    exposition = Exposition(collectors(settings.collector), targets)
    health = Health(targets, clock, exposition.series_dropped, revision=revision())
    publisher = _Publisher(health, exposition, clock)
    async with contextlib.AsyncExitStack() as stack:
        pollers = []
        credentials = []
        for target in targets:
            observer = health.of(target.name)
            client, found = await stack.enter_async_context(account_client(target.account, observer, around))
            observer.credentials = found
            credentials.append(found)
            pollers.append(Poller(target, client.page, clock, publisher, found.changed))
        web_config = await stack.enter_async_context(_web_config(settings, clock))
        app = create_app(exposition, health, targets, clock, lambda: settings, web_config)
        tls = web_config.tls if web_config else None
        urls = await stack.enter_async_context(serve(app, _places(settings, around), tls=tls))
        for poller in pollers:
            stack.push_async_callback(_end, asyncio.create_task(poller.run()))
        yield Service(urls, targets, pollers, credentials)


@contextlib.asynccontextmanager
async def _web_config(settings: Settings, clock: Clock) -> AsyncIterator[Watched | None]:
    """Read the web configuration, if there is one, and keep it current. Raises ConfigurationError."""
    path = settings.web.config_file
    async with Watched.opened(path, clock) if path else contextlib.nullcontext() as watched:
        yield watched


def _places(settings: Settings, around: Surroundings) -> Sequence[Place]:
    if settings.web.systemd_socket:
        return inherited(around.environ, os.getpid())
    return [parse_listen_place(address) for address in settings.web.listen_address]


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
