"""The kinds of credentials that are described by options, or by the variables of another tool in their place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.auth.credentials import Credentials, StoredProvider, signed_credentials, token_credentials
from exporter.auth.password import Scope, TokenIssuer, User
from exporter.auth.renewal import RenewingProvider
from exporter.auth.secret import Secret
from exporter.auth.signing import AccessKey
from exporter.clock import Clock
from exporter.http.transport import Api, Transport
from exporter.language import Translatable

NAMES: Final = ("user_name", "domain_name", "domain_id", "project_name", "project_id")
"""The options of `AuthSettings` that describe credentials and may be shown."""

SECRETS: Final = ("token", "password", "access_key", "secret_key", "security_token")
"""Those that are secret; each can be a value or, with `_file`, a file."""


@dataclass(frozen=True, slots=True)
class Description:
    """What describes credentials, by option. `source` says in words where all of it comes from."""

    secrets: Mapping[str, Secret]
    names: Mapping[str, str]
    source: Translatable
    iam_url: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of credentials: the option that selects it, the ones it needs beside that, and the ones it can have."""

    selected_by: str
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    build: Callable[[Description, Callable[[Api], Transport], Clock], Credentials]

    @property
    def options(self) -> tuple[str, ...]:
        """All options of the kind."""
        return (self.selected_by, *self.needs, *self.optional)


def _access_key(description: Description, transport: Callable[[Api], Transport], clock: Clock) -> Credentials:
    del transport
    secrets = description.secrets

    async def read() -> AccessKey:
        security_token = secrets.get("security_token")
        return AccessKey(
            await secrets["access_key"].read(),
            await secrets["secret_key"].read(),
            await security_token.read() if security_token else None,
        )

    provider = StoredProvider(Translatable("access key %(origin)s", origin=description.source), read)
    return signed_credentials(provider, clock, description.names)


def _token(description: Description, transport: Callable[[Api], Transport], clock: Clock) -> Credentials:
    del transport, clock
    source = Translatable("token %(origin)s", origin=description.source)
    return token_credentials(StoredProvider(source, description.secrets["token"].read))


def _password(description: Description, transport: Callable[[Api], Transport], clock: Clock) -> Credentials:
    names = description.names
    issuer = TokenIssuer(
        User(names["user_name"], names["domain_name"]),
        description.secrets["password"],
        Scope(names.get("project_id"), names.get("project_name")),
        Translatable("password of an IAM user %(origin)s", origin=description.source),
        iam_url=description.iam_url,
        transport=transport("iam"),
        clock=clock,
    )
    return token_credentials(RenewingProvider(issuer, clock), description.iam_url)


KINDS: Final = (
    Kind("access_key", ("secret_key",), ("security_token", "project_id", "domain_id"), _access_key),
    Kind("token", (), (), _token),
    Kind("user_name", ("password", "domain_name"), ("project_name", "project_id"), _password),
)
"""In the order in which the variables of a tool are searched for them. At most one can be given by options."""
