"""What needs a person: servers that failed, fell silent, stand still, or cannot be migrated as they are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer
from exporter.views.migrations import MOVING_STATES
from exporter.views.words import percent

FAILED_STATES: Final = ("error", "premigfailed", "clearfailed")
MIGRATING_STATES: Final = ("initialize", "replicate", "syncing", "stopping", "cloning", "cutovering")
STALLED_AFTER: Final = 1800.0
"""Seconds without a byte after which a server is stalled."""

FAILED: Final = "failed"
DISCONNECTED: Final = "disconnected"
STALLED: Final = "stalled"
CHECKS: Final = "checks"
KINDS: Final = (FAILED, DISCONNECTED, STALLED, CHECKS)
"""The kinds of trouble, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A server that needs a person: `kinds` of trouble, `details` as short sentences, and `since` when.

    `share` is the percent of `size` in bytes that is across, None where the API did not tell or it does not
    matter. `since` is seconds since the epoch, None where that is not known.
    """

    account: str
    name: str
    ip: str
    state: str
    kinds: tuple[str, ...]
    share: float | None
    size: int
    details: tuple[str, ...]
    since: float | None


@dataclass(frozen=True, slots=True)
class AttentionView:
    """All servers in trouble, the most urgent first, how many there are of each kind, and of mere warnings."""

    troubles: tuple[Trouble, ...]
    counts: tuple[tuple[str, int], ...]
    warnings: int


def attention_view(snapshots: Sequence[Snapshot]) -> AttentionView:
    """Find who needs a person."""
    troubles = []
    warnings = 0
    for snapshot in snapshots:
        for server in snapshot.servers:
            if kinds := kinds_of_trouble(server, snapshot):
                troubles.append(_trouble(server, snapshot, kinds))
            elif any(check.result == "WARN" for check in server.checks or ()):
                warnings += 1
    troubles.sort(key=lambda trouble: (KINDS.index(trouble.kinds[0]), trouble.since or 0.0, trouble.name))
    counts = Counter(kind for trouble in troubles for kind in trouble.kinds)
    return AttentionView(tuple(troubles), tuple((kind, counts[kind]) for kind in KINDS), warnings)


def kinds_of_trouble(server: SourceServer, snapshot: Snapshot) -> tuple[str, ...]:
    """Give the kinds of trouble that a server is in, the most urgent first."""
    return tuple(_kinds(server, snapshot))


def _kinds(server: SourceServer, snapshot: Snapshot) -> Iterator[str]:
    if server.state in FAILED_STATES:
        yield FAILED
    if server.connected is False and server.state in MIGRATING_STATES:
        yield DISCONNECTED
    if server.connected and server.state in MOVING_STATES and _still(server, snapshot) >= STALLED_AFTER:
        yield STALLED
    if server.state != "finished" and any(check.result == "ERROR" for check in server.checks or ()):
        yield CHECKS


def _trouble(server: SourceServer, snapshot: Snapshot, kinds: tuple[str, ...]) -> Trouble:
    since = {
        FAILED: server.state_action_time and server.state_action_time / 1000,
        DISCONNECTED: server.last_visit_time and server.last_visit_time / 1000,
        STALLED: snapshot.read_at - _still(server, snapshot),
        CHECKS: server.state_action_time and server.state_action_time / 1000,
    }[kinds[0]]
    return Trouble(
        account=snapshot.account,
        name=server.name or server.id,
        ip=server.ip or "",
        state=server.state or "",
        kinds=kinds,
        share=percent(server.replicatesize or 0, server.totalsize) if server.totalsize and kinds != (CHECKS,) else None,
        size=server.totalsize or 0,
        details=tuple(_details(server, kinds)),
        since=since or None,
    )


def _details(server: SourceServer, kinds: tuple[str, ...]) -> Iterator[str]:
    task = server.current_task
    if FAILED in kinds and task and task.clone_server and task.clone_server.clone_error:
        yield f"clone: {task.clone_server.clone_error}"
    if failed := sorted({check.name or "?" for check in server.checks or () if check.result == "ERROR"}):
        yield f"check {', '.join(failed)}"


def _still(server: SourceServer, snapshot: Snapshot) -> float:
    """Give the seconds since the server last moved a byte, or came into its state."""
    last = max(snapshot.last_growth.get(server.id, snapshot.read_at), (server.state_action_time or 0) / 1000)
    return snapshot.read_at - last
