"""One account put together: its connections, its credentials, the client that reads its list, and its poller."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import structlog
from yarl import URL

from exporter.auth import Credentials, find_credentials
from exporter.clock import Clock
from exporter.errors import AuthError, ConfigurationError
from exporter.http.transport import Api, Limits, Observer, Transport, environment_proxy
from exporter.polling.poller import Poller, PollListener
from exporter.polling.target import Target
from exporter.settings import AccountSettings, ApiSettings
from exporter.settings.tree import same_connection, same_list
from exporter.sms.client import RetryObserver, SourcesClient


@dataclass(frozen=True)
class Runtime:
    """What the process finds itself in: time, and where credentials are looked for that no option gives."""

    clock: Clock
    environ: Mapping[str, str]
    home: Path


log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class ClientObserver(Observer, RetryObserver, Protocol):
    """Hears of an account's requests and of the waits between them."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account that can be polled, and is once it is started, until it is closed."""

    target: Target
    credentials: Credentials
    poller: Poller
    ca_bundle: bytes
    resources: contextlib.AsyncExitStack

    def start(self) -> None:
        """Poll from here on."""
        log.info(
            "polling",
            account=self.target.name,
            api=self.target.account.api.url,
            auth=self.credentials.source,
        )
        self.resources.push_async_callback(_end, asyncio.create_task(self.poller.run()))

    async def close(self) -> None:
        """End its polling and its connections."""
        await self.resources.aclose()

    def under(self, options: AccountSettings) -> "Account | None":
        """Give the same account under other options; None where these need other connections.

        Its poller follows them once it is told to.
        """
        if _ca_bundle(options.api) != self.ca_bundle:
            return None
        if options == self.target.account:
            return self
        if same_connection(self.target.account, options):
            return replace(self, target=Target(options, like=self.target))
        return None


async def open_account(
    options: AccountSettings,
    observer: ClientObserver,
    listener: PollListener,
    runtime: Runtime,
    before: Account | None = None,
) -> Account:
    """Make an account ready to be started. What `before` knows of the same list is taken over.

    Raises ConfigurationError where there are no credentials, and where the CA bundle cannot be used.
    """
    ca_bundle = _ca_bundle(options.api)
    known = before.target if before and same_list(before.target.account, options) else None
    target = Target(options, like=known)
    async with contextlib.AsyncExitStack() as resources:
        client, found = await resources.enter_async_context(account_client(options, observer, runtime))
        poller = Poller(target, client.page, runtime.clock, listener, found.changed)
        return Account(target, found, poller, ca_bundle, resources.pop_all())


@contextlib.asynccontextmanager
async def account_client(
    account: AccountSettings,
    observer: ClientObserver,
    runtime: Runtime,
) -> AsyncIterator[tuple[SourcesClient, Credentials]]:
    """Make what reads pages of the account's list, usable in the context, and tell what it authenticates with.

    Raises ConfigurationError where there are no credentials.
    """
    async with (
        account_credentials(account, observer, runtime) as found,
        account_session(account.api) as session,
    ):
        client = SourcesClient(
            account.api.url,
            transport=account_transport(account.api, session, "sms", runtime.clock, observer),
            credentials=found,
            clock=runtime.clock,
            observer=observer,
            rate_limit=account.api.rate_limit,
            filters=account.filter.query(),
        )
        yield client, found


@contextlib.asynccontextmanager
async def account_credentials(
    account: AccountSettings,
    observer: Observer,
    runtime: Runtime,
) -> AsyncIterator[Credentials]:
    """Find what the account authenticates with, usable in the context.

    Raises ConfigurationError where there is nothing.
    """
    async with account_session(account.api) as session:

        def transport(api: Api) -> Transport:
            return account_transport(account.api, session, api, runtime.clock, observer)

        try:
            found = await find_credentials(
                account.auth,
                iam_url=account.iam_url,
                transport=transport,
                clock=runtime.clock,
                environ=runtime.environ,
                home=runtime.home,
            )
        except AuthError as error:
            raise ConfigurationError([f"account {account.name}: {error.message}; {error.hint}"]) from error
        yield found


@contextlib.asynccontextmanager
async def account_session(api: ApiSettings) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the connections of one account; they are no other account's.

    Raises ConfigurationError where the CA bundle cannot be used.
    """
    connector = aiohttp.TCPConnector(ssl=_trust(api), limit=api.concurrency + 1)
    # A cookie of one answer must not travel with the next request.
    jar = aiohttp.DummyCookieJar()
    # Of the environment aiohttp would take passwords too, from a .netrc: proxies are found by the transport.
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=False) as session:
        yield session


def account_transport(
    api: ApiSettings,
    session: aiohttp.ClientSession,
    kind: Api,
    clock: Clock,
    observer: Observer,
) -> Transport:
    """Make what sends the account's requests to one of its APIs, through the outbound proxy that leads there."""
    limits = Limits(api.connect_timeout, api.read_timeout, api.max_response_size)

    def proxy(url: URL) -> str | None:
        # A metadata service is of this machine: no proxy can reach it.
        return None if kind == "metadata" else api.proxy or environment_proxy(url)

    return Transport(session, kind, limits, clock, observer, proxy=proxy)


def _trust(api: ApiSettings) -> ssl.SSLContext | bool:
    """Give whom the account trusts; True is whom the system does."""
    if api.insecure_skip_verify:
        return False
    if api.ca_file is None:
        # aiohttp has one context for all: another one a session would be a megabyte of certificates each.
        return True
    try:
        return ssl.create_default_context(cafile=api.ca_file)
    except OSError:
        raise ConfigurationError([f"api.ca-file: {api.ca_file} has no certificate in PEM"]) from None


def _ca_bundle(api: ApiSettings) -> bytes:
    """Read what is trusted beside the system's authorities, to be compared."""
    try:
        return api.ca_file.read_bytes() if api.ca_file else b""
    except OSError as error:
        raise ConfigurationError([f"api.ca-file: {api.ca_file} cannot be read: {error.strerror}"]) from None


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
