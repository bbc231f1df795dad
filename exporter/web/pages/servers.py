"""The servers page: one page of the servers that a query selects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.views.problems import ANY_PROBLEM, Problem
from exporter.views.selection import FILTERS, ServerQuery, select_servers
from exporter.views.servers import ServerView
from exporter.web.pages.fleet import Fleet

SERVERS_PER_PAGE: Final = 100

FILTER_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "account": "Account",
        "state": "State",
        "stage": "Stage",
        "os": "Operating system",
        "problem": "Problem",
        "project": "Enterprise project",
    }
)
PROBLEM_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ANY_PROBLEM: "any problem",
        Problem.FAILED: "failed",
        Problem.DISCONNECTED: "disconnected",
        Problem.STALLED: "stalled",
        Problem.CHECKS: "failed checks",
    }
)

Choice = tuple[str, str, int]
"""A value of a filter, its text, and the number of servers that have it."""


@dataclass(frozen=True, slots=True)
class ServersPage:
    """One page of servers. `count` and `pages` are of all selected servers."""

    rows: Sequence[ServerView]
    count: int
    page: int
    pages: int
    choices: Mapping[str, Sequence[Choice]]


def build_servers_page(fleet: Fleet, query: ServerQuery, page: int) -> ServersPage:
    """Return a page; one beyond the end is the last one, because the number of servers may have changed."""
    selected = select_servers(fleet.servers, query)
    pages = max(1, -(-len(selected) // SERVERS_PER_PAGE))
    page = min(page, pages)
    first = (page - 1) * SERVERS_PER_PAGE
    return ServersPage(
        rows=selected[first : first + SERVERS_PER_PAGE],
        count=len(selected),
        page=page,
        pages=pages,
        choices={name: _choices(fleet, query, name) for name in FILTERS},
    )


def _choices(fleet: Fleet, query: ServerQuery, name: str) -> Sequence[Choice]:
    """Return the values that occur, and those of the query that no longer do."""
    counts = dict(fleet.filter_values[name])
    for value in query.filters.get(name, ()):
        counts.setdefault(value, 0)
    return [(value, PROBLEM_NAMES.get(value, value) if name == "problem" else value, counts[value]) for value in counts]
