"""Credentials of an account: what authenticates its requests, made with a token or an access key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

from exporter.auth.renewal import RenewingProvider, Term
from exporter.auth.secret import digest
from exporter.auth.signing import AccessKey, sign
from exporter.clock import Clock
from exporter.errors import AuthError
from exporter.http.transport import Request
from exporter.language import Translatable

T = TypeVar("T")

TOKEN_HEADER: Final = "X-Auth-Token"  # noqa: S105 - the name of a header


class StoredProvider(Generic[T]):
    """Provides what somebody else stores and replaces: it is read again for every request."""

    def __init__(self, source: Translatable, read: Callable[[], Awaitable[T]]) -> None:
        self.source = source
        self.term: Term | None = None
        self.get = read

    async def renew(self, refused: T) -> bool:
        """Return whether it has been replaced."""
        return await self.get() != refused

    async def fingerprint(self) -> str:
        """Return a digest of what is stored now. Raise AuthError if it cannot be read."""
        return digest(await self.get())

    async def close(self) -> None:
        """Do nothing: a reading in progress ends by itself."""


Provider: TypeAlias = StoredProvider[T] | RenewingProvider[T]
"""What provides a token or an access key."""


class AuthHeaders(dict[str, str]):
    """The headers that authenticate one request, and the token or access key that they were made with.

    The headers of a signature contain only the ID of the key, which can stay when its secret changes.
    """

    def __init__(self, headers: Mapping[str, str], made_with: object) -> None:
        super().__init__(headers)
        self.made_with = made_with


class Credentials:
    """What authenticates the requests to one account: `provider` and what makes headers of what it provides.

    `issuer_url` is the address of the service that issues them; empty if they are stored.
    """

    def __init__(
        self, provider: Provider[T], authenticate: Callable[[Request, T], Mapping[str, str]], issuer_url: str = ""
    ) -> None:
        self.issuer_url = issuer_url
        self._provider: Provider[Any] = provider
        self._authenticate: Callable[[Request, Any], Mapping[str, str]] = authenticate

    @property
    def source(self) -> Translatable:
        """Where they come from, in words for a log line; never a secret."""
        return self._provider.source

    @property
    def term(self) -> Term | None:
        """When what is in use expires and is renewed; None if unknown or never."""
        return self._provider.term

    async def headers(self, request: Request) -> AuthHeaders:
        """Return the headers that authenticate `request`, after obtaining or renewing what they need.

        Raise AuthError if there is nothing to authenticate with, and the errors of the transport.
        """
        provided = await self._provider.get()
        return AuthHeaders(self._authenticate(request, provided), provided)

    async def renew(self, refused: AuthHeaders) -> bool:
        """Return whether another token or key than the one of the `refused` headers can be tried at once.

        That is one that was renewed, now or meanwhile for another request, or a secret that has been
        replaced. Raise what `headers` raises.
        """
        return await self._provider.renew(refused.made_with)

    async def fingerprint(self) -> str | None:
        """Return a digest of the secret that would be used now, or None if it cannot be read.

        It is valid in this process only and changes when somebody replaces the secret, not when a
        token or a temporary key is renewed. Accounts with the same secret have the same fingerprint.
        """
        try:
            return await self._provider.fingerprint()
        except AuthError:
            return None

    async def check(self) -> None:
        """Raise AuthError if the secret cannot be read; no request is sent."""
        await self._provider.fingerprint()

    async def close(self) -> None:
        """End a renewal that is in progress."""
        await self._provider.close()


def token_credentials(provider: Provider[str], issuer_url: str = "") -> Credentials:
    """Return credentials that send a token."""
    return Credentials(provider, lambda _, token: {TOKEN_HEADER: token}, issuer_url)


def signed_credentials(
    provider: Provider[AccessKey], clock: Clock, ids: Mapping[str, str], issuer_url: str = ""
) -> Credentials:
    """Return credentials that sign requests with an access key and send the IDs of project and domain in `ids`."""
    headers = {"project_id": "X-Project-Id", "domain_id": "X-Domain-Id"}
    sent = {header: ids[name] for name, header in headers.items() if name in ids}
    return Credentials(provider, lambda request, key: sign(request, key, clock.time(), sent), issuer_url)
