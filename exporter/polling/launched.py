"""The launched target servers of a snapshot, and the addresses at which they can be probed.

A migration is launched if its source server is `finished` or in the stage `cutovered`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from exporter.polling.snapshot import Snapshot
from exporter.settings import AccountSettings
from exporter.sms.details import MigrationTask
from exporter.sms.model import SourceServer

SIMULATED_TARGETS: Final = IPv4Network("127.64.0.0/10")
"""The loopback addresses that the simulator gives to target servers that listen."""

_NO_TARGETS: Final = tuple(
    map(IPv4Network, ("0.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
)
"""This network, addresses of providers' NAT, link-local, multicast and reserved addresses."""


@dataclass(frozen=True, slots=True)
class LaunchedServer:
    """A source server whose target server is launched; `address` is None if the API reports no valid one."""

    server: SourceServer
    address: str | None


def list_launched_servers(snapshot: Snapshot, settings: AccountSettings) -> Iterator[LaunchedServer]:
    """Return the launched servers of an account, in the order of the list."""
    details = snapshot.details.get("task_details")
    tasks = details.records if details else {}
    accepts_simulated = _is_loopback_url(settings.api.url)
    for server in snapshot.servers:
        if server.state == "finished" or server.migration_cycle == "cutovered":
            addresses = list_addresses(tasks[server.id]) if server.id in tasks else ()
            valid = (str(address) for address in addresses if is_target_address(address, accepts_simulated))
            yield LaunchedServer(server, next(valid, None))


def list_addresses(task: MigrationTask) -> Iterator[IPv4Address | IPv6Address]:
    """Return the IP addresses that the API reports for the target server of a task."""
    for text in (task.migration_ip, task.target_server.ip if task.target_server else None):
        try:
            yield ip_address((text or "").strip())
        except ValueError:
            continue


def is_target_address(address: IPv4Address | IPv6Address, accepts_simulated: bool) -> bool:
    """Return whether a server can have this address: a global or private one, for one host.

    An answer of the API must not direct probes at the prober itself, a metadata service or a whole network.
    `accepts_simulated` also accepts the addresses of the simulator, which are on the loopback interface.
    """
    if address.is_loopback:
        return accepts_simulated and address in SIMULATED_TARGETS
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NO_TARGETS)
    return not (
        address.ipv4_mapped
        or address.scope_id
        or address.is_unspecified
        or address.is_link_local
        or address.is_site_local
        or address.is_multicast
        or address.is_reserved
    )


def _is_loopback_url(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
