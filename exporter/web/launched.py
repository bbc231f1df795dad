"""/sd?of=launched: the target servers of launched migrations as targets of Prometheus's HTTP service discovery.

A migration is launched if its source server is `finished` or in the stage `cutovered`. An answer is complete or an
error: Prometheus keeps the targets that it knows after an error, and drops all of them after an empty list.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from exporter.families.task_details import find_address, list_tasks
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from exporter.sms.model import NO_TASK, SourceServer

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
    return _list_targets(snapshot)


def _list_targets(snapshot: Snapshot) -> Iterator[Mapping[str, Any]]:
    tasks = dict(list_tasks(snapshot))
    for server in snapshot.servers:
        address = find_address(tasks[server.id]) if server.id in tasks and _is_launched(server) else None
        if address is not None:
            yield {
                # A port can follow the address.
                "targets": [f"[{address}]" if ":" in address else address],
                "labels": {
                    "account": snapshot.account,
                    "server_id": server.id,
                    "name": server.name or "",
                    "os_type": server.os_type or "",
                    "project": (server.current_task or NO_TASK).project_name or "",
                },
            }


def _is_launched(server: SourceServer) -> bool:
    return server.state == "finished" or server.migration_cycle == "cutovered"
