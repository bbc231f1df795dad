"""The page of finished and failed migrations: one part of the record, and the query that selects it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from exporter.polling.state import Account
from exporter.views.migrations import RESULTS, EndedMigration, list_ended_migrations

MIGRATIONS_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class MigrationsPage:
    """One page of migrations. `count` and `pages` are of all selected ones, `counts` of each result."""

    rows: Sequence[EndedMigration]
    count: int
    page: int
    pages: int
    counts: Mapping[str, int]

    @property
    def first(self) -> int:
        """The number of the first migration on the page."""
        return (self.page - 1) * MIGRATIONS_PER_PAGE + 1


def build_migrations_page(accounts: Sequence[Account], result: str | None, page: int) -> MigrationsPage:
    """Return a page; one beyond the end is the last one."""
    recorded = list_ended_migrations(accounts)
    selected = [row for row in recorded if result in {None, row.migration.result}]
    pages = max(1, -(-len(selected) // MIGRATIONS_PER_PAGE))
    page = min(page, pages)
    start = (page - 1) * MIGRATIONS_PER_PAGE
    counts = {name: sum(row.migration.result == name for row in recorded) for name in RESULTS}
    return MigrationsPage(selected[start : start + MIGRATIONS_PER_PAGE], len(selected), page, pages, counts)


def parse_result(query: MultiMapping[str]) -> str | None:
    """Return the result that the query selects; None for all. Raise HTTPBadRequest for anything else."""
    result = query.get("result") or None
    if result not in {None, *RESULTS}:
        raise web.HTTPBadRequest(text=f"result: must be one of {', '.join(RESULTS)}.\n")
    return result


def format_migrations_query(query: Mapping[str, object], **changes: object) -> str:
    """Return the query string of a link to the same migrations with other parameters, for example another page."""
    return urlencode({name: value for name, value in {**query, **changes}.items() if value not in {None, ""}})
