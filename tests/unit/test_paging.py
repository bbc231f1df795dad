import asyncio
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.errors import BadResponse, Inconsistent, PollError, ServerFault
from exporter.settings import FilterSettings
from exporter.sms.decoding import Page
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import SourceServer
from exporter.sms.paging import (
    MAX_INLINE_RECORDS,
    MAX_OFFSET,
    MAX_PAGES,
    MAX_READINGS,
    ListChanged,
    Narrowing,
    Pager,
    merge,
)

Answer = Callable[["FakeList", int, int], Page[SourceServer]]
LIMIT = SOURCE_SERVERS.max_page_rows


def page(*ids: str, count: int, duplicates: int = 0, invalid: int = 0) -> Page[SourceServer]:
    return Page(tuple(SourceServer(id=name) for name in ids), count, duplicates, invalid)


class FakeList:
    """A list of servers that answers pages, and keeps what it was asked."""

    def __init__(self, size: int, *, addressing: str = "records") -> None:
        self.ids = [f"s{number:05d}" for number in range(size)]
        self.addressing = addressing
        self.asked: list[int] = []
        self.in_flight = self.most_in_flight = 0

    async def fetch(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        assert not narrowing
        self.asked.append(offset)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        return self.answer(offset, limit)

    def answer(self, offset: int, limit: int) -> Page[SourceServer]:
        start = offset if self.addressing == "records" else offset * limit
        return page(*self.ids[start : start + limit], count=len(self.ids))

    def pager(self, paging: str = "auto", concurrency: int = 6) -> Pager[SourceServer]:
        return Pager(SOURCE_SERVERS, self.fetch, concurrency=concurrency, paging=paging)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "pages"), [(0, 1), (1, 1), (199, 1), (200, 1), (201, 2), (1000, 5), (10_000, 50)])
async def test_every_server_is_read_once_with_as_few_pages_as_there_are(size: int, pages: int) -> None:
    fleet = FakeList(size)
    listing = await fleet.pager().read()
    assert [found.id for found in listing.records] == fleet.ids
    assert sorted(fleet.asked) == [number * LIMIT for number in range(pages)]
    assert listing.count == size


@pytest.mark.parametrize(("size", "in_thread"), [(MAX_INLINE_RECORDS, False), (MAX_INLINE_RECORDS + 1, True)])
async def test_only_a_long_list_is_merged_in_a_thread(size: int, in_thread: bool) -> None:
    class WatchedPage(Page[SourceServer]):
        @property
        def rows(self) -> int:
            threads.add(threading.get_ident())
            return super().rows

    async def fetch(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        answer = await fleet.fetch(offset, limit, narrowing)
        return WatchedPage(answer.records, answer.count)

    fleet = FakeList(size)
    threads: set[int] = set()
    listing = await Pager(SOURCE_SERVERS, fetch, concurrency=1).read()
    assert [found.id for found in listing.records] == fleet.ids
    assert (threads != {threading.get_ident()}) == in_thread


async def test_concurrent_page_requests_are_bounded() -> None:
    fleet = FakeList(5000)
    await fleet.pager(concurrency=3).read()
    assert fleet.most_in_flight == 3


async def test_an_api_that_sends_the_whole_list_at_once_is_read_with_one_page() -> None:
    fleet = FakeList(500)

    async def everything(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:  # noqa: ARG001 - what it ignores
        fleet.asked.append(offset)
        return fleet.answer(0, 500)

    listing = await Pager(SOURCE_SERVERS, everything, concurrency=1).read()
    assert (len(listing.records), fleet.asked) == (500, [0])


def test_a_server_twice_on_one_page_does_not_make_the_list_incomplete() -> None:
    listing = merge([page("a", "b", count=4, duplicates=2)], 4)
    assert [found.id for found in listing.records] == ["a", "b"]
    assert (listing.duplicates, listing.count) == (2, 4)


def test_an_unreadable_record_does_not_make_the_list_incomplete() -> None:
    listing = merge([page("a", count=2, invalid=1)], 2)
    assert (len(listing.records), listing.invalid) == (1, 1)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (page(count=1, invalid=1), "1 of 1 source servers have no ID that can be read"),
        (page("a", count=4, duplicates=1, invalid=2), "2 of 4 source servers have no ID that can be read"),
        (page("a", count=2, invalid=1), None),
        (page("a", count=10, duplicates=9), None),
        (page(count=0), None),
    ],
)
async def test_a_list_of_which_most_records_have_no_id_is_a_bad_response(
    only: Page[SourceServer], message: str | None
) -> None:
    async def fetch(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:  # noqa: ARG001 - one page
        return only

    pager = Pager(SOURCE_SERVERS, fetch, concurrency=1)
    if message is None:
        assert (await pager.read()).records == only.records
    else:
        with pytest.raises(BadResponse, match=message):
            await pager.read()


async def test_a_last_page_without_a_readable_record_does_not_fail_the_list() -> None:
    async def fetch(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:  # noqa: ARG001 - no filter
        return (
            page(*(f"s{number}" for number in range(limit)), count=201) if offset == 0 else page(count=201, invalid=1)
        )

    listing = await Pager(SOURCE_SERVERS, fetch, concurrency=1).read()
    assert (len(listing.records), listing.invalid) == (200, 1)


@pytest.mark.parametrize(
    ("pages", "sign"),
    [
        ([page("a", "b", count=4), page("b", "c", count=4)], "1 records were on two pages"),
        ([page("a", count=3), page("b", count=3)], "count was 3, but 2 rows came"),
        ([page("a", "b", "c", count=2)], "count was 2, but 3 rows came"),
        ([page(count=1)], "count was 1, but 0 rows came"),
    ],
)
def test_a_list_that_changed_is_detected(pages: Sequence[Page[SourceServer]], sign: str) -> None:
    with pytest.raises(ListChanged, match=sign):
        merge(pages, pages[0].count)


async def test_a_list_that_changes_once_is_read_again() -> None:
    fleet = FakeList(450)
    answer = fleet.answer

    async def changing(offset: int, limit: int, _: Narrowing) -> Page[SourceServer]:
        fleet.asked.append(offset)
        found = answer(offset, limit)
        if len(fleet.asked) == 1:
            fleet.ids.pop(0)
        return found

    listing = await Pager(SOURCE_SERVERS, changing, concurrency=1).read()
    assert [found.id for found in listing.records] == fleet.ids
    assert len(fleet.asked) > 3


async def test_a_list_whose_records_moved_between_full_pages_is_read_again_by_records() -> None:
    fleet = FakeList(450)
    answer = fleet.answer
    moves = iter([1])
    fleet.answer = lambda offset, limit: answer(offset - (next(moves, 0) if offset == 200 else 0), limit)  # type: ignore[method-assign]
    assert len((await fleet.pager().read()).records) == 450
    assert sorted(fleet.asked) == [0, 0, 200, 200, 400, 400]


async def test_a_list_that_keeps_changing_is_inconsistent_after_a_few_readings() -> None:
    fleet = FakeList(300)

    async def changing(offset: int, limit: int, _: Narrowing) -> Page[SourceServer]:
        fleet.asked.append(offset)
        fleet.ids.append(f"new{len(fleet.asked)}")
        return fleet.answer(offset, limit)

    with pytest.raises(Inconsistent, match=r"^no complete list in 3 readings: count was 305, then 306$"):
        await Pager(SOURCE_SERVERS, changing, concurrency=1).read()
    assert fleet.asked.count(0) == MAX_READINGS


async def test_that_offsets_count_pages_is_detected_and_logged_once() -> None:
    fleet = FakeList(450, addressing="pages")
    pager = fleet.pager()
    with capture_logs() as logs:
        assert len((await pager.read()).records) == 450
        fleet.asked.clear()
        assert len((await pager.read()).records) == 450
    detected = {"event": "detected what offsets of the API count", "paging": "pages", "log_level": "warning"}
    assert [line for line in logs if line["log_level"] == "warning"] == [detected]
    assert sorted(fleet.asked) == [0, 1, 2]


@pytest.mark.parametrize("addressing", ["records", "pages"])
async def test_what_an_offset_counts_can_be_set(addressing: str) -> None:
    fleet = FakeList(450, addressing=addressing)
    assert len((await fleet.pager(addressing).read()).records) == 450
    assert len(fleet.asked) == 3


async def test_the_wrong_setting_of_offsets_never_returns_part_of_the_list() -> None:
    with pytest.raises(Inconsistent):
        await FakeList(450, addressing="pages").pager("records").read()
    with pytest.raises(Inconsistent):
        await FakeList(450, addressing="records").pager("pages").read()


async def test_two_pages_read_by_page_numbers_are_used_and_prove_nothing() -> None:
    fleet = FakeList(300, addressing="pages")
    pager = fleet.pager()
    for _ in range(2):
        fleet.asked.clear()
        assert len((await pager.read()).records) == 300
        assert fleet.asked == [0, 200, 0, 1]


async def test_a_list_that_shrinks_to_one_page_does_not_prove_that_offsets_count_pages() -> None:
    fleet = FakeList(300)
    answer = fleet.answer

    def shrinking(offset: int, limit: int) -> Page[SourceServer]:
        found = answer(offset, limit)
        if offset:
            del fleet.ids[100:]
            return page(count=300)
        return found

    fleet.answer = shrinking  # type: ignore[method-assign]
    pager = fleet.pager()
    assert len((await pager.read()).records) == 100
    fleet.answer = answer  # type: ignore[method-assign]
    fleet.ids += [f"new{number}" for number in range(500)]
    fleet.asked.clear()
    assert len((await pager.read()).records) == 600
    assert sorted(fleet.asked) == [0, 200, 400]


@pytest.mark.parametrize(
    ("size", "by_both", "by_records"),
    [(450, [0, 0, 1, 2, 200, 400], [0, 200, 400]), (300, [0, 0, 1, 200], [0, 200])],
)
async def test_a_list_that_contradicts_page_numbers_is_read_by_records_again(
    size: int, by_both: list[int], by_records: list[int]
) -> None:
    fleet = FakeList(450, addressing="pages")
    pager = fleet.pager()
    await pager.read()
    fleet.addressing = "records"
    del fleet.ids[size:]
    for asked in (by_both, by_records):
        fleet.asked.clear()
        assert len((await pager.read()).records) == size
        assert sorted(fleet.asked) == asked


@pytest.mark.parametrize("addressing", ["records", "pages"])
@pytest.mark.parametrize("size", [100, 350])
async def test_pages_of_another_size_than_requested_are_followed(addressing: str, size: int) -> None:
    fleet = FakeList(1000, addressing=addressing)
    answer = fleet.answer

    def sized(offset: int, _: int) -> Page[SourceServer]:
        return answer(offset, size)

    fleet.answer = sized  # type: ignore[method-assign, assignment]
    assert len((await fleet.pager(addressing).read()).records) == 1000
    assert len(fleet.asked) == -(-1000 // size)


async def test_a_short_first_page_is_followed() -> None:
    fleet = FakeList(450)
    answer = fleet.answer
    fleet.answer = lambda offset, limit: answer(offset, limit if offset else 150)  # type: ignore[method-assign]
    assert len((await fleet.pager().read()).records) == 450
    assert sorted(fleet.asked) == [0, 150, 300]


def ignored_offset(fleet: FakeList, _: int, limit: int) -> Page[SourceServer]:
    return page(*fleet.ids[:limit], count=len(fleet.ids))


def missing_row(fleet: FakeList, offset: int, limit: int) -> Page[SourceServer]:
    return page(*fleet.ids[offset : offset + limit], count=len(fleet.ids) + 1)


def empty_page(fleet: FakeList, *_: int) -> Page[SourceServer]:
    return page(count=len(fleet.ids))


def tiny_page(fleet: FakeList, offset: int, _: int) -> Page[SourceServer]:
    return page(*fleet.ids[offset : offset + 1], count=len(fleet.ids))


def repeated_second_page(fleet: FakeList, offset: int, limit: int) -> Page[SourceServer]:
    return page(*fleet.ids[min(offset, limit) :][:limit], count=len(fleet.ids))


def repeated_first_page(fleet: FakeList, offset: int, limit: int) -> Page[SourceServer]:
    return page(*fleet.ids[offset if offset == limit else 0 :][:limit], count=len(fleet.ids))


def rows_without_ids(fleet: FakeList, *_: int) -> Page[SourceServer]:
    return page(count=len(fleet.ids) + 1, invalid=LIMIT)


def more_rows_than_counted(fleet: FakeList, *_: int) -> Page[SourceServer]:
    return page(*fleet.ids, count=len(fleet.ids) - 1)


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (ignored_offset, "the API ignores the offset: all pages are the same", "query parameters"),
        (missing_row, "count was 1001, but 1000 rows came each time", "does not page as documented"),
        (empty_page, "count was 1000, but the first page was empty each time", "does not page as documented"),
        (tiny_page, "the API sent 1 rows of 1000 although 200 were requested", "does not page as documented"),
        (repeated_second_page, "200 records were on two pages each time", "does not page as documented"),
        (repeated_first_page, "200 records were on two pages each time", "does not page as documented"),
        (rows_without_ids, "count was 1001, but 1200 rows came each time", "does not page as documented"),
        (more_rows_than_counted, "count was 999, but 1000 rows came each time", "does not page as documented"),
    ],
)
async def test_a_lasting_fault_of_the_paging_is_named(answer: Answer, message: str, hint: str) -> None:
    fleet = FakeList(1000)
    fleet.answer = functools.partial(answer, fleet)  # type: ignore[method-assign]
    with pytest.raises(Inconsistent, match=message) as failure:
        await fleet.pager().read()
    assert hint in failure.value.hint
    assert len(fleet.asked) <= 2 * MAX_READINGS * 6


async def test_one_page_with_more_rows_than_counted_does_not_contradict_page_numbers() -> None:
    fleet = FakeList(1000)
    fleet.answer = functools.partial(more_rows_than_counted, fleet)  # type: ignore[method-assign]
    with pytest.raises(Inconsistent, match="count was 999, but 1000 rows came each time"):
        await fleet.pager("pages").read()
    assert fleet.asked == [0] * MAX_READINGS


@pytest.mark.parametrize("rows", [MAX_PAGES, MAX_PAGES + 1])
async def test_pages_of_one_row_are_read_up_to_the_maximum_number_of_pages(rows: int) -> None:
    fleet = FakeList(rows)
    fleet.answer = functools.partial(tiny_page, fleet)  # type: ignore[method-assign]
    if rows > MAX_PAGES:
        with pytest.raises(Inconsistent, match=f"the API sent 1 rows of {rows}"):
            await fleet.pager().read()
    else:
        assert len((await fleet.pager().read()).records) == rows


async def test_a_short_page_does_not_switch_to_pages_where_offsets_count_records() -> None:
    fleet = FakeList(450)
    answer = fleet.answer
    fleet.answer = lambda offset, limit: answer(offset, limit - 1 if offset == 200 else limit)  # type: ignore[method-assign]
    pager = fleet.pager()
    with pytest.raises(Inconsistent):
        await pager.read()
    fleet.answer = answer  # type: ignore[method-assign]
    assert len((await pager.read()).records) == 450


async def test_a_page_that_fails_fails_the_reading_as_itself_and_ends_the_others() -> None:
    fleet = FakeList(10_000)

    async def failing(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        if offset == 400:
            raise ServerFault("down")
        return await fleet.fetch(offset, limit, narrowing)

    with pytest.raises(ServerFault, match="down"):
        await Pager(SOURCE_SERVERS, failing, concurrency=2).read()
    assert len(fleet.asked) < 10


class LongList:
    """A list of (state, cycle) for each server, that can be narrowed by both."""

    def __init__(self, *kinds: tuple[str, str, int]) -> None:
        self.servers = [
            SourceServer(id=f"{state}-{cycle}-{number}", state=state, migration_cycle=cycle)
            for state, cycle, many in kinds
            for number in range(many)
        ]
        self.asked: list[tuple[int, Narrowing]] = []
        self._parts: dict[tuple[tuple[str, str], ...], list[SourceServer]] = {}

    async def fetch(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        assert offset <= MAX_OFFSET
        self.asked.append((offset, narrowing))
        part = self._part(tuple(narrowing.items()))
        rows = tuple(part[offset : offset + limit])
        return Page(rows, len(part))

    def _part(self, narrowing: tuple[tuple[str, str], ...]) -> list[SourceServer]:
        if narrowing not in self._parts:
            self._parts[narrowing] = [
                one for one in self.servers if all(getattr(one, name) == value for name, value in narrowing)
            ]
        return self._parts[narrowing]


async def test_a_list_longer_than_offsets_reach_is_read_by_state() -> None:
    fleet = LongList(("replicate", "replicating", 40_000), ("finished", "cutovered", 30_000), ("error", "checking", 1))
    listing = await Pager(SOURCE_SERVERS, fleet.fetch, concurrency=6).read()
    assert {one.id for one in listing.records} == {one.id for one in fleet.servers}
    assert listing.count == 70_001


async def test_a_state_longer_than_offsets_reach_is_read_by_migration_cycle() -> None:
    fleet = LongList(("error", "replicating", 40_000), ("error", "syncing", 30_000), ("finished", "cutovered", 5))
    listing = await Pager(SOURCE_SERVERS, fleet.fetch, concurrency=6).read()
    assert len(listing.records) == listing.count == 70_005


async def test_a_long_list_with_servers_in_no_part_is_not_complete() -> None:
    fleet = LongList(("replicate", "replicating", 40_000), ("error", "syncing", 30_000), ("new", "checking", 1))
    with pytest.raises(Inconsistent, match="count was 70001, but 70000 rows came"):
        await Pager(SOURCE_SERVERS, fleet.fetch, concurrency=6).read()


async def test_a_long_list_is_not_split_by_a_parameter_that_filters_it() -> None:
    fleet = LongList(("error", "replicating", 40_000), ("error", "syncing", 30_000))
    listing = await Pager(SOURCE_SERVERS, fleet.fetch, concurrency=6, filters=("state",)).read()
    assert len(listing.records) == 70_000
    assert not any("state" in narrowing for _, narrowing in fleet.asked)


@pytest.mark.parametrize("addressing", ["records", "pages"])
async def test_an_absurd_count_does_not_become_as_many_requests(addressing: Literal["records", "pages"]) -> None:
    asked = []

    async def boasting(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:  # noqa: ARG001 - all are answered alike
        asked.append(narrowing)
        return page("a", count=2**62)

    with pytest.raises(Inconsistent, match="the list has 4611686018427387904 source servers"):
        await Pager(SOURCE_SERVERS, boasting, concurrency=6, paging=addressing).read()
    assert asked == [{}, {"state": "unavailable"}, {"state": "unavailable", "migration_cycle": "checking"}]


async def test_unreadable_and_unknown_values_of_a_list_read_in_parts_are_counted_together() -> None:
    fleet = LongList(("replicate", "replicating", 40_000), ("error", "syncing", 30_000))

    async def with_findings(offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        page = await fleet.fetch(offset, limit, narrowing)
        return replace(page, unreadable={"memory": 2}, unknown={("os_type", "BEOS"): 1, ("state", str(offset)): 1})

    listing = await Pager(SOURCE_SERVERS, with_findings, concurrency=6).read()
    # An empty state is a page, too.
    pages = 40_000 // 200 + 30_000 // 200 + len(SOURCE_SERVERS.splits["state"]) - 2
    assert listing.unreadable == {"memory": 2 * pages}
    assert listing.unknown["os_type", "BEOS"] == pages
    assert listing.unknown["state", "200"] == 2


async def test_a_list_is_read_up_to_the_largest_offset_that_the_api_accepts() -> None:
    # The last of 258 pages of 255 rows begins at the largest offset.
    fleet = FakeList(258 * 255)
    answer = fleet.answer
    fleet.answer = lambda offset, _: answer(offset, 255)  # type: ignore[method-assign, assignment]
    assert len((await fleet.pager().read()).records) == 258 * 255
    assert (len(fleet.asked), max(fleet.asked)) == (258, MAX_OFFSET)


# The last page of the shortest such list begins at 65,600.
@pytest.mark.parametrize("servers", [65_601, 65_801])
async def test_a_list_that_cannot_be_split_enough_is_not_complete(servers: int) -> None:
    fleet = LongList(("error", "syncing", servers))
    with pytest.raises(Inconsistent, match="more than an offset reaches"):
        await Pager(SOURCE_SERVERS, fleet.fetch, concurrency=6).read()


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), min_size=1, max_size=4), st.integers(0, 12))
def test_a_merged_list_has_every_row_accounted_for(pages: list[list[str]], count: int) -> None:
    try:
        listing = merge(
            [page(*dict.fromkeys(ids), count=count, duplicates=len(ids) - len(set(ids))) for ids in pages], count
        )
    except ListChanged:
        return
    assert len(listing.records) + listing.duplicates + listing.invalid == count
    assert {found.id for found in listing.records} == {name for ids in pages for name in ids}


def test_the_list_of_source_servers_accepts_every_filter_option() -> None:
    assert SOURCE_SERVERS.filters == set(FilterSettings.model_fields)
    assert SOURCE_SERVERS.splits.keys() <= SOURCE_SERVERS.filters


def test_every_reason_is_one_class() -> None:
    reasons = [kind.reason for kind in PollError.__subclasses__()]
    assert len(set(reasons)) == len(reasons) == 9


@pytest.mark.parametrize("failure", [ServerFault("busy"), TimeoutError()])
async def test_a_failed_reading_by_page_numbers_proves_nothing(failure: Exception) -> None:
    class Overloaded(FakeList):
        def answer(self, offset: int, limit: int) -> Page[SourceServer]:
            if len(self.asked) == 2:
                return page(count=len(self.ids))
            if len(self.asked) > 2:
                raise failure
            return super().answer(offset, limit)

    fleet = Overloaded(300)
    pager = fleet.pager()
    with pytest.raises(type(failure)):
        await pager.read()
    recovered = FakeList(300)
    fleet.answer = recovered.answer  # type: ignore[method-assign]
    assert len((await pager.read()).records) == 300


class ChangingList(FakeList):
    """A list whose count differs on its second page. All later pages have no response."""

    def __init__(self) -> None:
        super().__init__(3 * LIMIT)
        self.when_cancelled: Callable[[], None] = lambda: None

    async def fetch(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        if offset < 2 * LIMIT:
            found = await super().fetch(offset, limit, narrowing)
            return page(*(each.id for each in found.records), count=len(self.ids) + offset)
        self.asked.append(offset)
        try:
            await asyncio.Event().wait()
        finally:
            self.when_cancelled()
            # A response takes a moment to be closed.
            await asyncio.sleep(0)
        raise AssertionError("the page has no response")


async def test_a_list_that_changed_while_it_was_read_leaves_its_reader_able_to_time_out() -> None:
    async def read_and_wait() -> None:
        async with asyncio.timeout(None) as timeout:
            with pytest.raises(Inconsistent):
                await ChangingList().pager().read()
            timeout.reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await read_and_wait()


async def test_a_timeout_that_expires_while_the_other_pages_are_cancelled_ends_the_reading() -> None:
    fleet = ChangingList()

    async def read() -> None:
        async with asyncio.timeout(None) as timeout:
            fleet.when_cancelled = lambda: timeout.reschedule(asyncio.get_running_loop().time())
            await fleet.pager().read()

    with pytest.raises(TimeoutError):
        await read()
    assert fleet.asked.count(0) == 1
