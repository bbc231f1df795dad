"""The identity of a simulated server: name, addresses, operating system and projects."""

import hashlib
from ipaddress import ip_address
from random import Random
from types import MappingProxyType
from typing import Final
from uuid import UUID

from msgspec import Struct

_MEBIBYTE: Final = 1 << 20
_LINUX: Final = (
    "CENTOS_7_4_64BIT",
    "CENTOS_7_9_64BIT",
    "REDHAT_7_3_64BIT",
    "REDHAT_8_6_64BIT",
    "UBUNTU_18_4_64BIT",
    "UBUNTU_20_4_64BIT",
    "UBUNTU_22_4_64BIT",
    "DEBIAN_11_0_64BIT",
    "SUSE_15_3_64BIT",
    "EULEROS_2_9_64BIT",
)
_WINDOWS: Final = (
    "WINDOWS2008_R2_64BIT",
    "WINDOWS2012_R2_64BIT",
    "WINDOWS2016_64BIT",
    "WINDOWS2019_64BIT",
    "WINDOWS2022_64BIT",
)
_LINUX_ROLES: Final = ("web", "app", "api", "db-pg", "db-mysql", "cache", "mq", "search", "ci", "batch")
_WINDOWS_ROLES: Final = ("win-ad", "win-sql", "win-file", "win-iis", "win-erp")
_CORES: Final = (1, 2, 2, 4, 4, 8, 8, 16, 32)
_HOSTS_PER_SUBNET: Final = 250
_INTEGER_PROJECT: Final = 5
"""The default project of one server in so many is an integer."""

ENTERPRISE_PROJECTS: Final = (
    "4f3b8f5e-7c0f-4c51-9a3d-1f2e7d6b5a01",
    "b1a6c2d4-0e9f-4a7b-8c35-6d7e8f9a0b02",
)
MIGRATION_PROJECTS: Final = MappingProxyType(
    {
        "6a1d2c3e-5b4f-4d6e-8f70-91a2b3c4d501": "default",
        "7b2e3d4f-6c50-4e7f-9081-a2b3c4d5e602": "wave-1",
        "8c3f4e50-7d61-4f80-8192-b3c4d5e6f703": "wave-2",
    }
)
"""The names of the migration projects by id."""
_PROJECT_IDS: Final = tuple(MIGRATION_PROJECTS)


class Identity(Struct, frozen=True, gc=False):
    """The constant properties of a server. `memory` is in bytes; None is a field that the API leaves out."""

    id: str
    index: int
    name: str
    ip: str
    ipv6: str | None
    windows: bool
    os_version: str
    oem_system: bool
    cpu_quantity: int
    memory: int
    enterprise_project_id: str | int | None
    migproject: str


def identifier(*parts: object) -> str:
    """Return a version 4 UUID derived from `parts`: the same parts give the same id."""
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=16).digest()
    return str(UUID(bytes=digest, version=4))


def build_identity(rng: Random, *, server_id: str, index: int) -> Identity:
    """Return a random identity; name and addresses are unique to the index."""
    windows = rng.random() < 0.3  # noqa: PLR2004 - a share
    subnet, host = divmod(index, _HOSTS_PER_SUBNET)
    cores = rng.choice(_CORES)
    role = rng.choice(_WINDOWS_ROLES if windows else _LINUX_ROLES)
    return Identity(
        id=server_id,
        index=index,
        name=f"{role}-{index + 1:03d}",
        ip=f"10.{20 + subnet // 250}.{subnet % 250}.{host + 2}",
        ipv6=str(ip_address(f"fd5e:{subnet:x}::{host + 2:x}")) if rng.random() < 0.25 else None,  # noqa: PLR2004 - a share
        windows=windows,
        os_version=rng.choice(_WINDOWS if windows else _LINUX),
        oem_system=windows and rng.random() < 0.1,  # noqa: PLR2004 - a share
        cpu_quantity=cores,
        # The firmware reserves some of it, so real values are never round.
        memory=(cores * rng.choice((1024, 2048, 4096)) - rng.randrange(16, 64)) * _MEBIBYTE,
        enterprise_project_id=_project_id(rng.choice(("0", None, *ENTERPRISE_PROJECTS)), index),
        migproject=_PROJECT_IDS[index % len(_PROJECT_IDS)],
    )


def _project_id(project: str | None, index: int) -> str | int | None:
    """Return the default project as an integer for some servers, as the API does."""
    return 0 if project == "0" and index % _INTEGER_PROJECT == 0 else project
