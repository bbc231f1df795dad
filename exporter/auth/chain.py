"""Which credentials an account uses: those of its options, or else the first in the default credential chain.

The chain has the order of the official SDK: its variables, its credentials file, the ECS metadata service, the
identity of a pod. The variables of the SDK's samples, of Terraform and of OpenStack follow the SDK's own.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.auth.credentials import Credentials, Provider, StoredProvider, signed_credentials
from exporter.auth.environment import TOOLS, find_variables, iam_endpoint, is_http_url
from exporter.auth.kinds import KINDS, NAMES, SECRETS, Description
from exporter.auth.profile import FILE_VARIABLE, ProfileFile
from exporter.auth.renewal import RenewingProvider
from exporter.auth.secret import READ_TIMEOUT_SECONDS, Secret, SecretFile, clean_secret
from exporter.auth.signing import AccessKey
from exporter.auth.temporary_key import EcsMetadata, PodIdentity
from exporter.blocking import SharedCall
from exporter.clock import Clock
from exporter.errors import AuthError, PollError
from exporter.http.transport import Api, Transport
from exporter.language import Translatable
from exporter.settings import AccountSettings, AuthSettings

METADATA_TIMEOUT_SECONDS: Final = 5.0
"""How long the search waits for the metadata service; outside a cloud its address often does not answer."""

POD_URL_VARIABLE: Final = "HC_CONTAINER_CREDENTIALS_FULL_URI"
POD_TOKEN_FILE_VARIABLE: Final = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where the credentials of an account are looked up; `transport` returns the transport of an API."""

    account: AccountSettings
    transport: Callable[[Api], Transport]
    clock: Clock
    environ: Mapping[str, str]
    home: Path | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A place of the chain has no credentials: `reason` says so in the message that lists all places."""

    reason: str


async def find_credentials(lookup: Lookup) -> Credentials:
    """Return the credentials of an account.

    Raise AuthError if a place has only a part of them, or if no place has any.
    """
    reasons = []
    for find in CHAIN:
        found = await find(lookup)
        if not isinstance(found, Missing):
            return found
        reasons.append(found.reason)
    hint = Translatable(
        "set --auth.access-key-file and --auth.secret-key-file, or --auth.user-name, --auth.domain-name "
        "and --auth.password-file, or --auth.token-file"
    )
    raise AuthError(f"no credentials found: {', '.join(reasons)}", hint=hint)


async def find_in_options(lookup: Lookup) -> Credentials | Missing:
    """Return the credentials that the options describe."""
    secrets = _secret_options(lookup.account.auth)
    names = _name_options(lookup.account.auth)
    for kind in KINDS:
        if kind.selected_by in secrets or kind.selected_by in names:
            description = Description(secrets, names, Translatable("given by options"), lookup.account.iam_url)
            return kind.build(description, lookup.transport, lookup.clock)
    return Missing("no option auth.*")


async def find_in_environment(lookup: Lookup) -> Credentials | Missing:
    """Return the credentials that the variables of a tool describe; options replace their parts."""
    environ = lookup.environ
    for tool in TOOLS:
        found = find_variables(environ, tool)
        if found is not None:
            secrets = {o: Secret(v, environ[v]) for o, v in found.variables.items() if o not in NAMES}
            names = {o: clean_secret(v, environ[v]) for o, v in found.variables.items() if o in NAMES}
            description = Description(
                secrets,
                _with_options(names, lookup.account.auth),
                Translatable(
                    "from the environment of %(tool)s (%(variable)s)",
                    tool=tool.name,
                    variable=found.variables[found.kind.selected_by],
                ),
                lookup.account.iam.endpoint or iam_endpoint(environ) or lookup.account.iam_url,
            )
            if found.kind.selected_by == "access_key":
                _check_project(lookup.account.auth)
            return found.kind.build(description, lookup.transport, lookup.clock)
    return Missing("no variable of the SDK, Terraform or OpenStack")


async def find_in_profile(lookup: Lookup) -> Credentials | Missing:
    """Return the access key in the credentials file of the official SDK."""
    named = lookup.environ.get(FILE_VARIABLE)
    path = Path(named) if named else lookup.home and lookup.home / ".huaweicloud" / "credentials"
    if path is None:
        return Missing(f"no home directory, and no {FILE_VARIABLE}")
    if not await _exists(path):
        return Missing(f"no file {path} (or {FILE_VARIABLE})")
    file = ProfileFile(path)
    profile = await file.read()
    source = Translatable("access key of section [%(section)s] of %(file)s", section=profile.section, file=str(path))
    provider = StoredProvider(source, file.read_key)
    return _signed(provider, lookup, profile.names)


async def find_in_metadata(lookup: Lookup) -> Credentials | Missing:
    """Return the temporary key of this server's agency, if the ECS metadata service issues one."""
    url = lookup.account.auth.metadata_endpoint
    provider = RenewingProvider(EcsMetadata(url, lookup.transport("metadata"), lookup.clock), lookup.clock)
    try:
        async with asyncio.timeout(METADATA_TIMEOUT_SECONDS):
            await provider.get()
    except (TimeoutError, PollError) as error:
        await provider.close()
        reason = error.message if isinstance(error, PollError) else "no answer"
        return Missing(f"no ECS metadata service at {url} ({reason})")
    return _signed(provider, lookup, {}, url)


async def find_in_pod(lookup: Lookup) -> Credentials | Missing:
    """Return the temporary key of this pod's identity. Raise AuthError if its address is not a URL."""
    url, file = (lookup.environ.get(name) for name in (POD_URL_VARIABLE, POD_TOKEN_FILE_VARIABLE))
    if not (url and file):
        return Missing(f"no {POD_URL_VARIABLE}")
    if not is_http_url(url):
        raise AuthError(
            f"{POD_URL_VARIABLE} is not a URL",
            hint=Translatable("set %(variable)s to https://HOST, or unset it", variable=POD_URL_VARIABLE),
        )
    token = Secret(f"{POD_TOKEN_FILE_VARIABLE}: {file}", SecretFile(POD_TOKEN_FILE_VARIABLE, Path(file)))
    issuer = PodIdentity(url, token, lookup.transport("metadata"), lookup.clock)
    return _signed(RenewingProvider(issuer, lookup.clock), lookup, {}, url)


CHAIN: Final = (find_in_options, find_in_environment, find_in_profile, find_in_metadata, find_in_pod)
"""The places in the order in which they are searched."""


def _signed(
    provider: Provider[AccessKey], lookup: Lookup, names: Mapping[str, str], issuer_url: str = ""
) -> Credentials:
    _check_project(lookup.account.auth)
    return signed_credentials(provider, lookup.clock, _with_options(names, lookup.account.auth), issuer_url)


def _check_project(auth: AuthSettings) -> None:
    """Raise AuthError if the options name a project in a way that a signed request cannot."""
    if auth.project_name and not auth.project_id:
        raise AuthError(
            "auth.project-name cannot be used with an access key",
            hint=Translatable("set auth.project-id, or neither of them"),
        )


def _secret_options(auth: AuthSettings) -> dict[str, Secret]:
    """Return the secrets that are given by options, as a value or in a file."""
    secrets = {}
    for option in SECRETS:
        name = _option(option)
        value, file = getattr(auth, option), getattr(auth, f"{option}_file")
        if value is not None:
            secrets[option] = Secret(name, value.get_secret_value())
        elif file is not None:
            secrets[option] = Secret(f"{name}-file: {file}", SecretFile(f"{name}-file", file))
    return secrets


def _name_options(auth: AuthSettings) -> dict[str, str]:
    """Return the options that describe credentials and are not secret. Raise AuthError if one is unusable."""
    return {name: clean_secret(_option(name), value) for name in NAMES if (value := getattr(auth, name))}


def _with_options(names: Mapping[str, str], auth: AuthSettings) -> dict[str, str]:
    """Return `names` with those of the options in their place; a project has a name or an ID, not both."""
    options = _name_options(auth)
    replaced = {"project_name", "project_id"} if {"project_name", "project_id"} & options.keys() else set()
    return {name: value for name, value in names.items() if name not in replaced} | options


def _option(field: str) -> str:
    return f"auth.{field.replace('_', '-')}"


async def _exists(path: Path) -> bool:
    """Return whether the path exists, as far as that can be seen; reading a file that hangs reports it."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            return await SharedCall(path.exists)()
    except TimeoutError:
        return True
    except OSError:
        return False
