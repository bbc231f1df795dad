"""Credentials in environment variables, by the names of the official SDK, of Terraform and of OpenStack."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from yarl import URL

from exporter.auth.kinds import KINDS, Kind
from exporter.errors import AuthError
from exporter.language import Translatable
from exporter.settings.quantities import can_be_looked_up


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and for each option of `AuthSettings` its variables; the first that is set counts."""

    name: Translatable
    variables: Mapping[str, tuple[str, ...]]


def _terraform(prefix: str) -> Mapping[str, tuple[str, ...]]:
    """Return the variables of Terraform's provider, which takes both prefixes."""
    words = {
        "access_key": ("ACCESS_KEY",),
        "secret_key": ("SECRET_KEY",),
        "security_token": ("SECURITY_TOKEN",),
        "token": ("AUTH_TOKEN",),
        "user_name": ("USER_NAME", "USERNAME"),
        "password": ("USER_PASSWORD", "PASSWORD"),
        "domain_name": ("DOMAIN_NAME", "USER_DOMAIN_NAME"),
        "domain_id": ("DOMAIN_ID",),
        "project_name": ("PROJECT_NAME", "TENANT_NAME"),
        "project_id": ("PROJECT_ID", "TENANT_ID"),
    }
    return MappingProxyType({option: tuple(f"{prefix}{word}" for word in names) for option, names in words.items()})


TOOLS: Final = (
    Tool(
        Translatable("the official SDK"),
        MappingProxyType(
            {
                "access_key": ("HUAWEICLOUD_SDK_AK",),
                "secret_key": ("HUAWEICLOUD_SDK_SK",),
                "security_token": ("HUAWEICLOUD_SDK_SECURITY_TOKEN",),
                "project_id": ("HUAWEICLOUD_SDK_PROJECT_ID",),
                "domain_id": ("HUAWEICLOUD_SDK_DOMAIN_ID",),
            },
        ),
    ),
    Tool(
        Translatable("the SDK's samples"),
        MappingProxyType({"access_key": ("CLOUD_SDK_AK",), "secret_key": ("CLOUD_SDK_SK",)}),
    ),
    Tool(Translatable("Terraform"), _terraform("HW_")),
    Tool(Translatable("OpenStack"), _terraform("OS_")),
)
"""In the order in which their variables are searched."""

IAM_VARIABLES: Final = ("HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL", "OS_AUTH_URL")
"""The variables with the address of IAM; the first that is set counts."""


@dataclass(frozen=True, slots=True)
class Found:
    """The variables of a tool that describe credentials of a kind, by option."""

    kind: Kind
    variables: Mapping[str, str]


def find_variables(environ: Mapping[str, str], tool: Tool) -> Found | None:
    """Return which variables of a tool describe credentials; None if none is set.

    Raise AuthError if some are set, and one that they need is not.
    """

    def variable_of(option: str) -> str | None:
        return next((name for name in tool.variables.get(option, ()) if environ.get(name)), None)

    for kind in KINDS:
        found = {option: name for option in kind.options if (name := variable_of(option)) is not None}
        if kind.selected_by in found:
            for option in kind.needs:
                if option not in found:
                    raise _incomplete(found[kind.selected_by], tool.variables[option])
            return Found(kind, found)
    if (secret := variable_of("secret_key")) is not None:
        raise _incomplete(secret, tool.variables["access_key"])
    return None


def iam_endpoint(environ: Mapping[str, str]) -> str | None:
    """Return the base URL of IAM in the environment, without the version that some tools append to it.

    Raise AuthError if it is not a URL.
    """
    variable = next((name for name in IAM_VARIABLES if environ.get(name)), None)
    if variable is None:
        return None
    if not is_http_url(environ[variable]):
        raise AuthError(
            f"{variable} is not the URL of IAM",
            hint=Translatable("set %(variable)s to https://HOST, or unset it", variable=variable),
        )
    return environ[variable].rstrip("/").removesuffix("/v3")


def is_http_url(text: str) -> bool:
    """Return whether a text is an http or https URL."""
    try:
        url = URL(text)
    except ValueError:
        return False
    host = url.raw_host or ""
    return url.scheme in {"http", "https"} and host != "" and can_be_looked_up(host)


def _incomplete(is_set: str, missing: tuple[str, ...]) -> AuthError:
    return AuthError(f"{is_set} is set, but {' or '.join(missing)} is not", hint=Translatable("set both, or neither"))
