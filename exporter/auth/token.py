"""A token that somebody else obtained."""

from collections.abc import Mapping
from typing import Final

from exporter.auth.renewal import Term
from exporter.auth.secret import Secret
from exporter.errors import AuthError
from exporter.transport import Request

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
