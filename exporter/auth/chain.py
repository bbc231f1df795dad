"""Which credentials an account has: those of its options, else the first link of the default chain that has any.

The chain goes as the official SDK's does: its variables, then its credentials file, then the ECS metadata
service, then a pod's identity. Behind the SDK's own variables come those of its samples, of Terraform and of
OpenStack.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from exporter.auth.access_key import SecretKeys, SignedCredentials
from exporter.auth.credentials import Credentials, Secret, TokenCredentials
from exporter.auth.environment import FAMILIES, iam_endpoint, look_into
from exporter.auth.password import PasswordCredentials, Scope, User
from exporter.auth.profile import FILE_VARIABLE, ProfileKeys, profile_path
from exporter.auth.temporary_key import MetadataKeys, PodIdentityKeys
from exporter.clock import Clock
from exporter.errors import AuthError, PollError
from exporter.http.transport import Api, Transport
from exporter.settings import AuthSettings

PROBE_TIMEOUT: Final = 5.0
"""Seconds in which the metadata service must answer; where there is none, often nothing does."""

POD_VARIABLES: Final = ("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE")


async def find_credentials(
    auth: AuthSettings,
    *,
    iam_url: str,
    transport: Callable[[Api], Transport],
    clock: Clock,
    environ: Mapping[str, str],
    home: Path,
) -> Credentials:
    """Find what the options give, else the default chain.

    `transport` gives what sends requests to an API; `iam_url` is where IAM is unless the environment names
    another place. Raises AuthError where a link is half set, and where no link has anything: its message
    lists the places that were looked at.
    """
    if (given := _given(auth, "given by options", iam_url, transport, clock)) is not None:
        return given
    for family in FAMILIES:
        if (found := look_into(environ, family)) is not None:
            words = f"from the environment of {family.name} ({found.variable})"
            in_environment = _given(found.auth, words, iam_endpoint(environ) or iam_url, transport, clock)
            if in_environment is not None:
                return in_environment
    path = profile_path(environ, home)
    if path.exists():
        profile = ProfileKeys(path)
        return SignedCredentials(profile, clock, project_id=profile.project_id, domain_id=profile.domain_id)
    metadata = MetadataKeys(auth.metadata_endpoint, transport("metadata"), clock)
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            await metadata.keys()
    except (TimeoutError, PollError) as error:
        nothing = error.message if isinstance(error, PollError) else "no answer"
    else:
        return SignedCredentials(metadata, clock, project_id=auth.project_id, domain_id=auth.domain_id)
    url, token_file = (environ.get(name, "") for name in POD_VARIABLES)
    if url and token_file:
        return SignedCredentials(PodIdentityKeys(url, Path(token_file), transport("metadata"), clock), clock)
    raise AuthError(
        "there are no credentials: no option auth.*, no variable of the SDK, Terraform or OpenStack, "
        f"no file {path} (or {FILE_VARIABLE}), no ECS metadata service at {auth.metadata_endpoint} ({nothing}), "
        f"no {POD_VARIABLES[0]}",
        hint="give --auth.access-key-file and --auth.secret-key-file, or --auth.user-name, --auth.domain-name "
        "and --auth.password-file, or --auth.token-file",
    )


def _given(
    auth: AuthSettings,
    words: str,
    iam_url: str,
    transport: Callable[[Api], Transport],
    clock: Clock,
) -> Credentials | None:
    """Make the credentials that options describe; None where they describe none."""

    def secret(name: str) -> Secret:
        return Secret(f"auth.{name.replace('_', '-')}", getattr(auth, name), getattr(auth, f"{name}_file"))

    if auth.gives("token"):
        return TokenCredentials(secret("token"), f"token {words}")
    if auth.user_name and auth.domain_name:
        return PasswordCredentials(
            User(auth.user_name, auth.domain_name),
            secret("password"),
            Scope(auth.project_id, auth.project_name),
            f"password of an IAM user {words}",
            iam_url=iam_url,
            transport=transport("iam"),
            clock=clock,
        )
    if auth.gives("access_key"):
        security_token = secret("security_token") if auth.gives("security_token") else None
        keys = SecretKeys(secret("access_key"), secret("secret_key"), security_token, f"access key {words}")
        return SignedCredentials(keys, clock, project_id=auth.project_id, domain_id=auth.domain_id)
    return None
