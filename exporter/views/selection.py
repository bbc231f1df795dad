"""Search, filter and sort servers: one query, used by the servers page, its downloads and the command `status`."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from exporter.sms.model import MIGRATION_CYCLES, OS_TYPES, SOURCE_STATES
from exporter.views.problems import ANY_PROBLEM, PROBLEM_NAMES
from exporter.views.servers import ServerView, by_urgency

DEFAULT_SORT: Final = "urgency"

SortKey: TypeAlias = Callable[[ServerView], float | str | None]
"""Returns what a column sorts by; None is always last."""

SORT_KEYS: Final[Mapping[str, SortKey]] = MappingProxyType(
    {
        "account": lambda server: server.account,
        "name": lambda server: server.name.casefold(),
        "ip": lambda server: server.ip or None,
        "state": lambda server: server.state or None,
        "stage": lambda server: server.stage or None,
        "os": lambda server: server.os_type or None,
        "size": lambda server: server.size,
        "replicated": lambda server: server.share,
        "speed": lambda server: server.speed,
        "remaining": lambda server: server.remaining,
        "since": lambda server: server.since,
    }
)
"""The columns that servers can be sorted by, besides their urgency."""

SORTS: Final = (DEFAULT_SORT, *SORT_KEYS, *(f"-{name}" for name in SORT_KEYS))
"""All values of the parameter `sort`; `-` sorts in descending order."""

FILTERS: Final[Mapping[str, Callable[[ServerView], Sequence[str]]]] = MappingProxyType(
    {
        "account": lambda server: (server.account,),
        "state": lambda server: (server.state,),
        "stage": lambda server: (server.stage,),
        "os": lambda server: (server.os_type,),
        "problem": lambda server: (ANY_PROBLEM, *server.problems) if server.problems else (),
        "project": lambda server: (server.project,),
    }
)
"""The filters, and the values of a server that each of them matches."""

DOCUMENTED_VALUES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"state": SOURCE_STATES, "stage": MIGRATION_CYCLES, "os": OS_TYPES, "problem": tuple(PROBLEM_NAMES)}
)
"""The values of a filter, besides those that occur; a filter that is not listed can have any value."""


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """Which servers, in which order. `filters` holds the allowed values by filter; `search` is part of a text."""

    search: str = ""
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sort: str = DEFAULT_SORT


def select_servers(servers: Iterable[ServerView], query: ServerQuery) -> list[ServerView]:
    """Return the servers that match all filters, and contain `search` in their name, address or id."""
    selected = list(servers)
    for name, allowed in query.filters.items():
        values = FILTERS[name]
        selected = [server for server in selected if not allowed.isdisjoint(values(server))]
    if wanted := query.search.strip().casefold():
        selected = [
            server
            for server in selected
            if wanted in server.name.casefold() or wanted in server.ip or wanted in server.id.casefold()
        ]
    return sort_servers(selected, query.sort)


def sort_servers(servers: Iterable[ServerView], sort: str) -> list[ServerView]:
    """Sort by one of SORTS; servers without a value are last, and equal ones are in the order of their names."""
    if sort == DEFAULT_SORT:
        return by_urgency(servers)
    key = SORT_KEYS[sort.removeprefix("-")]
    servers = sorted(servers, key=lambda server: (server.name, server.id))
    known = [server for server in servers if key(server) is not None]
    unknown = [server for server in servers if key(server) is None]
    known.sort(key=key, reverse=sort.startswith("-"))  # type: ignore[arg-type]  # None is left out
    return known + unknown


def filter_values(servers: Iterable[ServerView], name: str) -> list[tuple[str, int]]:
    """Return the values of a filter that occur, with the number of servers, in alphabetical order."""
    read = FILTERS[name]
    counts = Counter(value for server in servers for value in read(server))
    return sorted(item for item in counts.items() if item[0])
