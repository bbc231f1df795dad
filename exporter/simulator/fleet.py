"""The fleet that the simulator lists: living servers or given records, and what a person does to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from exporter.clock import Clock, SystemClock
from exporter.simulator.query import Query
from exporter.simulator.server import FixedServer, LivingServer, Server
from exporter.simulator.task import milliseconds

ACCELERATION: Final = 60.0
"""Simulated seconds a real second: a migration takes minutes instead of hours."""

MOVING: Final = frozenset({"replicate", "syncing"})
"""States in which bytes move."""

_STANDSTILL: Final = {"migrate_speed": 0.0, "remain_seconds": None, "estimate_complete_time": None}


@dataclass(slots=True)
class _Override:
    """What of a server a person laid down: fields, and the moment at which all others stand still."""

    fields: Mapping[str, object] = field(default_factory=dict)
    held_at: float | None = None


class Selection:
    """The servers that a query asks for, in the API's order, at one moment."""

    def __init__(self, fleet: "Fleet", servers: Sequence[Server], moment: float) -> None:
        self._fleet = fleet
        self._servers = servers
        self._moment = moment

    def __len__(self) -> int:
        return len(self._servers)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Give the records from `start` to before `stop`; parts of them may be `msgspec.Raw`."""
        return [self._fleet.render(server, self._moment) for server in self._servers[start:stop]]


class Fleet:
    """Servers that live by themselves, and that a person can add, remove, fail, disconnect and stall.

    `servers` is how many, all drawn from `seed`: the same seed makes the same fleet and the same life,
    counted from the `clock`'s time now. `acceleration` is simulated seconds a real second; it shortens
    what servers go through (and so their sizes), while displayed speeds and times are true in real time.
    """

    def __init__(
        self,
        servers: int = 250,
        *,
        seed: int = 1,
        acceleration: float = ACCELERATION,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._seed = seed
        self._acceleration = acceleration
        self._epoch = self._clock.time()
        self._next_index = 0
        self._frozen_at: float | None = None
        self._servers: list[Server] = []
        self._overrides: dict[str, _Override] = {}
        self.resize(servers)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]], *, clock: Clock | None = None) -> "Fleet":
        """Make a fleet that lists these records as they are, in this order."""
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
        """Give the moment that records tell of, in seconds since the epoch."""
        return self._clock.time() if self._frozen_at is None else self._frozen_at

    def freeze(self, moment: float | None = None) -> None:
        """Let the fleet's life stand still at a moment (seconds since the epoch), by default now."""
        self._frozen_at = self._clock.time() if moment is None else moment

    def thaw(self) -> None:
        """Let the fleet live on from where the clock is."""
        self._frozen_at = None

    def select(self, query: Query | None = None) -> Selection:
        """Give the servers that a query asks for, its limit and offset left aside."""
        moment = self.now()
        if query is None or not query.filters:
            return Selection(self, self._servers, moment)
        chosen = [server for server in self._servers if query.matches(self.render(server, moment), server.migproject)]
        return Selection(self, chosen, moment)

    def records(self) -> list[dict[str, Any]]:
        """Give all records as they are now, as the API would show them."""
        rows = self.select().rows(0, len(self))
        plain: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(rows))
        return plain

    def record(self, server_id: str) -> dict[str, Any]:
        """Give one record as it is now. Raises KeyError where there is no such server."""
        row = self.render(self._find(server_id), self.now())
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
        return plain

    def add(self, record: Mapping[str, Any] | None = None) -> str:
        """Add a server at the end of the list, a living one or a given record, and give its id."""
        if record is not None:
            server: Server = FixedServer(dict(record))
        else:
            server = LivingServer(
                seed=self._seed,
                index=self._next_index,
                acceleration=self._acceleration,
                epoch=self._epoch,
            )
            self._next_index += 1
        self._servers.append(server)
        return server.id

    def resize(self, servers: int) -> None:
        """Add living servers, or remove from the end of the list, until there are so many."""
        del self._servers[servers:]
        while len(self._servers) < servers:
            self.add()

    def remove(self, server_id: str) -> None:
        """Remove a server. Raises KeyError where there is no such server."""
        self._servers.remove(self._find(server_id))
        self._overrides.pop(server_id, None)

    def override(self, server_id: str, **fields: object) -> None:
        """Lay down fields of a record; an object such as `current_task` is merged, all else lives on.

        Raises KeyError where there is no such server.
        """
        self._find(server_id)
        override = self._overrides.setdefault(server_id, _Override())
        override.fields = _merged(override.fields, fields)

    def clear_overrides(self, server_id: str | None = None) -> None:
        """Give a server, or all, back to its own life."""
        if server_id is None:
            self._overrides.clear()
        else:
            self._overrides.pop(server_id, None)

    def fail(self, server_id: str) -> None:
        """Let a server's migration fail now, and stay failed. Raises KeyError as `override`."""
        self._hold(
            server_id,
            {"state": "error", "state_action_time": milliseconds(self.now())},
            {"state": "MIGRATE_FAIL", **_STANDSTILL},
        )

    def disconnect(self, server_id: str) -> None:
        """Let a server's agent fall silent now, in the state it is in. Raises KeyError as `override`."""
        self._hold(
            server_id,
            {"connected": False, "last_visit_time": milliseconds(self.now())},
            _STANDSTILL,
        )

    def stall(self, server_id: str) -> None:
        """Let no byte of a connected server move from now on.

        Raises KeyError as `override`, and ValueError where none moves or it is not connected.
        """
        record = self.record(server_id)
        state = record.get("state")
        if state not in MOVING or not record.get("connected"):
            raise ValueError(f"only a connected server in {' or '.join(sorted(MOVING))} can stall, not one in {state}")
        self._hold(server_id, {}, _STANDSTILL)

    def render(self, server: Server, moment: float) -> dict[str, Any]:
        """Give a server's record at a moment, with what a person laid down; parts may be `msgspec.Raw`."""
        override = self._overrides.get(server.id)
        if override is None:
            return server.record(moment)
        record = server.record(moment if override.held_at is None else override.held_at)
        if override.held_at is not None and record.get("connected"):
            record["last_visit_time"] = milliseconds(moment)
        return _merged(record, override.fields)

    def _hold(self, server_id: str, fields: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        """Lay down fields, those of the task where there is one, and let the rest of the record stand still."""
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
