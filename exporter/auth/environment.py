"""Credentials that the environment holds, by the names of the official SDK, of Terraform and of OpenStack."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.errors import AuthError
from exporter.settings import AuthSettings


@dataclass(frozen=True, slots=True)
class Family:
    """Variables of one kind of tool: for each option of `AuthSettings` the names that give it, first first."""

    name: str
    variables: Mapping[str, tuple[str, ...]]


def _terraform(prefix: str) -> dict[str, tuple[str, ...]]:
    """Give the names that Terraform's provider has with either prefix."""
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
    return {option: tuple(f"{prefix}{word}" for word in names) for option, names in words.items()}


FAMILIES: Final = (
    Family(
        "the official SDK",
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
    Family(
        "the SDK's samples",
        MappingProxyType({"access_key": ("CLOUD_SDK_AK",), "secret_key": ("CLOUD_SDK_SK",)}),
    ),
    Family("Terraform", MappingProxyType(_terraform("HW_"))),
    Family("OpenStack", MappingProxyType(_terraform("OS_"))),
)
"""In the order in which they are looked at."""

IAM_VARIABLES: Final = ("HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL", "OS_AUTH_URL")
"""What tells where IAM is, first first."""

_WAYS: Final = (
    ("access_key", ("secret_key",), ("security_token", "project_id", "domain_id")),
    ("token", (), ()),
    ("user_name", ("password", "domain_name"), ("project_name", "project_id")),
)
"""For each way to authenticate: what shows it, what it needs, what it may have."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the environment gives, as options, and the variable that showed it."""

    auth: AuthSettings
    variable: str


def look_into(environ: Mapping[str, str], family: Family) -> Found | None:
    """Give what the variables of a family say; None where they say nothing.

    Raises AuthError where half of it is missing.
    """

    def variable_of(option: str) -> str | None:
        return next((name for name in family.variables.get(option, ()) if environ.get(name)), None)

    for sign, needed, further in _WAYS:
        shown = variable_of(sign)
        if shown is None:
            continue
        given = {sign: environ[shown]}
        for option in needed:
            name = variable_of(option)
            if name is None:
                raise AuthError(
                    f"{shown} is set, but {' or '.join(family.variables[option])} is not",
                    hint="set both, or neither",
                )
            given[option] = environ[name]
        given |= {option: environ[name] for option in further if (name := variable_of(option))}
        return Found(AuthSettings.model_validate(given), shown)
    if (secret := variable_of("secret_key")) is not None:
        raise AuthError(
            f"{secret} is set, but {' or '.join(family.variables['access_key'])} is not",
            hint="set both, or neither",
        )
    return None


def iam_endpoint(environ: Mapping[str, str]) -> str | None:
    """Give the base URL of IAM that the environment names, without the version that some tools put behind it."""
    value = next((environ[name] for name in IAM_VARIABLES if environ.get(name)), None)
    return value.rstrip("/").removesuffix("/v3") if value else None
