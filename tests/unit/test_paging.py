import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Inconsistent, PollError, ServerFault
from exporter.sms.decoding import Page
from exporter.sms.model import SourceServer
from exporter.sms.paging import ATTEMPTS, LAST_OFFSET, LIMIT, Moved, Narrowing, Pager, merge
from support import server


def page(*ids: str, count: int, invalid: int = 0) -> Page:
    return Page(count, len(ids) + invalid, tuple(server(name) for name in ids), invalid)


class FakeList:
    """A list of servers that answers pages, and keeps what it was asked."""

    def __init__(self, size: int, *, addressing: str = "records") -> None:
        self.ids = [f"s{number:05d}" for number in range(size)]
        self.addressing = addressing
        self.asked: list[int] = []
        self.under_way = self.most_under_way = 0

    async def fetch(self, offset: int, limit: int, narrowing: Narrowing) -> Page:
        assert not narrowing
        self.asked.append(offset)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return self.answer(offset, limit)

    def answer(self, offset: int, limit: int) -> Page:
        start = offset if self.addressing == "records" else offset * limit
        return page(*self.ids[start : start + limit], count=len(self.ids))

    def pager(self, paging: str = "auto", concurrency: int = 6) -> Pager:
        return Pager(self.fetch, concurrency=concurrency, paging=paging)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "pages"), [(0, 1), (1, 1), (199, 1), (200, 1), (201, 2), (1000, 5), (10_000, 50)])
async def test_every_server_is_read_once_with_as_few_pages_as_there_are(size: int, pages: int) -> None:
    fleet = FakeList(size)
    listing = await fleet.pager().read()
    assert [found.id for found in listing.servers] == fleet.ids
    assert sorted(fleet.asked) == [number * LIMIT for number in range(pages)]
    assert listing.count == size


async def test_no_more_pages_are_under_way_than_allowed() -> None:
    fleet = FakeList(5000)
    await fleet.pager(concurrency=3).read()
    assert fleet.most_under_way == 3


async def test_a_server_that_gives_more_than_the_limit_is_believed() -> None:
    fleet = FakeList(500)

    async def everything(offset: int, limit: int, narrowing: Narrowing) -> Page:  # noqa: ARG001 - what it ignores
        fleet.asked.append(offset)
        return fleet.answer(0, 500)

    listing = await Pager(everything, concurrency=1).read()
    assert (len(listing.servers), fleet.asked) == (500, [0])


def test_a_server_twice_on_one_page_is_skipped_and_counted() -> None:
    listing = merge([page("a", "a", "b", "a", count=4)])
    assert [found.id for found in listing.servers] == ["a", "b"]
    assert (listing.duplicates, listing.count) == (2, 4)


def test_of_two_records_of_a_server_on_one_page_the_first_is_kept() -> None:
    first, second = server("a", state="error"), server("a", state="finished")
    assert merge([Page(2, 2, (first, second))]).servers == (first,)


def test_an_unreadable_record_does_not_make_the_list_incomplete() -> None:
    listing = merge([page("a", count=2, invalid=1)])
    assert (len(listing.servers), listing.invalid) == (1, 1)


@pytest.mark.parametrize(
    ("pages", "sign"),
    [
        ([page("a", count=2), page("b", count=3)], "count was 2, then 3"),
        ([page("a", "b", count=4), page("b", "c", count=4)], "1 servers were on two pages"),
        ([page("a", count=3), page("b", count=3)], "count was 3, but 2 rows came"),
        ([page("a", "b", "c", count=2)], "count was 2, but 3 rows came"),
        ([page(count=1)], "count was 1, but 0 rows came"),
    ],
)
def test_a_list_that_moved_is_noticed(pages: Sequence[Page], sign: str) -> None:
    with pytest.raises(Moved, match=sign):
        merge(pages)


async def test_a_list_that_moves_once_is_read_again() -> None:
    fleet = FakeList(450)
    answer = fleet.answer

    async def moving(offset: int, limit: int, _: Narrowing) -> Page:
        fleet.asked.append(offset)
        found = answer(offset, limit)
        if len(fleet.asked) == 1:
            fleet.ids.pop(0)
        return found

    listing = await Pager(moving, concurrency=1).read()
    assert [found.id for found in listing.servers] == fleet.ids
    assert len(fleet.asked) > 3


async def test_a_list_that_never_rests_is_inconsistent_after_a_few_readings() -> None:
    fleet = FakeList(300)

    async def moving(offset: int, limit: int, _: Narrowing) -> Page:
        fleet.asked.append(offset)
        fleet.ids.append(f"new{len(fleet.asked)}")
        return fleet.answer(offset, limit)

    with pytest.raises(Inconsistent, match="count was"):
        await Pager(moving, concurrency=1).read()
    assert fleet.asked.count(0) == ATTEMPTS


async def test_offsets_that_count_pages_are_found_out_once() -> None:
    fleet = FakeList(450, addressing="pages")
    pager = fleet.pager()
    assert len((await pager.read()).servers) == 450
    fleet.asked.clear()
    assert len((await pager.read()).servers) == 450
    assert sorted(fleet.asked) == [0, 1, 2]


@pytest.mark.parametrize("addressing", ["records", "pages"])
async def test_what_an_offset_counts_can_be_set(addressing: str) -> None:
    fleet = FakeList(450, addressing=addressing)
    assert len((await fleet.pager(addressing).read()).servers) == 450
    assert len(fleet.asked) == 3


async def test_the_wrong_setting_of_offsets_never_gives_part_of_the_list() -> None:
    with pytest.raises(Inconsistent):
        await FakeList(450, addressing="pages").pager("records").read()
    with pytest.raises(Inconsistent):
        await FakeList(450, addressing="records").pager("pages").read()


async def test_a_short_page_does_not_switch_to_pages_where_offsets_count_records() -> None:
    fleet = FakeList(450)
    answer = fleet.answer
    fleet.answer = lambda offset, limit: answer(offset, limit - 1 if offset == 200 else limit)  # type: ignore[method-assign]
    pager = fleet.pager()
    with pytest.raises(Inconsistent):
        await pager.read()
    fleet.answer = answer  # type: ignore[method-assign]
    assert len((await pager.read()).servers) == 450


async def test_a_page_that_fails_fails_the_reading_as_itself_and_ends_the_others() -> None:
    fleet = FakeList(10_000)

    async def failing(offset: int, limit: int, narrowing: Narrowing) -> Page:
        if offset == 400:
            raise ServerFault("down")
        return await fleet.fetch(offset, limit, narrowing)

    with pytest.raises(ServerFault, match="down"):
        await Pager(failing, concurrency=2).read()
    assert len(fleet.asked) < 10


class LongList:
    """A list of (state, cycle) for each server, that can be narrowed by both."""

    def __init__(self, *kinds: tuple[str, str, int]) -> None:
        self.servers = [
            server(f"{state}-{cycle}-{number}", state=state, migration_cycle=cycle)
            for state, cycle, many in kinds
            for number in range(many)
        ]
        self.asked: list[tuple[int, Narrowing]] = []
        self._parts: dict[tuple[tuple[str, str], ...], list[SourceServer]] = {}

    async def fetch(self, offset: int, limit: int, narrowing: Narrowing) -> Page:
        assert offset <= LAST_OFFSET
        self.asked.append((offset, narrowing))
        part = self._part(tuple(narrowing.items()))
        rows = tuple(part[offset : offset + limit])
        return Page(len(part), len(rows), rows)

    def _part(self, narrowing: tuple[tuple[str, str], ...]) -> list[SourceServer]:
        if narrowing not in self._parts:
            self._parts[narrowing] = [
                one for one in self.servers if all(getattr(one, name) == value for name, value in narrowing)
            ]
        return self._parts[narrowing]


async def test_a_list_longer_than_offsets_reach_is_read_by_state() -> None:
    fleet = LongList(("replicate", "replicating", 40_000), ("finished", "cutovered", 30_000), ("error", "checking", 1))
    listing = await Pager(fleet.fetch, concurrency=6).read()
    assert {one.id for one in listing.servers} == {one.id for one in fleet.servers}
    assert listing.count == 70_001


async def test_a_state_longer_than_offsets_reach_is_read_by_migration_cycle() -> None:
    fleet = LongList(("error", "replicating", 40_000), ("error", "syncing", 30_000), ("finished", "cutovered", 5))
    listing = await Pager(fleet.fetch, concurrency=6).read()
    assert len(listing.servers) == listing.count == 70_005


async def test_a_long_list_with_servers_that_no_part_has_is_not_complete() -> None:
    fleet = LongList(("replicate", "replicating", 40_000), ("error", "syncing", 30_000), ("new", "checking", 1))
    with pytest.raises(Inconsistent, match="count was 70001, but the parts of the list have 70000 servers"):
        await Pager(fleet.fetch, concurrency=6).read()


async def test_a_long_list_is_not_narrowed_by_what_a_person_filters_by() -> None:
    fleet = LongList(("error", "replicating", 40_000), ("error", "syncing", 30_000))
    listing = await Pager(fleet.fetch, concurrency=6, filters=("state",)).read()
    assert len(listing.servers) == 70_000
    assert not any("state" in narrowing for _, narrowing in fleet.asked)


@pytest.mark.parametrize("addressing", ["records", "pages"])
async def test_a_count_that_no_account_can_have_is_not_believed(addressing: Literal["records", "pages"]) -> None:
    asked = []

    async def boasting(offset: int, limit: int, narrowing: Narrowing) -> Page:  # noqa: ARG001 - all are answered alike
        asked.append(narrowing)
        return page("a", count=2**62)

    with pytest.raises(Inconsistent, match="the list has 4611686018427387904 servers"):
        await Pager(boasting, concurrency=6, paging=addressing).read()
    assert asked == [{}, {"state": "unavailable"}, {"state": "unavailable", "migration_cycle": "checking"}]


async def test_a_list_that_cannot_be_narrowed_enough_is_no_complete_list() -> None:
    fleet = LongList(("error", "syncing", 65_801))
    with pytest.raises(Inconsistent, match="more than an offset reaches"):
        await Pager(fleet.fetch, concurrency=6).read()


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), min_size=1, max_size=4), st.integers(0, 12))
def test_a_merged_list_has_every_row_accounted_for(pages: list[list[str]], count: int) -> None:
    try:
        listing = merge([page(*ids, count=count) for ids in pages])
    except Moved:
        return
    assert len(listing.servers) + listing.duplicates + listing.invalid == count
    assert {found.id for found in listing.servers} == {name for ids in pages for name in ids}


def test_every_reason_is_one_class() -> None:
    reasons = [kind.reason for kind in PollError.__subclasses__()]
    assert len(set(reasons)) == len(reasons) == 9


@pytest.mark.parametrize("failure", [ServerFault("busy"), TimeoutError()])
async def test_a_try_by_pages_that_fails_proves_nothing(failure: Exception) -> None:
    class Overloaded(FakeList):
        def answer(self, offset: int, limit: int) -> Page:
            if len(self.asked) == 2:
                return page(count=len(self.ids))
            if len(self.asked) > 2:
                raise failure
            return super().answer(offset, limit)

    fleet = Overloaded(300)
    pager = fleet.pager()
    with pytest.raises(type(failure)):
        await pager.read()
    healed = FakeList(300)
    fleet.answer = healed.answer  # type: ignore[method-assign]
    assert len((await pager.read()).servers) == 300
