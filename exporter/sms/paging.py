"""All pages of a list as one complete list, or an error: never part of one.

The list has neither a version nor a cursor, so completeness is concluded: every page reports the same `count`, no
record is on two pages, and all pages together have `count` rows. One case cannot be detected: while the pages are read,
one record is deleted and another one created, so that a third one moves between two pages and is on neither. It is in
the next list again. A list longer than offsets reach is read in parts, which together must have `count` rows.

A page size other than the requested one is followed: the second page begins where the first one ended.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Generic, Literal, TypeAlias

from exporter.blocking import Worker
from exporter.errors import BadResponse, Inconsistent
from exporter.language import Translatable
from exporter.logs import get_logger
from exporter.sms.decoding import NOT_AS_DOCUMENTED_HINT, Page
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import RecordT
from exporter.sms.tolerant import Unknown

MAX_OFFSET: Final = 65535
"""The largest offset that the API accepts."""

MAX_PAGES: Final = 700
"""The largest number of pages: enough for every offset with pages of half the requested size."""

MIN_PAGES_OF_PROOF: Final = 3
"""The shortest list that proves what offsets count: two pages can be complete by chance while a list changes."""

MAX_INLINE_RECORDS: Final = 5_000
"""A longer list is merged in a thread: it would delay everything else on the event loop."""

MAX_READINGS: Final = 3
"""How often a list that keeps changing is read before the poll fails."""

Addressing: TypeAlias = Literal["records", "pages"]
"""What an offset counts."""

Narrowing: TypeAlias = Mapping[str, str]
"""Query parameters that select a part of the list."""

WHOLE_LIST: Final[Narrowing] = MappingProxyType({})
"""Selects all of the list."""

FetchPage: TypeAlias = Callable[[int, int, Narrowing], Awaitable[Page[RecordT]]]
"""Returns the page at (offset, limit) of the part of the list that a narrowing selects."""

_LASTING_HINT: Final = Translatable(
    "the API does not page as documented: if this lasts, open a ticket with this message"
)
_OFFSET_HINT: Final = Translatable(
    "check for a gateway or proxy that drops or caches query parameters: api.endpoint, api.proxy"
)

_get_id: Final = attrgetter("id")

log = get_logger(__name__)


class Listing(Page[RecordT]):
    """A complete list: it has `count` rows."""

    __slots__ = ()


class ListChanged(Exception):
    """A reading was not complete: the list changed, or the API does not page as documented.

    The message says how that was detected. `hint` is what to do if it happens in every reading.
    """

    def __init__(self, message: str, *, hint: Translatable = _LASTING_HINT) -> None:
        super().__init__(message)
        self.hint = hint


class _TooLong(Exception):
    """Offsets do not reach the end of a list of `count` records."""

    def __init__(self, count: int, noun: str) -> None:
        super().__init__(f"the list has {count} {noun}, more than an offset reaches ({MAX_OFFSET})")
        self.count = count


class Pager(Generic[RecordT]):
    """Reads the complete list of an endpoint with at most `concurrency` concurrent page requests.

    With paging "auto" an offset counts records until a list proves that it counts pages. That holds for all later
    lists, until one contradicts it. `filters` are the names of the query parameters that narrow the list already: it
    cannot be split by those.
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

    async def read(self, narrowing: Narrowing = WHOLE_LIST) -> Listing[RecordT]:
        """Return the complete list, or the part that `narrowing` selects.

        Raise Inconsistent if there is none, BadResponse if most of its records have no id, or the error of a page.
        """
        listing = await self._read_complete(narrowing)
        _check_usable(listing, self._endpoint.noun)
        return listing

    async def _read_complete(self, narrowing: Narrowing) -> Listing[RecordT]:
        changes: list[ListChanged] = []
        for _ in range(MAX_READINGS):
            reading = _Reading(self._endpoint, self._fetch_in_slot, self._addressing)
            try:
                return await reading.read_part(narrowing, self._splits)
            except ListChanged as change:
                changes.append(change)
                log.debug("list changed while it was read", how=str(change))
            except _TooLong as error:
                raise Inconsistent(str(error), hint=Translatable("narrow the list with filter options")) from None
            if (
                self._may_switch
                and reading.contradicts_addressing
                and (listing := await self._read_with_other_addressing(narrowing))
            ):
                return listing
        raise _inconsistent(changes)

    async def _read_with_other_addressing(self, narrowing: Narrowing) -> Listing[RecordT] | None:
        """Return the list if it is complete with the other addressing, and remember that if it is proven."""
        addressing: Addressing = "pages" if self._addressing == "records" else "records"
        reading = _Reading(self._endpoint, self._fetch_in_slot, addressing)
        try:
            listing = await reading.read_part(narrowing, self._splits)
        except (ListChanged, _TooLong):
            return None
        if addressing == "records" or reading.longest_part >= MIN_PAGES_OF_PROOF:
            self._addressing = addressing
            log.warning("detected what offsets of the API count", paging=addressing)
        return listing

    async def _fetch_in_slot(self, offset: int, limit: int, narrowing: Narrowing) -> Page[RecordT]:
        async with self._slots:
            return await self._fetch_page(offset, limit, narrowing)


class _Reading(Generic[RecordT]):
    """One attempt to read a list with offsets that count records or pages.

    `longest_part` is the largest number of pages of a part of it. `contradicts_addressing` says whether
    the pages look as if the other addressing were right.
    """

    def __init__(self, endpoint: Endpoint[RecordT], fetch_page: FetchPage[RecordT], addressing: Addressing) -> None:
        self._endpoint = endpoint
        self._fetch_page = fetch_page
        self._addressing = addressing
        self._worker = Worker()
        self.longest_part = 0
        self.contradicts_addressing = False

    async def read_part(self, narrowing: Narrowing, splits: Sequence[str]) -> Listing[RecordT]:
        """Return a part of the list. A part that is too long is itself read in parts, by the first of `splits`."""
        try:
            pages = await self._read_pages(narrowing)
        except _TooLong as error:
            if not splits:
                raise
            name, *further = splits
            values = self._endpoint.splits[name]
            parts = [await self.read_part({**narrowing, name: value}, further) for value in values]
            return await self._merge(parts, error.count)
        self.longest_part = max(self.longest_part, len(pages))
        try:
            return await self._merge(pages, pages[0].count)
        except ListChanged:
            self.contradicts_addressing |= _contradicts(pages, self._addressing)
            if _are_all_the_same(pages):
                raise ListChanged("the API ignores the offset: all pages are the same", hint=_OFFSET_HINT) from None
            raise

    async def _merge(self, parts: Sequence[Page[RecordT]], count: int) -> Listing[RecordT]:
        return merge(parts, count) if count <= MAX_INLINE_RECORDS else await self._worker.run(merge, parts, count)

    async def _read_pages(self, narrowing: Narrowing) -> list[Page[RecordT]]:
        """Return all pages in order. The first one says how many there are and how large they are."""
        limit = self._endpoint.max_page_rows
        first = await self._fetch_page(0, limit, narrowing)
        size = first.rows
        if size >= first.count:
            return [first]
        if size == 0:
            raise ListChanged(f"count was {first.count}, but the first page was empty")
        pages = -(-first.count // size)
        # Also if offsets count pages: an absurd count must not become as many requests.
        if (pages - 1) * size > MAX_OFFSET:
            raise _TooLong(first.count, self._endpoint.noun)
        if pages > MAX_PAGES:
            raise ListChanged(f"the API sent {size} rows of {first.count} although {limit} were requested")
        step = size if self._addressing == "records" else 1
        readings = [
            self._read_page(offset, min(size, limit), first.count, narrowing)
            for offset in range(step, pages * step, step)
        ]
        return [first, *await _gather(readings)]

    async def _read_page(self, offset: int, limit: int, count: int, narrowing: Narrowing) -> Page[RecordT]:
        page = await self._fetch_page(offset, limit, narrowing)
        if page.count != count:
            raise ListChanged(f"count was {count}, then {page.count}")
        return page


def _check_usable(listing: Listing[RecordT], noun: str) -> None:
    """Raise BadResponse if more records have no id than have one: such a list is not that of the account."""
    if listing.invalid > len(listing.records):
        raise BadResponse(
            f"{listing.invalid} of {listing.rows} {noun} have no ID that can be read", hint=NOT_AS_DOCUMENTED_HINT
        )


def _inconsistent(changes: Sequence[ListChanged]) -> Inconsistent:
    """Return the error after several incomplete readings. If all failed alike, the list does not just change."""
    last = changes[-1]
    lasting = len({str(change) for change in changes}) == 1
    message = f"no complete list in {len(changes)} readings: {last}{' each time' if lasting else ''}"
    return Inconsistent(message, hint=last.hint if lasting else None)


async def _gather(readings: Sequence[Awaitable[Page[RecordT]]]) -> list[Page[RecordT]]:
    """Await all; the first failure cancels the others and is raised.

    Not a TaskGroup: in Python 3.11, a failure in it leaves its caller marked as cancelled, so that a later timeout
    raises CancelledError, and it loses a timeout that expires while it ends.
    """
    tasks = [asyncio.ensure_future(reading) for reading in readings]
    failures: list[BaseException] = []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        failures += [failure for task in tasks if not task.cancelled() and (failure := task.exception())]
    if failures:
        raise failures[0]
    return [task.result() for task in tasks]


def _contradicts(pages: Sequence[Page[RecordT]], addressing: Addressing) -> bool:
    """Return whether incomplete pages look as if the other addressing were right.

    An offset that counts pages is soon beyond the end, so a page is empty or short. One that counts records advances by
    one record only, so the second page repeats records of the first.
    """
    first, *further = pages
    if addressing == "pages":
        return bool(further) and not _ids(first).isdisjoint(_ids(further[0]))
    return any(
        page.rows < min(first.rows, first.count - number * first.rows) for number, page in enumerate(further, start=1)
    )


def _are_all_the_same(pages: Sequence[Page[RecordT]]) -> bool:
    """Return whether several pages have the same records, and have any."""
    first, *further = map(_ids, pages)
    return bool(first and further) and all(ids == first for ids in further)


def _ids(page: Page[RecordT]) -> set[str]:
    return {record.id for record in page.records}


def merge(parts: Iterable[Page[RecordT]], count: int) -> Listing[RecordT]:
    """Return the complete list of `count` records that the parts (pages, or lists of their own) are together.

    Raise ListChanged if a record is in two parts, or if rows are missing or too many.
    """
    records: dict[str, RecordT] = {}
    rows = duplicates = invalid = 0
    unreadable: Counter[str] = Counter()
    unknown: Counter[Unknown] = Counter()
    for part in parts:
        known = len(records)
        records.update(zip(map(_get_id, part.records), part.records, strict=True))
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
