"""One row per server: its state, its progress, and its problems."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from exporter.language import Translatable
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import NO_TASK, SourceServer
from exporter.views.formatting import percent
from exporter.views.problems import (
    NO_PROBLEM,
    REPLICATING_STATES,
    URGENCY,
    Problem,
    check_results,
    describe_problems,
    find_problems,
    problem_since,
)


class ServerView(Struct, frozen=True, kw_only=True, gc=False):
    """One server. What the API does not report is None, or an empty text.

    `size` and `replicated` are bytes, `share` is percent, `speed` bytes per second, `remaining` seconds.
    `details` describes the problems. `since` is when the first problem began, in seconds since the epoch.
    """

    account: str
    id: str
    name: str
    ip: str
    state: str
    stage: str
    connected: bool | None
    size: int | None
    replicated: int | None
    share: float | None
    speed: float | None
    remaining: float | None
    problems: tuple[Problem, ...]
    details: tuple[Translatable, ...]
    since: float | None
    has_warnings: bool
    os_type: str
    os_version: str
    project: str

    @property
    def is_replicating(self) -> bool:
        """Whether data is being copied."""
        return self.state in REPLICATING_STATES

    @property
    def urgency(self) -> int:
        """The rank of its most urgent problem; the lowest comes first."""
        return URGENCY[self.problems[0]] if self.problems else NO_PROBLEM


def build_server_views(snapshots: Iterable[Snapshot]) -> tuple[ServerView, ...]:
    """Return a row for each server of all accounts."""
    return tuple(build_server_view(server, snapshot) for snapshot in snapshots for server in snapshot.servers)


def build_server_view(server: SourceServer, snapshot: Snapshot) -> ServerView:
    """Return the row of one server of this snapshot."""
    task = server.current_task or NO_TASK
    results = check_results(server)
    problems = find_problems(server, snapshot, results)
    size, replicated = server.totalsize, server.replicatesize
    return ServerView(
        account=snapshot.account,
        id=server.id,
        name=server.name or server.id,
        ip=server.ip or "",
        state=server.state or "",
        stage=server.migration_cycle or "",
        connected=server.connected,
        size=size,
        replicated=replicated,
        share=percent(replicated, size) if size and replicated is not None else None,
        speed=task.migrate_speed * snapshot.speed_unit_bytes if task.migrate_speed is not None else None,
        remaining=task.remain_seconds,
        problems=problems,
        details=describe_problems(server, problems) if problems else (),
        since=problem_since(server, snapshot, problems[0]) if problems else None,
        has_warnings="WARN" in results,
        os_type=server.os_type or "",
        os_version=server.os_version or "",
        project="" if server.enterprise_project_id is None else str(server.enterprise_project_id),
    )


def by_urgency(servers: Iterable[ServerView]) -> list[ServerView]:
    """Sort by problem, then replicating servers by remaining time, then the others by state."""
    return sorted(servers, key=_urgency_key)


def _urgency_key(server: ServerView) -> tuple[int, bool, float, str, str]:
    remaining = server.remaining if server.is_replicating and server.remaining is not None else float("inf")
    return (server.urgency, not server.is_replicating, remaining, server.state, server.name)


def running_migrations(servers: Iterable[ServerView]) -> list[ServerView]:
    """Return the servers that replicate data, the first to finish first; those without an estimate are last."""
    return sorted((server for server in servers if server.is_replicating), key=_completion_key)


def _completion_key(server: ServerView) -> tuple[bool, float, float, str]:
    return (server.remaining is None, server.remaining or 0.0, -(server.share or 0.0), server.name)


@dataclass(frozen=True, slots=True)
class AttentionView:
    """The servers that need attention, the most urgent first, their number by problem, and those with warnings only."""

    servers: Sequence[ServerView]
    counts: Sequence[tuple[Problem, int]]
    warnings: int


def build_attention_view(servers: Sequence[ServerView]) -> AttentionView:
    """Return the servers that need attention."""
    found = sorted((server for server in servers if server.problems), key=_attention_key)
    counts = Counter(problem for server in found for problem in server.problems)
    warnings = sum(server.has_warnings and not server.problems for server in servers)
    return AttentionView(found, [(problem, counts[problem]) for problem in Problem], warnings)


def _attention_key(server: ServerView) -> tuple[int, float, str]:
    return (server.urgency, server.since or 0.0, server.name)
