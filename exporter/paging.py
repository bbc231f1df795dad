"""All pages of the list as one complete list, or an error: never part of one.

The list has no version and no cursor, so that it is complete is concluded: each page tells the same
`count`, no server is on two pages, and the rows of all pages are as many as `count`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import structlog

from exporter.decoding import Page
from exporter.errors import Inconsistent, PollError
from exporter.model import SourceServer

LIMIT: Final = 200
"""Records asked for a page: the most that the API gives."""

LAST_OFFSET: Final = 65535
"""The largest offset that the API takes."""

ATTEMPTS: Final = 3
"""How often a list that moves is read before the poll fails."""

Addressing: TypeAlias = Literal["records", "pages"]
"""What an offset counts."""

FetchPage: TypeAlias = Callable[[int, int], Awaitable[Page]]
"""Gives the page at (offset, limit)."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete list: distinct servers in the API's order, and what was skipped on the way."""

    servers: tuple[SourceServer, ...]
    count: int
    duplicates: int = 0
    invalid: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)


class Moved(Exception):
    """The list changed while it was read. The message tells how it was seen."""


class Pager:
    """Reads the whole list, at most `concurrency` pages at once.

    With paging "auto" an offset counts records until a list proves that it counts pages; what was
    found holds for all later lists.
    """

    def __init__(
        self,
        fetch_page: FetchPage,
        *,
        concurrency: int,
        paging: Literal["auto", "records", "pages"] = "auto",
    ) -> None:
        self._fetch_page = fetch_page
        self._slots = asyncio.Semaphore(concurrency)
        self._may_switch = paging == "auto"
        self._addressing: Addressing = "pages" if paging == "pages" else "records"

    async def read(self) -> Listing:
        """Give the complete list. Raises Inconsistent where none could be had, else what a page raises."""
        moved = Moved()
        for _ in range(ATTEMPTS):
            pages = None
            try:
                pages = await self._pages(self._addressing)
                return merge(pages)
            except Moved as error:
                moved = error
                log.debug("the list moved while it was read", how=str(error))
            if (
                pages
                and self._may_switch
                and counts_no_records(pages)
                and (listing := await self._by_pages())
            ):
                return listing
        raise Inconsistent(f"no complete list in {ATTEMPTS} readings: {moved}")

    async def _by_pages(self) -> Listing | None:
        try:
            listing = merge(await self._pages("pages"))
        except Moved:
            return None
        self._addressing, self._may_switch = "pages", False
        log.warning("the API counts offsets in pages: so does this account from now on")
        return listing

    async def _pages(self, addressing: Addressing) -> list[Page]:
        """Give all pages in order; the first one tells how many there are."""
        first = await self._fetch_page(0, LIMIT)
        if first.rows >= first.count:
            return [first]
        steps = range(1, -(-first.count // LIMIT))
        offsets = [step * LIMIT if addressing == "records" else step for step in steps]
        if offsets and offsets[-1] > LAST_OFFSET:
            raise Inconsistent(
                f"the list has {first.count} servers, more than an offset reaches ({LAST_OFFSET})",
                advice="no complete list of this account can be had",
            )
        return [first, *await _gather([self._page(offset, first.count) for offset in offsets])]

    async def _page(self, offset: int, count: int) -> Page:
        async with self._slots:
            page = await self._fetch_page(offset, LIMIT)
        if page.count != count:
            raise Moved(f"count was {count}, then {page.count}")
        return page


async def _gather(readings: Sequence[Awaitable[Page]]) -> list[Page]:
    """Await all; the first failure ends the others and is raised as itself."""

    async def run(reading: Awaitable[Page]) -> Page:
        return await reading

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(reading)) for reading in readings]
    except* (PollError, Moved) as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


def _first(failures: BaseExceptionGroup[PollError | Moved]) -> PollError | Moved:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def counts_no_records(pages: Sequence[Page]) -> bool:
    """Tell whether the second page was empty or short although `count` promised more."""
    return len(pages) > 1 and pages[1].rows < min(LIMIT, pages[0].count - LIMIT)


def merge(pages: Sequence[Page]) -> Listing:
    """Join the pages of one reading into a complete list.

    A server twice on one page is bad data: kept once and counted. Raises Moved where a server is on two
    pages, `count` differs between pages, or rows are missing or too many.
    """
    count = pages[0].count
    servers: dict[str, SourceServer] = {}
    duplicates = 0
    unreadable: Counter[str] = Counter()
    for page in pages:
        here: dict[str, SourceServer] = {}
        for server in page.servers:
            here.setdefault(server.id, server)
        if page.count != count:
            raise Moved(f"count was {count}, then {page.count}")
        if twice := here.keys() & servers.keys():
            raise Moved(f"{len(twice)} servers were on two pages")
        duplicates += len(page.servers) - len(here)
        servers.update(here)
        unreadable.update(page.unreadable)
    rows = sum(page.rows for page in pages)
    if rows != count:
        raise Moved(f"count was {count}, but {rows} rows came")
    return Listing(
        servers=tuple(servers.values()),
        count=count,
        duplicates=duplicates,
        invalid=sum(page.invalid for page in pages),
        unreadable=dict(unreadable),
    )
