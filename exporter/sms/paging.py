"""All pages of the list as one complete list, or an error: never part of one.

The list has no version and no cursor, so that it is complete is concluded: each page tells the same
`count`, no server is on two pages, and the rows of all pages are as many as `count`. What cannot be seen:
while the pages come, one server goes and another comes, so that one between two pages is on neither. It
is in the next list again. A list longer than offsets reach is read in parts, by state and further by
migration cycle, which must add up to the whole.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import structlog

from exporter.errors import Inconsistent, PollError
from exporter.sms.decoding import Page, Unknown
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES, SourceServer

LIMIT: Final = 200
"""Records asked for a page: the most that the API gives."""

LAST_OFFSET: Final = 65535
"""The largest offset that the API takes."""

ATTEMPTS: Final = 3
"""How often a list that moves is read before the poll fails."""

Addressing: TypeAlias = Literal["records", "pages"]
"""What an offset counts."""

Narrowing: TypeAlias = Mapping[str, str]
"""Query parameters that ask for a part of the list."""

FetchPage: TypeAlias = Callable[[int, int, Narrowing], Awaitable[Page]]
"""Gives the page at (offset, limit) of the part of the list that a narrowing asks for."""

NARROWINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    # No values but the documented ones: the API refuses others.
    {"state": SOURCE_STATES, "migration_cycle": MIGRATION_CYCLES},
)
"""The parameters by which a list longer than offsets reach is read in parts, with their values."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete list: distinct servers in the API's order, what was skipped on the way, and what is unknown."""

    servers: tuple[SourceServer, ...]
    count: int
    duplicates: int = 0
    invalid: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[Unknown, int] = field(default_factory=dict)


class Moved(Exception):
    """The list changed while it was read. The message tells how it was seen.

    `short_page` tells that the second page had fewer rows than `count` promised.
    """

    short_page = False


class _TooLong(Exception):
    """Offsets do not reach the end of a list of `count` servers."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the list has {count} servers, more than an offset reaches ({LAST_OFFSET})")
        self.count = count


class Pager:
    """Reads the whole list, at most `concurrency` pages at once.

    With paging "auto" an offset counts records until a list proves that it counts pages; what was
    found holds for all later lists. `filters` are the names of the parameters that narrow the list
    already, by which it cannot be read in parts.
    """

    def __init__(
        self,
        fetch_page: FetchPage,
        *,
        concurrency: int,
        paging: Literal["auto", "records", "pages"] = "auto",
        filters: Collection[str] = (),
    ) -> None:
        self._fetch_page = fetch_page
        self._slots = asyncio.Semaphore(concurrency)
        self._may_switch = paging == "auto"
        self._addressing: Addressing = "pages" if paging == "pages" else "records"
        self._narrowings = tuple(name for name in NARROWINGS if name not in filters)

    async def read(self) -> Listing:
        """Give the complete list. Raises Inconsistent where none could be had, else what a page raises."""
        moved = Moved()
        for _ in range(ATTEMPTS):
            try:
                return await self._list({}, self._narrowings)
            except Moved as error:
                moved = error
                log.debug("the list moved while it was read", how=str(error))
            except _TooLong as error:
                raise Inconsistent(str(error), hint="narrow the list with filter options") from None
            if moved.short_page and self._may_switch and (listing := await self._by_pages()):
                return listing
        raise Inconsistent(f"no complete list in {ATTEMPTS} readings: {moved}")

    async def _by_pages(self) -> Listing | None:
        """Try whether offsets count pages; if they do, they do from now on."""
        self._addressing = "pages"
        try:
            listing = await self._list({}, self._narrowings)
            self._may_switch = False
        except (Moved, _TooLong):
            return None
        finally:
            # Whatever ended the try, a failed request or the poll's time too: nothing is proven.
            if self._may_switch:
                self._addressing = "records"
        log.warning("the API counts offsets in pages: so does this account from now on")
        return listing

    async def _list(self, narrowing: Narrowing, narrowings: Sequence[str]) -> Listing:
        """Give the part of the list that a narrowing asks for, itself read in parts where it is too long."""
        try:
            pages = await self._pages(narrowing)
        except _TooLong as error:
            if not narrowings:
                raise
            name, *further = narrowings
            parts = [await self._list({**narrowing, name: value}, further) for value in NARROWINGS[name]]
            return join(parts, error.count)
        try:
            return merge(pages)
        except Moved as moved:
            moved.short_page = counts_no_records(pages)
            raise

    async def _pages(self, narrowing: Narrowing) -> list[Page]:
        """Give all pages in order; the first one tells how many there are."""
        first = await self._fetch_page(0, LIMIT, narrowing)
        if first.rows >= first.count:
            return [first]
        pages = -(-first.count // LIMIT)
        # Also where offsets count pages: an absurd count must not become as many requests.
        if (pages - 1) * LIMIT > LAST_OFFSET:
            raise _TooLong(first.count)
        step = LIMIT if self._addressing == "records" else 1
        offsets = range(step, pages * step, step)
        return [first, *await _gather([self._page(offset, first.count, narrowing) for offset in offsets])]

    async def _page(self, offset: int, count: int, narrowing: Narrowing) -> Page:
        async with self._slots:
            page = await self._fetch_page(offset, LIMIT, narrowing)
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
    unknown: Counter[Unknown] = Counter()
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
        unknown.update(page.unknown)
    rows = sum(page.rows for page in pages)
    if rows != count:
        raise Moved(f"count was {count}, but {rows} rows came")
    return Listing(
        servers=tuple(servers.values()),
        count=count,
        duplicates=duplicates,
        invalid=sum(page.invalid for page in pages),
        unreadable=unreadable,
        unknown=unknown,
    )


def join(parts: Iterable[Listing], count: int) -> Listing:
    """Join parts of a list of `count` servers.

    Raises Moved where a server is in two parts, or the parts have not as many servers as the whole.
    """
    servers: dict[str, SourceServer] = {}
    duplicates = invalid = counted = 0
    unreadable: Counter[str] = Counter()
    unknown: Counter[Unknown] = Counter()
    for part in parts:
        here = {server.id: server for server in part.servers}
        if twice := here.keys() & servers.keys():
            raise Moved(f"{len(twice)} servers were in two parts of the list")
        servers.update(here)
        duplicates += part.duplicates
        invalid += part.invalid
        counted += part.count
        unreadable.update(part.unreadable)
        unknown.update(part.unknown)
    if counted != count:
        raise Moved(f"count was {count}, but the parts of the list have {counted} servers")
    return Listing(tuple(servers.values()), count, duplicates, invalid, unreadable, unknown)
