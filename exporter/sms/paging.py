"""All pages of a list as one complete list, or an error: never part of one.

The list has neither a version nor a cursor, so completeness is concluded: every page reports the same `count`, no
record is on two pages, and all pages together have `count` rows. One case cannot be detected: while the pages are read,
one record is deleted and another one created, so that a third one moves between two pages and is on neither. It is in
the next list again. A list longer than offsets reach is read in parts, which together must have `count` rows.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeAlias

import structlog

from exporter.errors import Inconsistent, PollError
from exporter.sms.decoding import Page
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import RecordT
from exporter.sms.tolerant import Unknown

MAX_OFFSET: Final = 65535
"""The largest offset that the API accepts."""

MAX_READINGS: Final = 3
"""How often a list that keeps changing is read before the poll fails."""

Addressing: TypeAlias = Literal["records", "pages"]
"""What an offset counts."""

Narrowing: TypeAlias = Mapping[str, str]
"""Query parameters that select a part of the list."""

FetchPage: TypeAlias = Callable[[int, int, Narrowing], Awaitable[Page[RecordT]]]
"""Returns the page at (offset, limit) of the part of the list that a narrowing selects."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Listing(Page[RecordT]):
    """A complete list: it has `count` rows."""

    __slots__ = ()


class ListChanged(Exception):
    """The list changed while it was read. The message says how that was detected.

    With `short_page` the second page had fewer rows than `count` promised.
    """

    short_page = False


class _TooLong(Exception):
    """Offsets do not reach the end of a list of `count` records."""

    def __init__(self, count: int, noun: str) -> None:
        super().__init__(f"the list has {count} {noun}, more than an offset reaches ({MAX_OFFSET})")
        self.count = count


class Pager(Generic[RecordT]):
    """Reads the complete list of an endpoint with at most `concurrency` concurrent page requests.

    With paging "auto" an offset counts records until a list proves that it counts pages, which then holds for all later
    lists. `filters` are the names of the query parameters that narrow the list already: it cannot be split by those.
    """

    def __init__(
        self,
        endpoint: Endpoint[RecordT],
        fetch_page: FetchPage[RecordT],
        *,
        concurrency: int,
        paging: Literal["auto", "records", "pages"] = "auto",
        filters: Collection[str] = (),
    ) -> None:
        self._endpoint = endpoint
        self._fetch_page = fetch_page
        self._slots = asyncio.Semaphore(concurrency)
        self._may_switch = paging == "auto"
        self._addressing: Addressing = "pages" if paging == "pages" else "records"
        self._splits = tuple(name for name in endpoint.splits if name not in filters)

    async def read(self) -> Listing[RecordT]:
        """Return the complete list. Raises Inconsistent if there is none, or the error of a page request."""
        change = ListChanged()
        for _ in range(MAX_READINGS):
            try:
                return await self._read_part({}, self._splits)
            except ListChanged as error:
                change = error
                log.debug("list changed while it was read", how=str(error))
            except _TooLong as error:
                raise Inconsistent(str(error), hint="narrow the list with filter options") from None
            if change.short_page and self._may_switch and (listing := await self._read_by_page_numbers()):
                return listing
        raise Inconsistent(f"no complete list in {MAX_READINGS} readings: {change}")

    async def _read_by_page_numbers(self) -> Listing[RecordT] | None:
        """Read the list with offsets that count pages; if it is complete, they count pages from now on."""
        self._addressing = "pages"
        try:
            listing = await self._read_part({}, self._splits)
            self._may_switch = False
        except (ListChanged, _TooLong):
            return None
        finally:
            # A failed request or the end of the poll's time proves nothing.
            if self._may_switch:
                self._addressing = "records"
        log.warning("the API counts offsets in pages: using page numbers from now on")
        return listing

    async def _read_part(self, narrowing: Narrowing, splits: Sequence[str]) -> Listing[RecordT]:
        """Return a part of the list. A part that is too long is itself read in parts, by the first of `splits`."""
        try:
            pages = await self._read_pages(narrowing)
        except _TooLong as error:
            if not splits:
                raise
            name, *further = splits
            values = self._endpoint.splits[name]
            parts = [await self._read_part({**narrowing, name: value}, further) for value in values]
            return merge(parts, error.count)
        try:
            return merge(pages, pages[0].count)
        except ListChanged as change:
            change.short_page = is_second_page_short(pages, self._endpoint.max_page_rows)
            raise

    async def _read_pages(self, narrowing: Narrowing) -> list[Page[RecordT]]:
        """Return all pages in order; the first one says how many there are."""
        limit = self._endpoint.max_page_rows
        first = await self._fetch_page(0, limit, narrowing)
        if first.rows >= first.count:
            return [first]
        pages = -(-first.count // limit)
        # Also if offsets count pages: an absurd count must not become as many requests.
        if (pages - 1) * limit > MAX_OFFSET:
            raise _TooLong(first.count, self._endpoint.noun)
        step = limit if self._addressing == "records" else 1
        offsets = range(step, pages * step, step)
        return [first, *await _gather([self._read_page(offset, first.count, narrowing) for offset in offsets])]

    async def _read_page(self, offset: int, count: int, narrowing: Narrowing) -> Page[RecordT]:
        async with self._slots:
            page = await self._fetch_page(offset, self._endpoint.max_page_rows, narrowing)
        if page.count != count:
            raise ListChanged(f"count was {count}, then {page.count}")
        return page


async def _gather(readings: Sequence[Awaitable[Page[RecordT]]]) -> list[Page[RecordT]]:
    """Await all; the first failure cancels the others and is raised."""

    async def run(reading: Awaitable[Page[RecordT]]) -> Page[RecordT]:
        return await reading

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(reading)) for reading in readings]
    except* (PollError, ListChanged) as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


def _first(failures: BaseExceptionGroup[PollError | ListChanged]) -> PollError | ListChanged:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def is_second_page_short(pages: Sequence[Page[RecordT]], limit: int) -> bool:
    """Return whether the second page has fewer rows than `count` promised."""
    return len(pages) > 1 and pages[1].rows < min(limit, pages[0].count - limit)


def merge(parts: Iterable[Page[RecordT]], count: int) -> Listing[RecordT]:
    """Return the complete list of `count` records that the parts (pages, or lists of their own) are together.

    Raises ListChanged if a record is in two parts, or if rows are missing or too many.
    """
    records: dict[str, RecordT] = {}
    rows = duplicates = invalid = 0
    unreadable: Counter[str] = Counter()
    unknown: Counter[Unknown] = Counter()
    for part in parts:
        known = len(records)
        records.update((record.id, record) for record in part.records)
        if repeated := known + len(part.records) - len(records):
            raise ListChanged(f"{repeated} records were on two pages")
        rows += part.rows
        duplicates += part.duplicates
        invalid += part.invalid
        unreadable.update(part.unreadable)
        unknown.update(part.unknown)
    if rows != count:
        raise ListChanged(f"count was {count}, but {rows} rows came")
    return Listing(tuple(records.values()), count, duplicates, invalid, unreadable, unknown)
