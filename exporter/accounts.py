"""One account put together: its connections, its credentials, and the client that reads its list."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from exporter.auth import Credentials, find_credentials
from exporter.client import RetryObserver, SourcesClient
from exporter.clock import Clock
from exporter.errors import AuthError, ConfigurationError
from exporter.settings import AccountSettings, ApiSettings
from exporter.transport import Api, Limits, Observer, Transport


@dataclass(frozen=True)
class Surroundings:
    """What the process finds itself in: time, and where credentials are looked for that no option gives."""

    clock: Clock
    environ: Mapping[str, str]
    home: Path


class ClientObserver(Observer, RetryObserver, Protocol):
    """Hears of an account's requests and of the waits between them."""


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
            raise ConfigurationError([f"account {account.name}: {error.message}; {error.hint}"]) from error
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
