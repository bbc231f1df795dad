"""The exporter put together: for each account a session, credentials, a client and a poller; one server."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from exporter import revision
from exporter.auth import Credentials, find_credentials
from exporter.client import RetryObserver, SourcesClient
from exporter.clock import Clock
from exporter.errors import AuthError, ConfigurationError
from exporter.exposition import Exposition
from exporter.families import collectors
from exporter.health import Health
from exporter.paging import Listing
from exporter.poller import Poller
from exporter.settings import AccountSettings, ApiSettings, Settings
from exporter.settings.quantities import parse_listen_address
from exporter.target import Poll, Target
from exporter.transport import Api, Limits, Observer, Transport, Unobserved
from exporter.web import create_app, serve


@dataclass(frozen=True)
class Service:
    """A running exporter: where it is reached, what it polls, and what it authenticates with."""

    urls: tuple[str, ...]
    targets: Sequence[Target]
    pollers: Sequence[Poller]
    credentials: Sequence[Credentials]


@dataclass(frozen=True)
class Surroundings:
    """What the process finds itself in: time, and where credentials are looked for that no option gives."""

    clock: Clock
    environ: Mapping[str, str]
    home: Path


class ClientObserver(Observer, RetryObserver, Protocol):
    """Hears of an account's requests and of the waits between them."""


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

    Raises ConfigurationError where an account has no credentials, and ListenError where an address
    cannot be had.
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
        app = create_app(exposition, health, targets, clock, lambda: settings)
        addresses = [parse_listen_address(address) for address in settings.web.listen_address]
        urls = await stack.enter_async_context(serve(app, addresses))
        for poller in pollers:
            stack.push_async_callback(_end, asyncio.create_task(poller.run()))
        yield Service(urls, targets, pollers, credentials)


async def check(settings: Settings, around: Surroundings) -> Sequence[str]:
    """Tell, a line an account, where it is polled and what it would authenticate with; the API is not asked.

    Raises ConfigurationError where an account has no credentials.
    """
    lines = []
    for account in settings.targets():
        async with account_credentials(account, Unobserved(), around) as found:
            lines.append(f"account {account.name}: {account.api.url}, {found.source}")
    return lines


@contextlib.asynccontextmanager
async def account_client(
    account: AccountSettings,
    observer: ClientObserver,
    around: Surroundings,
) -> AsyncIterator[tuple[SourcesClient, Credentials]]:
    """Make what reads pages of the account's list, usable in the context, and tell what it authenticates with.

    Raises ConfigurationError where there are no credentials.
    """
    async with (
        account_credentials(account, observer, around) as found,
        account_session(account.api) as session,
    ):
        client = SourcesClient(
            account.api.url,
            transport=_transport(account.api, session, "sms", around.clock, observer),
            credentials=found,
            clock=around.clock,
            observer=observer,
            rate_limit=account.api.rate_limit,
            filters=account.filter.query(),
        )
        yield client, found


@contextlib.asynccontextmanager
async def account_credentials(
    account: AccountSettings,
    observer: Observer,
    around: Surroundings,
) -> AsyncIterator[Credentials]:
    """Find what the account authenticates with, usable in the context.

    Raises ConfigurationError where there is nothing.
    """
    async with account_session(account.api) as proxied, account_session(account.api, direct=True) as direct:

        def transport(api: Api) -> Transport:
            # A metadata service is of this machine: no proxy can reach it.
            session = direct if api == "metadata" else proxied
            return _transport(account.api, session, api, around.clock, observer)

        try:
            found = await find_credentials(
                account.auth,
                iam_url=account.iam_url,
                transport=transport,
                clock=around.clock,
                environ=around.environ,
                home=around.home,
            )
        except AuthError as error:
            raise ConfigurationError([f"account {account.name}: {error.message}; {error.hint}"]) from None
        yield found


@contextlib.asynccontextmanager
async def account_session(api: ApiSettings, *, direct: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the connections of one account; they are no other account's. With `direct` no proxy is used."""
    context = ssl.create_default_context(cafile=api.ca_file)
    if api.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=context, limit=api.concurrency + 1)
    # A cookie of one answer must not travel with the next request.
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=not direct) as session:
        yield session


def _transport(
    api: ApiSettings,
    session: aiohttp.ClientSession,
    kind: Api,
    clock: Clock,
    observer: Observer,
) -> Transport:
    limits = Limits(api.connect_timeout, api.read_timeout, api.max_response_size)
    proxy = None if kind == "metadata" else api.proxy
    return Transport(session, kind, limits, clock, observer, proxy=proxy)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
