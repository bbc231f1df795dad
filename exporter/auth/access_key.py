"""Requests signed with an access key, wherever the key comes from."""

from collections.abc import Mapping
from typing import Protocol

from exporter.auth.credentials import Secret, digest
from exporter.auth.renewal import Term
from exporter.auth.signing import Keys, sign
from exporter.clock import Clock
from exporter.errors import AuthError
from exporter.http.transport import Request


class KeySource(Protocol):
    """Where an access key comes from."""

    @property
    def source(self) -> str:
        """Tell it in words; never a value."""

    @property
    def term(self) -> Term | None:
        """When the key in use expires, and is renewed; None where unknown or never."""

    async def keys(self) -> Keys:
        """Give the key as it is now. Raises AuthError where there is none."""

    def drop(self, keys: Keys) -> bool:
        """Forget a key that was refused; tell whether another can be had at once."""

    def differs(self, keys: Keys | None) -> bool:
        """Tell whether somebody has put another key in the place of this, or of none; cheap."""

    async def fingerprint(self) -> str | None:
        """Return a digest of the key that would be used now, or None if it cannot be read."""


def fingerprint_of(keys: Keys) -> str:
    """Return the fingerprint of an access key."""
    return digest(keys.access_key, keys.secret_key, keys.security_token)


class _Signed(dict[str, str]):
    """The headers of a signature, and the key that made it: of a key that is changed the ID may stay."""

    def __init__(self, headers: Mapping[str, str], by: Keys) -> None:
        super().__init__(headers)
        self.by = by


class SignedCredentials:
    """Signs each request; `project_id` and `domain_id` are told to the API where they are known."""

    def __init__(
        self,
        origin: KeySource,
        clock: Clock,
        *,
        project_id: str | None = None,
        domain_id: str | None = None,
    ) -> None:
        self._origin = origin
        self._clock = clock
        told = {"X-Project-Id": project_id, "X-Domain-Id": domain_id}
        self._extra = {name: value for name, value in told.items() if value}
        self._used: Keys | None = None
        self._refused: Keys | None = None

    @property
    def source(self) -> str:
        """Where the key comes from."""
        return self._origin.source

    @property
    def term(self) -> Term | None:
        """That of a temporary key."""
        return self._origin.term

    async def headers(self, request: Request) -> Mapping[str, str]:
        """Give the signature of the request."""
        self._used = await self._origin.keys()
        return _Signed(sign(request, self._used, self._clock.time(), self._extra), self._used)

    async def refused(self, headers: Mapping[str, str]) -> bool:
        """Tell whether there is another key by now."""
        if not isinstance(headers, _Signed) or headers.by != self._used:
            return True  # a page that was refused together with this one has brought a new key already
        self._refused = headers.by
        return self._origin.drop(headers.by)

    def changed(self) -> bool:
        """Tell whether the key is another than the refused one."""
        return self._origin.differs(self._refused)

    async def fingerprint(self) -> str | None:
        """Return a digest of the key."""
        return await self._origin.fingerprint()


class SecretKeys:
    """A key whose parts are secrets of their own, values or files."""

    def __init__(self, access_key: Secret, secret_key: Secret, security_token: Secret | None, source: str) -> None:
        self.source = source
        self.term: Term | None = None
        self._parts = (access_key, secret_key)
        self._security_token = security_token

    async def keys(self) -> Keys:
        """Read the parts anew."""
        return self._read()

    def drop(self, keys: Keys) -> bool:
        """Tell whether the files hold another key by now."""
        return self.differs(keys)

    def differs(self, keys: Keys | None) -> bool:
        """Tell whether the files hold another key."""
        try:
            return self._read() != keys
        except AuthError:
            return False

    async def fingerprint(self) -> str | None:
        """Return a digest of the parts."""
        try:
            return fingerprint_of(self._read())
        except AuthError:
            return None

    def _read(self) -> Keys:
        access_key, secret_key = (part.read() for part in self._parts)
        return Keys(access_key, secret_key, self._security_token.read() if self._security_token else None)
