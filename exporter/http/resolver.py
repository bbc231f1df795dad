"""Name look-ups by the C library, in threads that delay neither other accounts nor the shutdown.

The C library honours nsswitch.conf, /etc/hosts and search domains. c-ares (aiodns) honours only a part of
nsswitch.conf: names of mDNS, LDAP or a container engine could no longer be found.
"""

import functools
import socket
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.blocking import SharedCall

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int
    family: int
    protocol: int


class SystemResolver(AbstractResolver):
    """Looks up names with getaddrinfo, each name at most once at a time.

    Each account has a resolver of its own, which looks up its API, IAM and proxy: name servers that never
    answer occupy that many threads, and only of this account.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int, int], SharedCall[list[_Address]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raise OSError if it has none."""
        lookup = SharedCall(functools.partial(_look_up, host, port, family))
        lookup = self._lookups.setdefault((host, port, family), lookup)
        return [
            ResolveResult(
                hostname=host,
                host=address.host,
                port=address.port,
                family=address.family,
                proto=address.protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await lookup()
        ]

    async def close(self) -> None:
        """Do nothing: a look-up in progress ends by itself."""


def _look_up(host: str, port: int, family: int) -> list[_Address]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    # The numeric form of a link-local address includes its interface.
    return [
        _Address(socket.getnameinfo(address, _NUMERIC)[0], port, address_family, protocol)
        for address_family, _, protocol, _, address in found
    ]
