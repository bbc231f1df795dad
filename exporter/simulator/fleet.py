"""The fleet that the simulator lists: simulated servers or given records, and the changes made to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import msgspec

from exporter.clock import Clock, SystemClock
from exporter.simulator.details import Migration
from exporter.simulator.query import Query
from exporter.simulator.server import FixedServer, MigratingServer, Server
from exporter.simulator.task import milliseconds

ACCELERATION: Final = 60.0
"""Simulated seconds per real second: a migration takes minutes instead of hours."""

MOVING: Final = frozenset({"replicate", "syncing"})
"""States in which data is replicated."""

TARGETS: Final = "198.18.0.1"
"""The first address of target servers: from the range for benchmarks, in which no server answers."""

_RECENT_SECONDS: Final = 60.0

_NO_PROGRESS: Final = {"migrate_speed": 0.0, "remain_seconds": None, "estimate_complete_time": None}


@dataclass(slots=True)
class _Override:
    """Overridden fields of a server, and the moment at which all others are frozen."""

    fields: Mapping[str, object] = field(default_factory=dict)
    held_at: float | None = None


class Selection:
    """The servers that match a query, in the API's order, at one moment."""

    def __init__(self, fleet: "Fleet", servers: Sequence[Server], moment: float) -> None:
        self._fleet = fleet
        self._servers = servers
        self._moment = moment

    def __len__(self) -> int:
        return len(self._servers)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Return the records of a range; parts of them can be `msgspec.Raw`."""
        return [self._fleet.render(server, self._moment) for server in self._servers[start:stop]]

    def migrations(self, start: int = 0, stop: int | None = None) -> list[Migration]:
        """Return what the further lists are built from, for a range of servers."""
        return [self._fleet.migration(server, self._moment) for server in self._servers[start:stop]]


class Fleet:
    """Servers that migrate by themselves, and that can be added, removed, failed, disconnected and stalled.

    All `servers` are derived from `seed`: the same seed produces the same fleet with the same history, starting at the
    current time of `clock`. `acceleration` is simulated seconds per real second. It shortens the phases of a migration
    and with them the sizes, while the reported speeds and times are true in real time. `targets` is the first address
    of the target servers.
    """

    def __init__(
        self,
        servers: int = 250,
        *,
        seed: int = 1,
        acceleration: float = ACCELERATION,
        clock: Clock | None = None,
        targets: str = TARGETS,
    ) -> None:
        self._targets = ip_address(targets)
        self._clock = clock or SystemClock()
        self._seed = seed
        self._acceleration = acceleration
        self._epoch = self._clock.time()
        self._next_index = 0
        self._frozen_at: float | None = None
        self._servers: list[Server] = []
        self._overrides: dict[str, _Override] = {}
        self._servers_by_task: dict[object, tuple[Server, float]] = {}
        self.resize(servers)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]], *, clock: Clock | None = None) -> "Fleet":
        """Return a fleet that lists these records unchanged, in this order."""
        fleet = cls(0, clock=clock)
        for record in records:
            fleet.add(record)
        return fleet

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def ids(self) -> list[str]:
        """The ids of all servers, in the API's order."""
        return [server.id for server in self._servers]

    def now(self) -> float:
        """Return the time of the records, in seconds since the epoch."""
        return self._clock.time() if self._frozen_at is None else self._frozen_at

    def freeze(self, moment: float | None = None) -> None:
        """Freeze the fleet at a time (seconds since the epoch), by default now."""
        self._frozen_at = self._clock.time() if moment is None else moment

    def unfreeze(self) -> None:
        """Continue at the current time of the clock."""
        self._frozen_at = None

    def select(self, query: Query | None = None) -> Selection:
        """Return the servers that match the filters of a query; limit and offset are ignored."""
        moment = self.now()
        servers = self._servers
        filters = dict(query.filters) if query else {}
        if project := filters.pop("migproject", None):
            servers = [server for server in servers if server.migproject == project]
        if query and filters:
            servers = [each for each in servers if query.matches(self.render(each, moment), each.migproject)]
        return Selection(self, servers, moment)

    def with_tasks(self) -> Selection:
        """Return the servers that have a task."""
        moment = self.now()
        return Selection(self, [server for server in self._servers if self._has_task(server, moment)], moment)

    def find_task(self, task_id: str) -> Migration | None:
        """Return the server that has, or had within the last minutes, a task with this id; None if there is none.

        A client that has just read the id may ask for it although the server has begun another migration since.
        """
        found = self._recent_task(task_id)
        if found is None:
            now = self.now()
            self._servers_by_task.clear()
            for moment in (now - _RECENT_SECONDS, now):
                for server in self._servers:
                    task = self.render(server, moment).get("current_task")
                    if isinstance(task, Mapping):
                        self._servers_by_task[task.get("id")] = (server, moment)
            found = self._recent_task(task_id)
        return found

    def _recent_task(self, task_id: str) -> Migration | None:
        server, seen_at = self._servers_by_task.get(task_id, (None, 0.0))
        if server is None or server not in self._servers:
            return None
        now = self.now()
        for moment in (now, seen_at) if now - seen_at <= 2 * _RECENT_SECONDS else (now,):
            migration = self.migration(server, moment)
            if migration.task.get("id") == task_id:
                return migration
        return None

    def projects(self) -> set[str]:
        """Return the ids of the migration projects that have servers."""
        return {server.migproject for server in self._servers}

    def records(self) -> list[dict[str, Any]]:
        """Return all current records as the API would send them."""
        rows = self.select().rows(0, len(self))
        plain: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(rows))
        return plain

    def record(self, server_id: str) -> dict[str, Any]:
        """Return one current record. Raise KeyError if there is no such server."""
        row = self.render(self._find(server_id), self.now())
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
        return plain

    def add(self, record: Mapping[str, Any] | None = None) -> str:
        """Register a simulated server now, or add a given record, and return its id.

        The list has the newest server first, and given records in the order in which they were added.
        """
        if record is not None:
            self._servers.append(FixedServer(dict(record)))
            return self._servers[-1].id
        self._servers.insert(0, self._create(self.now(), is_new=True))
        return self._servers[0].id

    def resize(self, servers: int) -> None:
        """Add simulated servers that migrate already, or remove the oldest ones, until there are that many."""
        del self._servers[servers:]
        while len(self._servers) < servers:
            self._servers.append(self._create(self._epoch))

    def _create(self, epoch: float, *, is_new: bool = False) -> Server:
        self._next_index += 1
        return MigratingServer(
            seed=self._seed,
            index=self._next_index - 1,
            acceleration=self._acceleration,
            epoch=epoch,
            is_new=is_new,
        )

    def remove(self, server_id: str) -> None:
        """Remove a server. Raise KeyError if there is no such server."""
        self._servers.remove(self._find(server_id))
        self._overrides.pop(server_id, None)

    def override(self, server_id: str, /, **fields: object) -> None:
        """Override fields of a record; objects such as `current_task` are merged, all other fields keep changing.

        Raise KeyError if there is no such server.
        """
        self._find(server_id)
        override = self._overrides.setdefault(server_id, _Override())
        override.fields = _merged(override.fields, fields)

    def clear_overrides(self, server_id: str | None = None) -> None:
        """Remove the overrides of a server, or of all servers."""
        if server_id is None:
            self._overrides.clear()
        else:
            self._overrides.pop(server_id, None)

    def fail(self, server_id: str) -> None:
        """Make a server's migration fail permanently. Raise KeyError like `override`."""
        self._hold(
            server_id,
            {"state": "error", "state_action_time": milliseconds(self.now())},
            {"state": "MIGRATE_FAIL", **_NO_PROGRESS},
        )

    def disconnect(self, server_id: str) -> None:
        """Disconnect a server's agent; the server stays in its state. Raise KeyError like `override`."""
        self._hold(
            server_id,
            {"connected": False, "last_visit_time": milliseconds(self.now())},
            _NO_PROGRESS,
        )

    def stall(self, server_id: str) -> None:
        """Stop the replication of a connected server.

        Raise KeyError like `override`, and ValueError if the server does not replicate or is not connected.
        """
        record = self.record(server_id)
        state = record.get("state")
        if state not in MOVING or not record.get("connected"):
            raise ValueError(f"only a connected server in {' or '.join(sorted(MOVING))} can stall, not one in {state}")
        self._hold(server_id, {}, _NO_PROGRESS)

    def render(self, server: Server, moment: float) -> dict[str, Any]:
        """Return a server's record at a moment with its overrides; parts can be `msgspec.Raw`."""
        override = self._overrides.get(server.id)
        if override is None:
            return server.record(moment)
        record = server.record(self._shown_at(server, moment))
        if override.held_at is not None and record.get("connected"):
            record["last_visit_time"] = milliseconds(moment)
        return _merged(record, override.fields)

    def migration(self, server: Server, moment: float) -> Migration:
        """Return what the further lists are built from, for one server at a moment."""
        record = self.render(server, moment)
        task = record.get("current_task")
        has_target = isinstance(task, Mapping) and bool(task.get("target_server")) and server.number is not None
        return Migration(
            record=record,
            subtasks=server.subtasks(self._shown_at(server, moment)),
            migproject=server.migproject,
            address=str(self._targets + (server.number or 0)) if has_target else "",
            moment=moment,
        )

    def _shown_at(self, server: Server, moment: float) -> float:
        """Return the moment that is shown of a server; it differs if the server is held."""
        override = self._overrides.get(server.id)
        return moment if override is None or override.held_at is None else override.held_at

    def _has_task(self, server: Server, moment: float) -> bool:
        if server.id in self._overrides:
            return bool(self.render(server, moment).get("current_task"))
        return server.has_task(moment)

    def _hold(self, server_id: str, fields: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        """Override fields, those of the task if there is one, and freeze all other fields of the record."""
        has_task = self.record(server_id).get("current_task") is not None
        self.override(server_id, **fields, **({"current_task": task} if has_task else {}))
        override = self._overrides[server_id]
        override.held_at = self.now() if override.held_at is None else override.held_at

    def _find(self, server_id: str) -> Server:
        for server in self._servers:
            if server.id == server_id:
                return server
        raise KeyError(server_id)


def _merged(record: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(record)
    for name, value in fields.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged
