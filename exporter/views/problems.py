"""Which servers need attention: failed, disconnected, stalled, or blocked by failed checks."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from exporter.language import Translatable
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer

FAILED_STATES: Final = ("error", "premigfailed", "clearfailed")
REPLICATING_STATES: Final = ("replicate", "syncing")
MIGRATING_STATES: Final = (*REPLICATING_STATES, "initialize", "stopping", "cloning", "cutovering")
STALLED_AFTER_SECONDS: Final = 1800.0
"""A replicating server that received no data for this long is stalled."""


class Problem(StrEnum):
    """A kind of problem, the most urgent first."""

    FAILED = "failed"
    DISCONNECTED = "disconnected"
    STALLED = "stalled"
    CHECKS = "checks"


ANY_PROBLEM: Final = "any"
"""The filter for every server that needs attention."""

PROBLEM_NAMES: Final[Mapping[str, Translatable]] = MappingProxyType(
    {
        ANY_PROBLEM: Translatable("any problem"),
        Problem.FAILED: Translatable("failed"),
        Problem.DISCONNECTED: Translatable("disconnected"),
        Problem.STALLED: Translatable("stalled"),
        Problem.CHECKS: Translatable("failed checks"),
    }
)

URGENCY: Final = {problem: number for number, problem in enumerate(Problem)}
NO_PROBLEM: Final = len(URGENCY)
"""The urgency of a server without a problem."""


def check_results(server: SourceServer) -> frozenset[str | None]:
    """Return the results of the server's checks."""
    return frozenset([check.result for check in server.checks]) if server.checks else frozenset()


def find_problems(server: SourceServer, snapshot: Snapshot, results: frozenset[str | None]) -> tuple[Problem, ...]:
    """Return the problems of a server with these check results, the most urgent first."""
    return tuple(_problems(server, snapshot, results))


def _problems(server: SourceServer, snapshot: Snapshot, results: frozenset[str | None]) -> Iterator[Problem]:
    if server.state in FAILED_STATES:
        yield Problem.FAILED
    if server.connected is False and server.state in MIGRATING_STATES:
        yield Problem.DISCONNECTED
    if (
        server.connected
        and server.state in REPLICATING_STATES
        and snapshot.read_at - _last_progress(server, snapshot) >= STALLED_AFTER_SECONDS
    ):
        yield Problem.STALLED
    if "ERROR" in results and server.state != "finished":
        yield Problem.CHECKS


def problem_since(server: SourceServer, snapshot: Snapshot, problem: Problem) -> float | None:
    """Return when a problem began, in seconds since the epoch; None if the API does not report it."""
    if problem is Problem.STALLED:
        return _last_progress(server, snapshot)
    milliseconds = server.last_visit_time if problem is Problem.DISCONNECTED else server.state_action_time
    return milliseconds / 1000 if milliseconds else None


def describe_problems(server: SourceServer, problems: tuple[Problem, ...]) -> tuple[Translatable, ...]:
    """Return what the API reports about the problems of a server: the clone's error and the failed checks."""
    return tuple(_details(server, problems))


def _details(server: SourceServer, problems: tuple[Problem, ...]) -> Iterator[Translatable]:
    task = server.current_task
    if Problem.FAILED in problems and task and task.clone_server and task.clone_server.clone_error:
        yield Translatable("clone: %(error)s", error=task.clone_server.clone_error)
    if failed := sorted({check.name or "?" for check in server.checks or () if check.result == "ERROR"}):
        yield Translatable("failed checks: %(names)s", names=", ".join(failed))


def _last_progress(server: SourceServer, snapshot: Snapshot) -> float:
    """Return when the server last received data or entered its state, in seconds since the epoch."""
    return max(snapshot.last_growth.get(server.id, snapshot.read_at), (server.state_action_time or 0) / 1000)
