"""The servers page: one page of the servers that a query selects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.language import Translatable
from exporter.translation import Translator
from exporter.views.meanings import explain_value
from exporter.views.problems import PROBLEM_NAMES
from exporter.views.selection import FILTERS, ServerQuery, select_servers
from exporter.views.servers import ServerView
from exporter.web.pages.fleet import Fleet

SERVERS_PER_PAGE: Final = 100

FILTER_TITLES: Final[Mapping[str, Translatable]] = MappingProxyType(
    {
        "account": Translatable("Account"),
        "state": Translatable("State"),
        "stage": Translatable("Stage"),
        "os": Translatable("Operating system"),
        "problem": Translatable("Problem"),
        "project": Translatable("Enterprise project"),
    }
)
Choice = tuple[str, int]
"""A value of a filter, and the number of servers that have it."""


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
    return list(counts.items())


def format_choice(value: str, name: str, translator: Translator) -> str:
    """Return how a value of the filter `name` is shown."""
    if name == "problem" and value in PROBLEM_NAMES:
        return translator.translate(PROBLEM_NAMES[value])
    return explain_value(value, name, translator)
