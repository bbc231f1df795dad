"""The page of one server: its row, its facts, its checks, and its progress over the last polls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.language import Translatable
from exporter.polling.progress import ProgressHistory, StateChange
from exporter.polling.snapshot import Snapshot
from exporter.sms.details import SubTask
from exporter.sms.model import EnvironmentCheck, InitTargetServer, SourceServer
from exporter.translation import Translator
from exporter.views.collector_facts import list_subtasks
from exporter.views.details import Line, build_facts, build_line, promql_selector
from exporter.views.facts import Facts
from exporter.views.formatting import format_size, format_speed
from exporter.views.servers import ServerView, build_server_view

QUERIES: Final = (
    (Translatable("State"), "source_server_state"),
    (Translatable("Replicated"), "source_server_replicated_bytes"),
    (Translatable("Speed"), "task_migrate_speed_bytes_per_second"),
)
"""The metrics whose queries can be copied."""

_CHECK_ORDER: Final = ("ERROR", "WARN", "OK")


@dataclass(frozen=True, slots=True)
class ServerPage:
    """What the page shows. `read_at` is when the data was read, in seconds since the epoch."""

    row: ServerView
    read_at: float
    sections: Sequence[Facts]
    subtasks: Sequence[SubTask]
    checks: Sequence[EnvironmentCheck]
    disks: InitTargetServer | None
    lines: Sequence[tuple[Translatable, Callable[[float], str], Line]]
    transitions: Sequence[StateChange]
    queries: Sequence[tuple[Translatable, str]]


def find_server(snapshot: Snapshot, server_id: str) -> SourceServer | None:
    """Return the server with this id."""
    return next((server for server in snapshot.servers if server.id == server_id), None)


def build_server_page(
    server: SourceServer, snapshot: Snapshot, progress: ProgressHistory, now: float, translator: Translator
) -> ServerPage:
    """Return the page of a server of this snapshot."""
    samples = progress.samples(server.id)
    charts = (
        (Translatable("Replicated"), format_size, build_line(samples, "replicated", now)),
        (Translatable("Speed"), format_speed, build_line(samples, "speed", now)),
    )
    return ServerPage(
        row=build_server_view(server, snapshot),
        read_at=snapshot.read_at,
        sections=build_facts(server, snapshot, translator),
        subtasks=list_subtasks(server.id, snapshot),
        checks=sorted(server.checks or (), key=_check_rank),
        disks=server.init_target_server,
        lines=[(title, write, line) for title, write, line in charts if line],
        transitions=progress.transitions(server.id),
        queries=[(title, promql_selector(name, snapshot.account, server.id)) for title, name in QUERIES],
    )


def _check_rank(check: EnvironmentCheck) -> int:
    return _CHECK_ORDER.index(check.result) if check.result in _CHECK_ORDER else len(_CHECK_ORDER)
