"""Every server in a line: where it is, how far, and whether it needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer
from exporter.views.attention import KINDS, kinds_of_trouble
from exporter.views.migrations import MOVING_STATES
from exporter.views.words import percent


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server: `share` is percent, `speed` bytes a second, `left` seconds; None where not told."""

    account: str
    name: str
    ip: str
    state: str
    moving: bool
    share: float | None
    speed: float | None
    left: float | None
    trouble: tuple[str, ...]


def server_views(snapshots: Sequence[Snapshot]) -> tuple[ServerView, ...]:
    """Give all servers: those that need a person first, then those that move bytes, the next to end first."""
    found = [_server_view(server, snapshot) for snapshot in snapshots for server in snapshot.servers]
    return tuple(sorted(found, key=_urgency))


def _server_view(server: SourceServer, snapshot: Snapshot) -> ServerView:
    task = server.current_task
    return ServerView(
        account=snapshot.account,
        name=server.name or server.id,
        ip=server.ip or "",
        state=server.state or "",
        moving=server.state in MOVING_STATES,
        share=percent(server.replicatesize or 0, server.totalsize) if server.totalsize else None,
        speed=task.migrate_speed * snapshot.speed_unit_bytes if task and task.migrate_speed is not None else None,
        left=task.remain_seconds if task else None,
        trouble=kinds_of_trouble(server, snapshot),
    )


def _urgency(view: ServerView) -> tuple[int, bool, float, str, str]:
    trouble = KINDS.index(view.trouble[0]) if view.trouble else len(KINDS)
    left = view.left if view.moving and view.left is not None else float("inf")
    return (trouble, not view.moving, left, view.state, view.name)
