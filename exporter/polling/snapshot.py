"""One complete list of an account, and what the lists before it add.

Pure functions: a snapshot is built from a complete list and the previous snapshot, and never changes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

from exporter.settings import AccountSettings
from exporter.sms import model
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing

Value = TypeVar("Value")

OTHER: Final = "other"
"""Replaces every value outside a documented enumeration, so that a label has a bounded number of values."""

SPEED_UNITS: Final = {"mbit": 125_000, "mbyte": 1_000_000}
"""Bytes per second in one unit of the API's speeds, by the option api.migrate-speed-unit."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A server whose state differs from the last one that an earlier list gave."""

    server: SourceServer
    from_state: str
    to_state: str


@dataclass(frozen=True, slots=True)
class LastValues:
    """The last values that the lists gave of a server; None if none did. A missing value is neither 0 nor a state."""

    state: str | None
    replicatesize: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Details:
    """What a collector read of a list beside the list of source servers: its records, by the id of the server.

    `read_at` is when the reading began, in seconds since the epoch.
    """

    read_at: float
    records: Mapping[str, Any]


# By identity: comparing two snapshots by value would compare every server.
@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One complete list of one account, and what the lists before it add. Two snapshots are equal if they are the same.

    `read_at` is when the poll began, in seconds since the epoch. `count` is the number of servers that the API reports.
    `transitions` are the changes of state since the previous list; `transitions_total` counts them since the exporter
    started, by the new state. `last_growth` is, by server, when a list last had more replicated bytes than the one
    before, or first had the server. `last_values` has the servers whose record lacks one of the compared values.
    `unknown` counts the values outside the documented enumerations, by (field of the API, value).
    `speed_unit_bytes` is one unit of the API's speeds in bytes per second. `details` are what the collectors that read
    more lists have read, by the name of the collector; a collector that is off, failed or stale is absent.
    """

    account: str
    read_at: float
    servers: tuple[SourceServer, ...]
    count: int
    transitions: tuple[Transition, ...] = ()
    transitions_total: Mapping[str, int] = field(default_factory=dict)
    last_growth: Mapping[str, float] = field(default_factory=dict)
    last_values: Mapping[str, LastValues] = field(default_factory=dict)
    unknown: Mapping[tuple[str, str], int] = field(default_factory=dict)
    speed_unit_bytes: int = SPEED_UNITS["mbit"]
    details: Mapping[str, Details] = field(default_factory=dict)


def documented(value: str | None, enumeration: tuple[str, ...]) -> str:
    """Return `value` if it is in `enumeration`, else OTHER."""
    return value if value in enumeration else OTHER


def _given(value: Value | None, last: Value | None) -> Value | None:
    """Return the value, or the last one that was given if it is missing."""
    return last if value is None else value


def _keep_order(servers: Iterable[SourceServer], known: Iterable[str]) -> tuple[SourceServer, ...]:
    """Return the servers in the order of the known ids, followed by new ones in the order of the API.

    As a rule they are in this order in memory too, which makes comparing and rendering them fast.
    """
    remaining = {server.id: server for server in servers}
    kept = [remaining.pop(server_id) for server_id in known if server_id in remaining]
    return (*kept, *remaining.values())


def next_snapshot(
    listing: Listing[SourceServer],
    account: AccountSettings,
    read_at: float,
    previous: Snapshot | None,
    details: Mapping[str, Details] = MappingProxyType({}),
) -> Snapshot:
    """Return the snapshot that follows `previous`, with known servers in the same order."""
    previous = previous or Snapshot(account.name, read_at, (), 0)
    known = {server.id: server for server in previous.servers}
    servers = _keep_order(listing.records, known)
    last_growth = dict(previous.last_growth)
    last_values = {}
    transitions = []
    for server in servers:
        before = known.pop(server.id, None)
        last = previous.last_values.get(server.id) or before
        # The decoder returns the same object for an unchanged record; nothing changed unless a value is missing.
        if server is last:
            continue
        state, size = server.state, server.replicatesize
        if last is None:
            last_growth[server.id] = read_at
        else:
            if state is not None and last.state is not None and state != last.state:
                transitions.append(Transition(server, last.state, state))
            if size is not None and size > (last.replicatesize or 0):
                last_growth[server.id] = read_at
            state, size = _given(state, last.state), _given(size, last.replicatesize)
        if server.state is None or server.replicatesize is None:
            last_values[server.id] = LastValues(state, size)
    for server_id in known:
        del last_growth[server_id]
    totals = Counter(previous.transitions_total)
    totals.update(documented(transition.to_state, model.SOURCE_STATES) for transition in transitions)
    return Snapshot(
        account=account.name,
        read_at=read_at,
        servers=servers,
        count=listing.count,
        transitions=tuple(transitions),
        transitions_total=dict(totals),
        last_growth=last_growth,
        last_values=last_values,
        unknown=listing.unknown,
        speed_unit_bytes=SPEED_UNITS[account.api.migrate_speed_unit],
        details=details,
    )
