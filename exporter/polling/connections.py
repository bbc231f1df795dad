"""The connections of one account: its HTTP session, its transports, its credentials and the client of its list."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from exporter.auth import Credentials, Lookup, find_credentials
from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.errors import AuthError, ConfigurationError
from exporter.http.failures import Limits
from exporter.http.proxies import Proxies
from exporter.http.transport import Api, Observer, Transport, open_session
from exporter.polling.lockout import Lockout
from exporter.settings import AccountSettings, ApiSettings
from exporter.settings.certificates import MAX_CA_FILE_BYTES, MAX_CACHED_BUNDLES, parse_ca_certificates
from exporter.settings.files import read_regular_file
from exporter.sms.client import ListClient, RetryObserver, SmsClient
from exporter.sms.endpoints import SOURCE_SERVERS

MAX_SNAPSHOT_THREADS: Final = 2
"""Snapshots that are built at the same time; building is CPU-bound."""


@dataclass(frozen=True)
class Runtime:
    """What all accounts share: the clock, the environment and home directory with credentials, and known refusals."""

    clock: Clock
    environ: Mapping[str, str]
    home: Path | None

    @cached_property
    def snapshot_worker(self) -> Worker:
        """Builds the snapshots of all accounts."""
        return Worker(MAX_SNAPSHOT_THREADS)

    @cached_property
    def lockout(self) -> Lockout:
        """What the API has answered to the credentials of all accounts."""
        return Lockout(self.clock)


class ClientObserver(Observer, RetryObserver, Protocol):
    """Is notified of an account's requests and of the waits between them."""


@contextlib.asynccontextmanager
async def account_client(
    account: AccountSettings,
    observer: ClientObserver,
    runtime: Runtime,
) -> AsyncIterator[tuple[ListClient, Credentials]]:
    """Open the client that reads pages of the account's list, and its credentials.

    Raise ConfigurationError if there are no credentials.
    """
    async with (
        account_credentials(account, observer, runtime) as credentials,
        account_session(account.api) as session,
    ):
        client = SmsClient(
            account.api.url,
            transport=account_transport(account.api, session, "sms", runtime, observer),
            credentials=credentials,
            clock=runtime.clock,
            observer=observer,
            rate_limit=account.api.rate_limit,
        )
        yield client.for_list(SOURCE_SERVERS, account.filter.query()), credentials


@contextlib.asynccontextmanager
async def account_credentials(
    account: AccountSettings,
    observer: Observer,
    runtime: Runtime,
) -> AsyncIterator[Credentials]:
    """Find the account's credentials, usable in the context.

    Raise ConfigurationError if there are none.
    """
    async with account_session(account.api) as session:

        def transport(api: Api) -> Transport:
            return account_transport(account.api, session, api, runtime, observer)

        try:
            lookup = Lookup(account, transport, runtime.clock, runtime.environ, runtime.home)
            credentials = await find_credentials(lookup)
        except AuthError as error:
            raise ConfigurationError([f"account {account.name}: {error.message}; {error.hint}"]) from error
        try:
            yield credentials
        finally:
            await credentials.close()


@contextlib.asynccontextmanager
async def account_session(api: ApiSettings) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session of one account, shared with no other account.

    Raise ConfigurationError if the CA bundle cannot be used.
    """
    async with open_session(_tls_context(api)) as session:
        yield session


def account_transport(
    api: ApiSettings,
    session: aiohttp.ClientSession,
    kind: Api,
    runtime: Runtime,
    observer: Observer,
) -> Transport:
    """Return the transport of the account's requests to one of its APIs, with the account's proxy and limits.

    Raise ConfigurationError if the proxy cannot be used.
    """
    limits = Limits(api.connect_timeout, api.read_timeout, api.max_response_size)
    # The metadata service is local to this machine: no proxy can reach it.
    proxies = Proxies(None, {}) if kind == "metadata" else Proxies(api.proxy, runtime.environ)
    return Transport(session, kind, limits, runtime.clock, observer, proxies=proxies)


def read_ca_bundle(api: ApiSettings) -> bytes:
    """Return the CA bundle, to see whether it changed. Raise ConfigurationError if it cannot be read."""
    try:
        return read_regular_file(api.ca_file, MAX_CA_FILE_BYTES) if api.ca_file else b""
    except OSError as error:
        raise ConfigurationError([f"api.ca-file: {api.ca_file}: cannot be read: {error.strerror}"]) from None


def _tls_context(api: ApiSettings) -> ssl.SSLContext | bool:
    """Return the TLS context of the account; True stands for the system's authorities, False for no verification."""
    if api.insecure_skip_verify:
        return False
    if api.ca_file is None:
        return True  # aiohttp shares one context, too.
    try:
        return _build_context(read_ca_bundle(api))
    except ValueError as error:
        raise ConfigurationError([f"api.ca-file: {api.ca_file}: {error}"]) from None


@lru_cache(MAX_CACHED_BUNDLES)
def _build_context(ca_bundle: bytes) -> ssl.SSLContext:
    """Return the TLS context of a CA bundle, shared by all sessions: one for each would take a megabyte."""
    return ssl.create_default_context(cadata=parse_ca_certificates(ca_bundle))
