"""The one protocol behind which all ways to authenticate stand."""

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from pydantic import SecretStr

from exporter.auth.renewal import Term
from exporter.errors import AuthError
from exporter.http.transport import Request

_FINGERPRINT_KEY: Final = secrets.token_bytes(32)
"""New in each process, so that a fingerprint is of no use outside it."""


def digest(*parts: str | None) -> str:
    """Return a keyed digest of secrets, which shows whether two are equal and nothing else."""
    return hashlib.blake2b(repr(parts).encode(), key=_FINGERPRINT_KEY, digest_size=16).hexdigest()


class Credentials(Protocol):
    """What puts authentication on requests to one account."""

    @property
    def source(self) -> str:
        """Where they come from, in words for a log line; never a value."""

    @property
    def term(self) -> Term | None:
        """When what is in use expires, and is renewed; None where unknown or never."""

    async def headers(self, request: Request) -> Mapping[str, str]:
        """Give the headers that authenticate `request`, obtaining or renewing what they need.

        Raises AuthError where there is nothing to authenticate with, and the transport's errors.
        """

    async def refused(self, headers: Mapping[str, str]) -> bool:
        """Hear that the API answered 401 to a request with these `headers`, the very ones that were given for it.

        Tell whether something else can be tried at once: a renewed token, a secret read again and
        found changed. Pages that are refused together renew once.
        """

    def changed(self) -> bool:
        """Tell whether the secret is another than the one that was refused; cheap, asked often."""

    async def fingerprint(self) -> str | None:
        """Return a digest of the secret that would be used now, or None if it cannot be read.

        It is valid in this process only and changes when somebody replaces the secret, not when a
        token or a temporary key is renewed. Accounts with the same secret have the same fingerprint.
        """


class Secret:
    """A secret from the option `name`, or from a file that is read anew at each call.

    Surrounding white space of a file is no part of the secret.
    """

    def __init__(self, name: str, value: SecretStr | None = None, file: Path | None = None) -> None:
        self.name = name
        self._value = value
        self._file = file

    def read(self) -> str:
        """Give the secret as it is now. Raises AuthError where the file cannot be read or is empty."""
        if self._file is None:
            return self._value.get_secret_value() if self._value else ""
        try:
            secret = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthError(
                f"{self.name}-file: {self._file} cannot be read ({type(error).__name__})",
                hint=f"let the exporter's user read {self._file}",
            ) from error
        if not secret:
            raise AuthError(f"{self.name}-file: {self._file} is empty", hint=f"write the secret to {self._file}")
        return secret


TOKEN_HEADER: Final = "X-Auth-Token"  # noqa: S105 - the name of a header


class TokenCredentials:
    """The token of `secret`, read anew for every request, so that a file may be rotated."""

    def __init__(self, secret: Secret, source: str) -> None:
        self.source = source
        self.term: Term | None = None
        """Never known: a token does not tell."""
        self._secret = secret
        self._refused: str | None = None

    async def headers(self, request: Request) -> Mapping[str, str]:
        """Give the token."""
        del request
        return {TOKEN_HEADER: self._secret.read()}

    async def refused(self, headers: Mapping[str, str]) -> bool:
        """Tell whether there is another token by now."""
        self._refused = headers[TOKEN_HEADER]
        return self.changed()

    def changed(self) -> bool:
        """Tell whether the token is another than the refused one."""
        try:
            return self._secret.read() != self._refused
        except AuthError:
            return False

    async def fingerprint(self) -> str | None:
        """Return a digest of the token."""
        try:
            return digest(self._secret.read())
        except AuthError:
            return None
