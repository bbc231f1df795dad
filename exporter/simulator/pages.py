"""Faults in the records of a page."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

import msgspec

from exporter.simulator.faults import Fault


class Rows(Protocol):
    """The records of a list that match a query."""

    def __len__(self) -> int:
        """Return how many there are."""

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Return the records of a range."""


@dataclass(slots=True)
class Page:
    """A page before it is sent: `count` and `rows`, and its position in the list."""

    selection: Rows
    start: int
    stop: int
    count: int
    rows: list[dict[str, Any]]


_WRONG: Final[Mapping[str, object]] = MappingProxyType(
    {
        "cpu_quantity": "two",
        "memory": -1,
        "connected": "sometimes",
        "name": ["a", "list"],
        "current_task": {"migrate_speed": "fast", "remain_seconds": {}},
        "checks": "none",
        "init_target_server": [],
        "totalsize": None,
        "sub_tasks": "none",
        "total_cpu_usage": "busy",
        "network_check_info": {"network_delay": "long"},
        "error_json": {"error_code": "SMS.0515"},
        "exist_server": "perhaps",
        "use_public_ip": [],
    },
)
"""Values of wrong types, by field."""


def build_page(selection: Rows, start: int, limit: int, faults: Iterable[Fault]) -> Page:
    """Return the page of `limit` records from `start`, changed by faults."""
    stop = start + limit
    page = Page(selection, start, stop, len(selection), selection.rows(start, stop))
    for fault in faults:
        apply = _PAGE_FAULTS.get(fault.name)
        if apply is not None:
            apply(page, fault)
    return page


def _wrong_types(page: Page, _: Fault) -> None:
    if page.rows:
        page.rows[0] |= {name: value for name, value in _WRONG.items() if name in page.rows[0]}


def _short(page: Page, fault: Fault) -> None:
    missing = 1 if fault.value is None else int(fault.value)
    del page.rows[max(0, len(page.rows) - missing) :]


def _count_changes(page: Page, fault: Fault) -> None:
    page.count += fault.hits


def _duplicates_across(page: Page, _: Fault) -> None:
    if page.start and page.rows:
        page.rows[0] = page.selection.rows(page.start - 1, page.start)[0]


def _duplicates_within(page: Page, _: Fault) -> None:
    if page.rows:
        page.rows[-1] = page.rows[0]


def _shift(page: Page, _: Fault) -> None:
    if page.start and page.rows:
        following = page.selection.rows(page.stop, page.stop + 1) or page.selection.rows(0, 1)
        page.rows = [*page.rows[1:], *following]


def _resize(page: Page, fault: Fault) -> None:
    page.rows = page.selection.rows(page.start, page.start + int(fault.value or 0))


def _shorten_first(page: Page, fault: Fault) -> None:
    if page.start == 0:
        _short(page, fault)


def _ignore_offset(page: Page, _: Fault) -> None:
    page.rows = page.selection.rows(0, page.stop - page.start)


def _raise_count(page: Page, fault: Fault) -> None:
    page.count += 1 if fault.value is None else int(fault.value)


def _nest(page: Page, fault: Fault) -> None:
    levels = 1000 if fault.value is None else int(fault.value)
    if page.rows:
        page.rows[0] = {**page.rows[0], "nested": msgspec.Raw(b"[" * levels + b"]" * levels)}


def _empty(page: Page, _: Fault) -> None:
    page.count = 0
    page.rows = []


_PAGE_FAULTS: Final[Mapping[str, Callable[[Page, Fault], None]]] = MappingProxyType(
    {
        "wrong-types": _wrong_types,
        "short-page": _short,
        "count-changes": _count_changes,
        "duplicates-across-pages": _duplicates_across,
        "duplicates-within-page": _duplicates_within,
        "moved": _shift,
        "page-size": _resize,
        "short-first-page": _shorten_first,
        "ignored-offset": _ignore_offset,
        "unreachable-count": _raise_count,
        "deep-nesting": _nest,
        "empty-list": _empty,
    },
)
