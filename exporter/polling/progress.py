"""The recent progress and transitions of each server, in a bounded number of bytes, for the page of one server."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.polling.snapshot import OTHER, Snapshot, documented
from exporter.sms.model import NO_TASK, SOURCE_STATES

MAX_SAMPLES: Final = 36
MAX_TRANSITIONS: Final = 6
MAX_BYTES_PER_SERVER: Final = 1024
"""What the samples and transitions of one server occupy at most; a test measures it."""

_VALUES: Final = 3
"""Numbers per sample and per transition."""
_STATES: Final = (*SOURCE_STATES, OTHER)
"""A state is stored as its position here."""


class Sample(NamedTuple):
    """What a poll reported: seconds since the epoch, replicated bytes, and bytes per second."""

    time: float
    replicated: float
    speed: float


class StateChange(NamedTuple):
    """When the state changed, in seconds since the epoch, and from what to what. Undocumented states are `other`."""

    time: float
    from_state: str
    to_state: str


@dataclass(slots=True, eq=False)
class _ServerProgress:
    # Single precision is enough for a chart and halves the memory. Times are relative to the first poll.
    samples: "array[float]" = field(default_factory=lambda: array("f"))
    transitions: "array[float]" = field(default_factory=lambda: array("d"))


class ProgressHistory:
    """The progress of the servers of one account. Only samples that differ from the previous one are kept."""

    def __init__(self) -> None:
        self._servers: dict[str, _ServerProgress] = {}
        self._start: float | None = None

    def add(self, snapshot: Snapshot, previous: Snapshot | None) -> None:
        """Add the servers of a snapshot that are new or changed, and forget those that no longer exist."""
        if self._start is None:
            self._start = snapshot.read_at
        unchanged = {id(server) for server in previous.servers} if previous else set()
        for server in snapshot.servers:
            # An unchanged server is the same record in both snapshots.
            if id(server) in unchanged and server.id in self._servers:
                continue
            progress = self._servers.get(server.id)
            if progress is None:
                progress = self._servers[server.id] = _ServerProgress()
            # A missing size is not 0: the chart shows the last one that was given.
            if server.replicatesize is None:
                continue
            speed = (server.current_task or NO_TASK).migrate_speed or 0.0
            elapsed = snapshot.read_at - self._start
            sample = array("f", (elapsed, server.replicatesize, speed * snapshot.speed_unit_bytes))
            if progress.samples[1 - _VALUES :] != sample[1:]:
                _append(progress.samples, sample, MAX_SAMPLES)
        for transition in snapshot.transitions:
            change = array("d", (snapshot.read_at, _code(transition.from_state), _code(transition.to_state)))
            _append(self._servers[transition.server.id].transitions, change, MAX_TRANSITIONS)
        for server_id in self._servers.keys() - {server.id for server in snapshot.servers}:
            del self._servers[server_id]

    def samples(self, server_id: str) -> Sequence[Sample]:
        """Return the samples of a server, the oldest first."""
        progress = self._servers.get(server_id)
        if progress is None or self._start is None:
            return ()
        return [Sample(self._start + time, *values) for time, *values in _group(progress.samples)]

    def transitions(self, server_id: str) -> Sequence[StateChange]:
        """Return the transitions of a server, the newest first."""
        progress = self._servers.get(server_id)
        if progress is None:
            return ()
        return [
            StateChange(time, _STATES[int(before)], _STATES[int(after)])
            for time, before, after in reversed(_group(progress.transitions))
        ]


def _code(state: str) -> int:
    return _STATES.index(documented(state, SOURCE_STATES))


def _append(values: "array[float]", added: "array[float]", maximum: int) -> None:
    """Append a sample or a transition, and drop the oldest above the maximum."""
    values.extend(added)
    del values[: max(0, len(values) - maximum * _VALUES)]


def _group(values: "array[float]") -> list[tuple[float, float, float]]:
    # A copy, because a thread may append.
    copy = iter(values[:])
    return list(zip(copy, copy, copy, strict=True))
