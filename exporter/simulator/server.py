"""One simulated source server: its record at any moment (Table 4 of the reference)."""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from random import Random
from typing import Any, Final, Protocol

import msgspec
from msgspec import structs

from exporter.simulator.environment import build_checks
from exporter.simulator.hardware import build_target
from exporter.simulator.inventory import Identity, build_identity, identifier
from exporter.simulator.subtasks import SubTask
from exporter.simulator.task import TaskBuilder, milliseconds
from exporter.simulator.timeline import Plan, Position

_DAY: Final = 86_400.0
_OLDEST: Final = 40 * _DAY
_HALF_AS_OLD: Final = 100
"""The index of a server that is half as old as the oldest."""
_LONGEST_PLAN_MINUTES: Final = 14_400.0
_HEARTBEAT: Final = 15.0
_SYNCED: Final = frozenset({"syncing", "cutovering", "cutovered"})
_MAX_SHARED_SERVERS: Final = 2048
"""Maximum number of servers whose properties simulators of the same seed share."""

_encode = msgspec.json.Encoder().encode


class Server(Protocol):
    """A server of a fleet."""

    @property
    def id(self) -> str:
        """The id of the server in the API."""

    @property
    def migproject(self) -> str:
        """The id of its migration project, which is in no field of the record; empty if unknown."""

    @property
    def number(self) -> int | None:
        """The number of the server in its fleet, from which its target server gets an address; None if it has none."""

    def record(self, moment: float) -> dict[str, Any]:
        """Return the record at a moment in seconds since the epoch; parts can be `msgspec.Raw`."""

    def has_task(self, moment: float) -> bool:
        """Return whether the server has a task at a moment."""

    def subtasks(self, moment: float) -> Sequence[SubTask]:
        """Return the subtasks that have started, oldest first, with times in seconds since the epoch."""


class FixedServer:
    """A server with a given record that never changes."""

    number = None

    def __init__(self, record: dict[str, Any]) -> None:
        self.id = str(record.get("id", ""))
        self.migproject = ""
        self._record = record

    def record(self, moment: float) -> dict[str, Any]:  # noqa: ARG002 - the signature of the protocol
        """Return the record unchanged."""
        return dict(self._record)

    def has_task(self, moment: float) -> bool:  # noqa: ARG002 - the signature of the protocol
        """Return whether the record has a task."""
        return bool(self._record.get("current_task"))

    def subtasks(self, moment: float) -> Sequence[SubTask]:  # noqa: ARG002 - the signature of the protocol
        """Return nothing: the record does not have the times of the subtasks."""
        return ()


class _Facts:
    """The random properties of a simulated server, except its id."""

    def __init__(self, seed: int, index: int, server_id: str, acceleration: float) -> None:
        rng = Random(f"{seed}:{index}")  # noqa: S311 - a simulation, not a secret
        self.plan = Plan(rng, acceleration=acceleration)
        self.identity = build_identity(rng, server_id=server_id, index=index)
        self.task = TaskBuilder(rng, self.identity, seed=seed, speed_limit=self.plan.speed_limit)
        passing, failing = build_checks(rng, windows=self.identity.windows, index=index)
        self.passing = msgspec.Raw(_encode(passing))
        self.failing = msgspec.Raw(_encode(failing))
        target = build_target(rng, windows=self.identity.windows, used=self.plan.size)
        self.heartbeat = rng.uniform(0.0, _HEARTBEAT)
        self.consistency = rng.random() < 0.3  # noqa: PLR2004 - a share
        self.forgets_sizes = rng.random() < 0.7  # noqa: PLR2004 - a share
        self.fixed = _fixed_fields(self.identity, has_tc=rng.random() < 0.7, target=target)  # noqa: PLR2004 - a share


# They never change and follow from the arguments. Deriving them takes most of the time of a short simulation.
_shared_facts = lru_cache(_MAX_SHARED_SERVERS)(_Facts)


class MigratingServer:
    """A server that migrates again and again. Its properties are derived from `seed` and `index` at the first use.

    `acceleration` shortens its plan. At `epoch` (seconds since the epoch) its plan is at a random position or, if the
    server is new, at the start: it was registered at that moment.
    """

    __slots__ = ("__dict__", "_acceleration", "_epoch", "_index", "_is_new", "_seed", "id")

    def __init__(self, *, seed: int, index: int, acceleration: float, epoch: float, is_new: bool = False) -> None:
        self.id = identifier(seed, index)
        self._seed = seed
        self._index = index
        self._acceleration = acceleration
        self._epoch = epoch
        self._is_new = is_new

    @cached_property
    def _facts(self) -> _Facts:
        return _shared_facts(self._seed, self._index, self.id, self._acceleration)

    @property
    def _registered_at(self) -> float:
        return self._epoch - (0.0 if self._is_new else _age(self._index, self._acceleration))

    def _position(self, moment: float) -> Position:
        plan = self._facts.plan
        return plan.at(moment, epoch=self._epoch, offset=0.0 if self._is_new else plan.offset)

    @property
    def migproject(self) -> str:
        """The id of its migration project."""
        return self._facts.identity.migproject

    @property
    def number(self) -> int:
        """The number of the server in its fleet."""
        return self._index

    def has_task(self, moment: float) -> bool:
        """Return whether the server has a task at a moment."""
        return self._position(moment).phase.task_start is not None

    def subtasks(self, moment: float) -> Sequence[SubTask]:
        """Return the subtasks that have started, oldest first, with times in seconds since the epoch."""
        position = self._position(moment)
        if position.phase.task_start is None:
            return ()
        return [
            structs.replace(
                subtask,
                start=position.origin + subtask.start,
                end=None if subtask.end is None else position.origin + subtask.end,
            )
            for subtask in self._facts.task.subtasks(self._facts.plan, position)
        ]

    def record(self, moment: float) -> dict[str, Any]:
        """Return the record at a moment in seconds since the epoch."""
        facts = self._facts
        position = self._position(moment)
        phase = position.phase
        leg = phase.leg
        checks: object = facts.failing if leg.state == "unavailable" else facts.passing
        forgotten = leg.state == "finished" and facts.forgets_sizes
        started = phase.task_start is not None and not forgotten
        return {
            **facts.fixed,
            "add_date": milliseconds(self._registered_at),
            "state": leg.state,
            "connected": leg.connected,
            "current_task": facts.task.at(facts.plan, position, moment),
            "checks": checks if leg.checked else [],
            "replicatesize": position.replicated if started else 0,
            "totalsize": phase.total if started else 0,
            "stage_action_time": milliseconds(position.origin + phase.since_cycle),
            "state_action_time": milliseconds(position.origin + phase.since_state) if leg.checked else None,
            "last_visit_time": milliseconds(self._last_visit(position, moment)),
            "migration_cycle": leg.cycle,
            "is_consistency_result_exist": facts.consistency and leg.cycle in _SYNCED,
        }

    def _last_visit(self, position: Position, moment: float) -> float:
        if position.phase.leg.connected:
            latest = moment - (moment + self._facts.heartbeat) % _HEARTBEAT
            return max(latest, self._epoch) if self._is_new else latest
        return position.origin + position.phase.since_connection


def _age(index: int, acceleration: float) -> float:
    """Return how long before the epoch a server was registered: before its plan began, later for smaller indexes."""
    return _LONGEST_PLAN_MINUTES * 60 / acceleration + _DAY + _OLDEST * index / (index + _HALF_AS_OLD)


def _fixed_fields(identity: Identity, *, has_tc: bool, target: object) -> dict[str, Any]:
    """Return the fields that never change; the target is encoded once."""
    fields: dict[str, Any] = {
        "id": identity.id,
        "ip": identity.ip,
        "name": identity.name,
        "os_type": "WINDOWS" if identity.windows else "LINUX",
        "os_version": identity.os_version,
        "oem_system": identity.oem_system,
        "cpu_quantity": identity.cpu_quantity,
        "memory": identity.memory,
        "init_target_server": msgspec.Raw(_encode(target)),
        "start_type": "MANUAL",
    }
    if identity.ipv6 is not None:
        fields["ipv6"] = identity.ipv6
    if identity.enterprise_project_id is not None:
        fields["enterprise_project_id"] = identity.enterprise_project_id
    if not identity.windows:
        fields["has_tc"] = has_tc
    return fields
