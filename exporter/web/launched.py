"""/sd?of=launched: the target servers of launched migrations as targets of Prometheus's HTTP service discovery.

An answer is complete or an error: Prometheus keeps the targets that it knows after an error, and drops all of them
after an empty list.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from exporter.families.projects import find_projects
from exporter.polling.launched import LaunchedServer, list_launched_servers
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account

COLLECTOR: Final = "task_details"


class NotKnown(Exception):
    """The launched target servers of an account are not known; the message says why."""


def list_launched(accounts: Sequence[Account], now: float) -> Sequence[Mapping[str, Any]]:
    """Return a target group for each launched target server with a valid address. Raise NotKnown."""
    return [group for account in accounts for group in _list_account(account, now)]


def _list_account(account: Account, now: float) -> Iterator[Mapping[str, Any]]:
    if COLLECTOR not in account.details.collectors:
        raise NotKnown("the collector is off: set --collector.task-details")
    state = account.collector_state(COLLECTOR)
    if not state.up:
        reason = f"its last reading failed ({state.error.reason})" if state.error else "it has not been read yet"
        raise NotKnown(f"account {account.name}: no data of the collector {COLLECTOR}: {reason}")
    snapshot = account.served_snapshot(now)
    if snapshot is None or COLLECTOR not in account.served_details(now) or COLLECTOR not in snapshot.details:
        raise NotKnown(f"account {account.name}: the data is stale")
    launched = tuple(list_launched_servers(snapshot, account.settings))
    if launched and not any(each.address for each in launched):
        raise NotKnown(
            f"account {account.name}: the API reports no valid address of any of the {len(launched)} launched servers"
        )
    return _list_targets(snapshot, launched)


def _list_targets(snapshot: Snapshot, launched: Sequence[LaunchedServer]) -> Iterator[Mapping[str, Any]]:
    projects = find_projects(snapshot)
    for server, address in ((each.server, each.address) for each in launched):
        if address is not None:
            members = projects.get(server.id)
            yield {
                # A port can follow the address.
                "targets": [f"[{address}]" if ":" in address else address],
                "labels": {
                    "account": snapshot.account,
                    "server_id": server.id,
                    "name": server.name or "",
                    "os_type": server.os_type or "",
                    "project": (members.project.name if members else None) or "",
                },
            }
