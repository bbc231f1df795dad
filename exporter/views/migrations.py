"""The migrations that move bytes now, and when each will be across."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer
from exporter.views.words import percent

MOVING_STATES: Final = ("replicate", "syncing")


@dataclass(frozen=True, slots=True)
class Migration:
    """One running migration: `share` is percent, `speed` bytes a second, `left` seconds; None where not told."""

    account: str
    name: str
    ip: str
    state: str
    connected: bool
    replicated: int
    size: int
    share: float
    speed: float | None
    left: float | None


def running_migrations(snapshots: Sequence[Snapshot]) -> tuple[Migration, ...]:
    """Give all migrations that move bytes, the one to end first at the top, those without an end last."""
    found = [
        _migration(server, snapshot)
        for snapshot in snapshots
        for server in snapshot.servers
        if server.state in MOVING_STATES
    ]
    return tuple(sorted(found, key=_first_to_end))


def _migration(server: SourceServer, snapshot: Snapshot) -> Migration:
    task = server.current_task
    speed = task.migrate_speed * snapshot.speed_unit_bytes if task and task.migrate_speed is not None else None
    return Migration(
        account=snapshot.account,
        name=server.name or server.id,
        ip=server.ip or "",
        state=server.state or "",
        connected=server.connected is not False,
        replicated=server.replicatesize or 0,
        size=server.totalsize or 0,
        share=percent(server.replicatesize or 0, server.totalsize or 0),
        speed=speed,
        left=task.remain_seconds if task else None,
    )


def _first_to_end(migration: Migration) -> tuple[bool, float, float, str]:
    return (migration.left is None, migration.left or 0.0, -migration.share, migration.name)
