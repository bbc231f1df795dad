"""The subtasks of a simulated migration task, which run in order: derived from the phases of its run."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from exporter.simulator.timeline import Phase

SYNC_ROUNDS: Final = 6
"""Number of synchronizations in one phase of continuous synchronization."""
LISTED_ROUNDS: Final = 2
"""Number of synchronizations that a task lists: the last complete one and the running one."""

_FAILED_SHARE: Final = 0.9
"""The share of a subtask that is done when it fails."""


class SubTask(Struct, frozen=True, gc=False):
    """A subtask that has started. Times are seconds from the start of the plan; `end` is None while it runs."""

    name: str
    progress: int
    start: float
    end: float | None


class SubTaskNames(Struct, frozen=True, gc=False):
    """The names of the subtasks of one task, by the part of the migration in which they run."""

    set_up: Sequence[str]
    copy: str
    sync: str
    cut_over: Sequence[str]


CLONE: Final = "CLONE_VM"


def name_subtasks(task_type: str, *, windows: bool) -> SubTaskNames:
    """Return the names of the subtasks of a task of this type."""
    system = "WINDOWS" if windows else "LINUX"
    kind = f"{system}_{task_type.removeprefix('MIGRATE_')}"
    disk = system if windows else kind
    return SubTaskNames(
        set_up=("CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", f"FORMAT_DISK_{disk}"),
        copy=f"MIGRATE_{kind}",
        sync=f"SYNC_{kind}",
        cut_over=(f"CONFIGURE_{disk}", "DETTACH_AGENT_IMAGE"),
    )


def list_subtasks(names: SubTaskNames, phases: Sequence[Phase], elapsed: float, copied: float) -> list[SubTask]:
    """Return the started subtasks of a run, oldest first.

    `phases` are those of the whole run, `elapsed` is the time from the start of the plan, and `copied` the share of the
    first copy that is replicated.
    """
    failing = {phase.start for phase, following in pairwise(phases) if _interrupts(following)}
    begun = [phase for phase in phases if phase.start <= elapsed]
    found = [
        *_steps(names.set_up, [phase for phase in begun if phase.leg.state == "initialize"], failing, elapsed),
        *_copy(names.copy, begun, copied),
        *_rounds(names.sync, begun, failing, elapsed),
        *_steps((CLONE,), [phase for phase in begun if phase.leg.state == "cloning"], failing, elapsed),
        *_steps(names.cut_over, [phase for phase in begun if phase.leg.state == "cutovering"], failing, elapsed),
    ]
    return sorted(found, key=lambda subtask: subtask.start)


def _interrupts(phase: Phase) -> bool:
    """Return whether the work of the phase before this one was interrupted."""
    return phase.leg.state == "error" or not phase.leg.connected


def _steps(names: Sequence[str], phases: Sequence[Phase], failing: set[float], elapsed: float) -> Iterator[SubTask]:
    """Return the subtasks that share the last of the phases equally. In a phase that fails, one of them does."""
    if not phases:
        return
    phase = phases[-1]
    reached = (len(names) // 2 + _FAILED_SHARE) / len(names) if phase.start in failing else 1.0
    seconds = phase.seconds / reached / len(names)
    for number, name in enumerate(names):
        yield from _step(name, phase.start + number * seconds, seconds, min(elapsed, phase.start + phase.seconds))


def _step(name: str, start: float, seconds: float, moment: float) -> Iterator[SubTask]:
    """Return a subtask if it has started at a moment."""
    if start <= moment:
        share = (moment - start) / seconds
        # The end of the last subtask is the end of the phase, but for a rounding error.
        ended = share >= 1 - 1e-9
        yield SubTask(name, 100 if ended else percent(share), start, start + seconds if ended else None)


def _copy(name: str, begun: Sequence[Phase], copied: float) -> Iterator[SubTask]:
    copying = [phase for phase in begun if phase.leg.cycle == "replicating"]
    if copying:
        last = copying[-1]
        ended = last is not begun[-1]
        end = last.start + last.seconds if ended else None
        yield SubTask(name, 100 if ended else percent(copied), copying[0].start, end)


def _rounds(name: str, begun: Sequence[Phase], failing: set[float], elapsed: float) -> list[SubTask]:
    """Return the last synchronizations. The last one of a phase that fails does not end."""
    rounds: list[SubTask] = []
    for phase in begun:
        if phase.leg.state == "syncing" and phase.leg.connected:
            seconds = phase.seconds / SYNC_ROUNDS
            end = phase.start + phase.seconds - (seconds * (1 - _FAILED_SHARE) if phase.start in failing else 0)
            for number in range(SYNC_ROUNDS):
                rounds += _step(name, phase.start + number * seconds, seconds, min(elapsed, end))
    return rounds[-LISTED_ROUNDS:]


def percent(ratio: float) -> int:
    """Return a ratio as a whole percentage from 0 to 100."""
    return max(0, min(100, int(ratio * 100)))
