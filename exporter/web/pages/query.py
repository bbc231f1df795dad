"""The query of a page: checked values, and the query of a link that changes some of them."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from exporter.views.selection import DEFAULT_SORT, DOCUMENTED_VALUES, FILTERS, SORTS, ServerQuery
from exporter.web.pages.languages import PARAMETER as LANGUAGE

MAX_REFRESH_SECONDS: Final = 3600
MAX_SEARCH_LENGTH: Final = 255
MAX_PAGE: Final = 1_000_000

_NUMBER: Final = re.compile("[1-9][0-9]{0,8}")


SERVER_PARAMETERS: Final = ("search", "sort", *FILTERS)
"""The parameters that `parse_server_query` reads."""


def check_parameters(query: Iterable[str], *known: str) -> None:
    """Raise HTTPBadRequest if the query has a parameter that the page does not have."""
    parameters = (*known, LANGUAGE)
    if not set(query).issubset(parameters):
        raise web.HTTPBadRequest(text=f"unknown parameter: this page has {', '.join(parameters)}.\n")


def parse_page(query: MultiMapping[str]) -> int:
    """Return the number of the page of a table, from 1. Raise HTTPBadRequest for anything else."""
    value = query.get("page", "1")
    if not _NUMBER.fullmatch(value) or int(value) > MAX_PAGE:
        raise web.HTTPBadRequest(text=f"page: must be a number from 1 to {MAX_PAGE}.\n")
    return int(value)


def parse_refresh(query: MultiMapping[str], default: int) -> int | None:
    """Return the seconds until a page refreshes; None for `off`. Raise HTTPBadRequest for anything else."""
    value = query.get("refresh")
    if value == "off":
        return None
    if value is None:
        return default
    if not _NUMBER.fullmatch(value) or int(value) > MAX_REFRESH_SECONDS:
        raise web.HTTPBadRequest(text=f"refresh: must be off or a number of seconds from 1 to {MAX_REFRESH_SECONDS}.\n")
    return int(value)


def parse_server_query(query: MultiMapping[str], occurring: Mapping[str, Collection[str]]) -> ServerQuery:
    """Return the search, filters and order of servers; an empty filter is none. Raise HTTPBadRequest.

    `occurring` has the values of each filter that the servers have; they need not be documented.
    """
    search, sort = query.get("search", ""), query.get("sort") or DEFAULT_SORT
    if len(search) > MAX_SEARCH_LENGTH:
        raise web.HTTPBadRequest(text=f"search: must not be longer than {MAX_SEARCH_LENGTH} characters.\n")
    if sort not in SORTS:
        raise web.HTTPBadRequest(text=f"sort: must be one of {', '.join(SORTS)}.\n")
    chosen = {name: frozenset(value for value in query.getall(name, ()) if value) for name in FILTERS}
    for name, documented in DOCUMENTED_VALUES.items():
        if not chosen[name].issubset({*documented, *occurring.get(name, ())}):
            raise web.HTTPBadRequest(
                text=f"{name}: must be one of {', '.join(documented)}; repeat the parameter for several.\n"
            )
    return ServerQuery(search.strip(), {name: values for name, values in chosen.items() if values}, sort)


def format_server_query(query: ServerQuery, **changes: object) -> str:
    """Return the query string of a link to the same servers with other parameters, for example another page."""
    parameters: list[tuple[str, str]] = []
    if query.search:
        parameters.append(("search", query.search))
    for name, allowed in query.filters.items():
        parameters += [(name, value) for value in sorted(allowed)]
    others: Mapping[str, object] = {"sort": query.sort if query.sort != DEFAULT_SORT else "", **changes}
    parameters += [(name, str(value)) for name, value in others.items() if value]
    return urlencode(parameters)
