"""What is known of one account at one moment, and what a newer list changes in it.

Pure: a snapshot is made from its predecessor and a complete list, and never changes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.settings import AccountSettings
from exporter.sms import model
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing

OTHER: Final = "other"
"""Stands for every value outside a documented enumeration, so that a label stays bounded."""


SPEED_UNITS: Final = {"mbit": 125_000, "mbyte": 1_000_000}
"""Bytes a second in one unit of the API's speeds, by the option api.migrate-speed-unit."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A server whose state differs from the one in the list before; None where the API gave none."""

    server: SourceServer
    from_state: str | None
    to_state: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete list of one account, and what the lists before it add to it.

    `read_at` is when its reading began, in seconds since the epoch. `count` is the API's own number.
    `transitions` are the changes since the list before; `transitions_total` counts them by the state
    they ended in since the exporter started. `last_growth` tells, by server, when a list last showed more
    replicated bytes than the list before, or first showed the server: nothing is known of the time before.
    `unknown` counts the values outside the documented enumerations, by (field of the API, value).
    `speed_unit_bytes` is what one unit of the API's speeds is, in bytes a second.
    """

    account: str
    read_at: float
    servers: tuple[SourceServer, ...]
    count: int
    transitions: tuple[Transition, ...] = ()
    transitions_total: Mapping[str, int] = field(default_factory=dict)
    last_growth: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[tuple[str, str], int] = field(default_factory=dict)
    speed_unit_bytes: int = SPEED_UNITS["mbit"]


def documented(value: str | None, enumeration: tuple[str, ...]) -> str:
    """Give `value` itself if it is in `enumeration`, else OTHER."""
    return value if value in enumeration else OTHER


def next_snapshot(
    listing: Listing[SourceServer], account: AccountSettings, read_at: float, previous: Snapshot | None
) -> Snapshot:
    """Make the snapshot that follows `previous`. Servers are in the order of their ids."""
    before = {server.id: server for server in previous.servers} if previous else {}
    servers = tuple(sorted(listing.records, key=lambda server: server.id))
    last_growth = dict(previous.last_growth) if previous else {}
    transitions = []
    for server in servers:
        last = before.pop(server.id, None)
        if last is server:
            continue
        if last is not None and last.state != server.state:
            transitions.append(Transition(server, last.state, server.state))
        if last is None or (server.replicatesize or 0) > (last.replicatesize or 0):
            last_growth[server.id] = read_at
    for server_id in before:
        del last_growth[server_id]
    totals = Counter(previous.transitions_total if previous else {})
    totals.update(documented(transition.to_state, model.SOURCE_STATES) for transition in transitions)
    return Snapshot(
        account=account.name,
        read_at=read_at,
        servers=servers,
        count=listing.count,
        transitions=tuple(transitions),
        transitions_total=dict(totals),
        last_growth=last_growth,
        unknown=listing.unknown,
        speed_unit_bytes=SPEED_UNITS[account.api.migrate_speed_unit],
    )
