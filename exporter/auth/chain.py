"""Which credentials an account has (for now a static token alone)."""

from collections.abc import Callable, Mapping
from pathlib import Path

from exporter.auth.credentials import Credentials
from exporter.auth.secret import Secret
from exporter.clock import Clock
from exporter.errors import AuthError
from exporter.settings import AuthSettings
from exporter.transport import Api, Request, Transport


class _Token:
    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self.source = "token"
        self.expires_at = None

    async def headers(self, request: Request) -> Mapping[str, str]:
        del request
        return {"X-Auth-Token": self._secret.read()}

    async def refused(self, headers: Mapping[str, str]) -> bool:
        return headers["X-Auth-Token"] != self._secret.read()

    def changed(self) -> bool:
        return False


async def find_credentials(
    auth: AuthSettings,
    *,
    iam_url: str,
    transport: Callable[[Api], Transport],
    clock: Clock,
    environ: Mapping[str, str],
    home: Path,
) -> Credentials:
    """Find what the options or the surroundings give. Raises AuthError where there is nothing."""
    del iam_url, transport, clock, environ, home
    if not auth.gives("token"):
        raise AuthError("no credentials")
    return _Token(Secret("auth.token", auth.token, auth.token_file))
