import asyncio
import gzip
import random
import re
import shutil
import subprocess
import threading
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.exposition.bodies import MAX_BODIES, MAX_SLICE_BYTES, VIEW_TTL_SECONDS, Body, Exposition, View
from exporter.exposition.gzip import deflate
from exporter.exposition.negotiation import Encoding
from exporter.exposition.text import Syntax
from exporter.families import Collector, SnapshotFamily, select_collectors
from exporter.families.family import Sample
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from exporter.settings import CollectorSettings
from support import NOW, Scrape, account, server, snapshot

TAIL = b"# HELP up Up.\n# TYPE up gauge\nup 1.0\n"
ALL = select_collectors(CollectorSettings())


def target_of(shown: Snapshot | None, name: str = "default", **poll: object) -> Account:
    polled = Account(account(account={"name": name}, poll=poll))
    polled.state.snapshot = shown
    return polled


class CountedRendering:
    """A collector of one family that counts how often its samples are read."""

    def __init__(self) -> None:
        self.count = 0
        family = SnapshotFamily("counted", "Counted.", self.samples, values=("id",))
        self.collector = Collector("counted", (family,))

    def samples(self, shown: Snapshot) -> list[Sample]:
        self.count += 1
        return [((), len(shown.servers))]


def view(
    exposition: Exposition,
    syntax: Syntax = "text",
    account: str | None = None,
) -> View:
    return View(frozenset(exposition.collector_names), account, syntax)


async def body_of(
    exposition: Exposition,
    asked: View,
    encoding: Encoding = "identity",
    tail: bytes = TAIL,
    now: float = NOW,
) -> bytes:
    answer = (await exposition.body(asked, now)).complete(tail, encoding)
    body = b"".join(answer.slices)
    assert len(body) == answer.size
    return body


async def text(exposition: Exposition, now: float = NOW) -> str:
    return (await body_of(exposition, view(exposition), now=now)).decode()


async def test_the_tail_follows_all_families_of_the_snapshots() -> None:
    body = await text(Exposition(ALL, [target_of(snapshot(server("a", state="error")))]))
    assert body.endswith(TAIL.decode())
    assert Scrape(body).value("source_servers", state="error") == 1


async def test_without_a_snapshot_the_body_is_only_the_tail() -> None:
    assert await text(Exposition(ALL, [target_of(None)])) == TAIL.decode()


@pytest.mark.parametrize("servers", [0, 1, 3_000])
async def test_a_compressed_body_without_a_tail_is_complete(servers: int) -> None:
    exposition = Exposition(ALL, [target_of(snapshot(*(server(f"id-{number}") for number in range(servers))))])
    asked = View(frozenset(exposition.collector_names), None, "text", frozenset({"huaweicloud_sms_source_server_info"}))
    plain, compressed = [await body_of(exposition, asked, encoding, b"") for encoding in ("identity", "gzip")]
    assert gzip.decompress(compressed) == plain
    assert plain.count(b"id-") >= servers


async def test_a_family_has_one_header_for_all_accounts() -> None:
    polled = [target_of(snapshot(server("a"), account=name), name) for name in ("one", "two")]
    body = await text(Exposition(ALL, polled))
    assert body.count("# TYPE huaweicloud_sms_source_servers gauge\n") == 1
    assert Scrape(body).label_values("source_server_info", "account") == ["one", "two"]


@pytest.mark.parametrize("syntax", ["text", "openmetrics"])
async def test_gzip_contains_the_same_bytes(syntax: Syntax) -> None:
    exposition = Exposition(ALL, [target_of(snapshot(*(server(f"s{i}", memory=i) for i in range(500))))])
    plain = await body_of(exposition, view(exposition, syntax), "identity")
    packed = await body_of(exposition, view(exposition, syntax), "gzip")
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 5


async def test_gzip_is_one_member_that_ends_with_the_body(tmp_path: Path) -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")))])
    packed = await body_of(exposition, view(exposition), "gzip")
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = member.decompress(packed)
    assert member.eof
    assert member.unused_data == b""
    program = shutil.which("gzip")
    assert program is not None
    (tmp_path / "body.gz").write_bytes(packed)
    shown = subprocess.run([program, "-dc", tmp_path / "body.gz"], capture_output=True, check=True)
    assert shown.stdout == plain


async def test_every_body_ends_with_its_own_tail() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")))])
    for number in range(3):
        tail = f"up {number}\n".encode()
        assert gzip.decompress(await body_of(exposition, view(exposition), "gzip", tail)).endswith(tail)


@pytest.mark.parametrize("size", [0, MAX_SLICE_BYTES - 20, 2 * MAX_SLICE_BYTES + 1000])
def test_a_compressed_body_of_any_size_comes_in_slices_and_ends_with_each_tail(size: int) -> None:
    text = random.Random(1).randbytes(size)
    body = Body((), [deflate(text)])
    for tail in (TAIL, TAIL, b"another tail\n"):
        answer = body.complete(tail, "gzip")
        slices = list(answer.slices)
        assert gzip.decompress(b"".join(slices)) == text + tail
        assert sum(map(len, slices)) == answer.size
        assert all(len(each) == MAX_SLICE_BYTES for each in slices[:-1])


async def test_a_snapshot_is_rendered_before_it_is_served_and_that_of_another_account_is_ignored() -> None:
    counted = CountedRendering()
    polled = target_of(None)
    exposition = Exposition([counted.collector], [polled])
    read = snapshot(server("a"))
    await exposition.render(snapshot(server("a"), account="removed"))
    assert counted.count == 0
    await exposition.render(read)
    assert counted.count == 1
    polled.state.snapshot = read
    assert 'counted{account="default"} 1.0' in await text(exposition)
    assert counted.count == 1


async def test_a_snapshot_is_rendered_once_for_any_number_of_scrapes_and_formats() -> None:
    counted = CountedRendering()
    polled = target_of(snapshot(server("a")))
    exposition = Exposition([counted.collector], [polled])
    await asyncio.gather(*(text(exposition) for _ in range(20)))
    await body_of(exposition, view(exposition, "openmetrics"), "gzip")
    assert counted.count == 1
    polled.state.snapshot = snapshot(server("b"))
    await text(exposition)
    assert counted.count == 2


async def test_a_poll_of_one_account_does_not_render_the_others_again() -> None:
    counted = CountedRendering()
    polled = [target_of(snapshot(account=name), name) for name in ("one", "two")]
    exposition = Exposition([counted.collector], polled)
    await text(exposition)
    polled[0].state.snapshot = snapshot(server("a"), account="one")
    await text(exposition)
    assert counted.count == 3


async def test_a_new_snapshot_is_rendered_before_the_next_scrape() -> None:
    counted = CountedRendering()
    polled = target_of(snapshot())
    exposition = Exposition([counted.collector], [polled])
    await exposition.refresh(NOW)
    await exposition.refresh(NOW)
    assert counted.count == 1
    assert 'counted{account="default"} 0.0' in await text(exposition)
    assert counted.count == 1


async def test_a_poll_of_one_account_renders_only_its_snapshot() -> None:
    counted = CountedRendering()
    polled = [target_of(snapshot(server(name), account=name), name) for name in ("one", "two", "three")]
    exposition = Exposition([counted.collector], polled)
    await exposition.refresh(NOW)
    assert counted.count == 3
    polled[1].state.snapshot = snapshot(server("two"), server("2"), account="two")
    await exposition.refresh(NOW)
    assert counted.count == 4
    assert 'counted{account="two"} 2.0' in await text(exposition)
    assert counted.count == 4


async def test_a_view_of_one_account_has_only_that_account() -> None:
    polled = [target_of(snapshot(server("a"), account=name), name) for name in ("one", "two")]
    exposition = Exposition(ALL, polled)
    body = await body_of(exposition, view(exposition, account="two"))
    assert Scrape(body.decode()).label_values("source_servers", "account") == ["two"] * 20


async def test_a_view_of_some_collectors_has_only_those() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a", state="error")))])
    body = await body_of(exposition, View(frozenset({"servers"}), None, "text"))
    read = Scrape(body.decode())
    assert read.value("source_server_state", state="error") == 1
    assert read.values("source_servers") == {}


async def test_each_family_can_be_selected_by_its_name() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(BUSY))])
    everything = View(frozenset(exposition.collector_names), None, "text")
    shown = (await body_of(exposition, everything, tail=b"")).decode()
    names = re.findall("^# TYPE (\\w+)", shown, re.MULTILINE)
    assert len(names) > 10
    for name in names:
        selected = (await body_of(exposition, replace(everything, names=frozenset({name})), tail=b"")).decode()
        assert re.findall("^# TYPE (\\w+)", selected, re.MULTILINE) == [name]


async def test_the_least_recently_requested_bodies_are_dropped_beyond_the_maximum() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")))])
    views = [View(frozenset({f"none{number}", "fleet"}), None, "text") for number in range(3 * MAX_BODIES)]
    bodies = [await exposition.body(some, NOW + number) for number, some in enumerate(views)]
    kept = len(views) - MAX_BODIES - 1  # one for the account
    assert exposition.recent_views(NOW + len(views)) == tuple(views[kept:])
    for number in range(kept, len(views)):
        assert await exposition.body(views[number], NOW + len(views)) is bodies[number]
    assert await exposition.body(views[kept - 1], NOW + len(views)) is not bodies[kept - 1]


async def test_the_bodies_of_all_accounts_are_cached_however_many_there_are() -> None:
    names = [f"account-{number}" for number in range(2 * MAX_BODIES)]
    exposition = Exposition(ALL, [target_of(snapshot(server("a"), account=name), name) for name in names])
    first, second = [
        [await exposition.body(view(exposition, account=name), NOW + turn) for name in names] for turn in (0, 1)
    ]
    assert all(later is earlier for later, earlier in zip(second, first, strict=True))


@pytest.mark.parametrize(("seconds", "is_kept"), [(VIEW_TTL_SECONDS, True), (VIEW_TTL_SECONDS + 1, False)])
async def test_bodies_of_views_that_are_no_longer_requested_are_dropped_at_the_next_poll(
    seconds: float, *, is_kept: bool
) -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")), stale_policy="keep")])
    abandoned = View(frozenset({"fleet"}), None, "text")
    body = await exposition.body(abandoned, NOW)
    await exposition.refresh(NOW + seconds)
    assert (await exposition.body(abandoned, NOW + seconds) is body) == is_kept


async def test_a_view_that_is_requested_from_the_cache_stays_one_that_is_prepared() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")))])
    some = view(exposition)
    for seconds in (0, VIEW_TTL_SECONDS):
        await exposition.body(some, NOW + seconds)
    assert exposition.recent_views(NOW + 2 * VIEW_TTL_SECONDS) == (some,)


async def test_a_scrape_after_a_poll_does_not_wait_for_its_body() -> None:
    polled = target_of(snapshot(server("a")))
    exposition = Exposition(ALL, [polled])
    some = view(exposition)
    await exposition.body(some, NOW)
    polled.state.snapshot = read = snapshot(server("b"))
    await exposition.refresh(NOW + 60)
    with pytest.raises(StopIteration) as ended:
        exposition.body(some, NOW + 61).send(None)
    assert ended.value.value.snapshots == (read,)


async def test_a_view_that_a_poll_drops_while_a_scrape_waits_for_it_is_prepared_again() -> None:
    exposition = Exposition(ALL, [target_of(snapshot(server("a")), stale_policy="keep")])
    some = view(exposition)
    polling = asyncio.create_task(exposition.refresh(NOW))
    await asyncio.sleep(0)
    scraping = asyncio.create_task(exposition.body(some, NOW - VIEW_TTL_SECONDS - 1))
    await asyncio.gather(polling, scraping)
    assert exposition.recent_views(NOW - VIEW_TTL_SECONDS) == (some,)


BUSY = server(
    "a",
    state="replicate",
    current_task={"id": "t", "state": "RUNNING"},
    checks=[{"name": "CPU", "result": "OK"}],
)


@pytest.mark.parametrize(
    ("spare", "dropped"),
    [(0, []), (-1, ["checks"]), (-4, ["checks", "tasks"]), (-7, ["checks", "servers", "tasks"])],
)
async def test_over_the_series_limit_whole_collectors_are_dropped_in_order(spare: int, dropped: list[str]) -> None:
    unlimited = Exposition(ALL, [target_of(snapshot(BUSY))])
    full = Scrape(await text(unlimited))
    series = len(full.samples) - 1
    polled = Account(account(limits={"series": series + spare}))
    polled.state.snapshot = snapshot(BUSY)
    exposition = Exposition(ALL, [polled])
    with capture_logs() as events:
        shown = Scrape(await text(exposition))
    signs = {"checks": "source_server_checks", "servers": "source_server_info", "tasks": "task_info"}
    assert sorted(name for name, sign in signs.items() if not shown.values(sign)) == dropped
    reported = exposition.series_dropped("default")
    assert sorted(name for name, count in reported.items() if count) == dropped
    assert len(shown.samples) - 1 + sum(reported.values()) == series
    assert [sorted(event["dropped"].split(",")) for event in events] == ([dropped] if dropped else [])


async def test_dropped_collectors_are_logged_when_they_change() -> None:
    empty = Scrape(await text(Exposition(ALL, [target_of(snapshot())])))
    polled = Account(account(limits={"series": len(empty.samples) - 1}))
    exposition = Exposition(ALL, [polled])
    dropped = []
    for shown in (snapshot(BUSY), snapshot(BUSY), snapshot(), snapshot(BUSY)):
        polled.state.snapshot = shown
        with capture_logs() as events:
            await exposition.refresh(NOW)
        dropped.append([(event["account"], bool(event["dropped"]), event["series"] > 1) for event in events])
    assert dropped == [[("default", True, True)], [], [], [("default", True, True)]]
    assert exposition.series_dropped("nobody") == dict.fromkeys(exposition.series_dropped("default"), 0)


@pytest.mark.parametrize("on", [set(), {"servers"}, {"disks", "checks"}, {"disks", "checks", "tasks", "servers"}])
async def test_dropped_series_are_reported_for_each_collector_that_is_on_and_can_be_dropped(on: set[str]) -> None:
    switches = {name: name in on for name in ("disks", "checks", "tasks", "servers")}
    exposition = Exposition(select_collectors(CollectorSettings(**switches)), [target_of(snapshot(BUSY))])
    assert exposition.series_dropped("default") == dict.fromkeys(on, 0)
    await exposition.refresh(NOW)
    assert exposition.series_dropped("default") == dict.fromkeys(on, 0)


async def test_the_fleet_is_never_dropped() -> None:
    polled = Account(account(limits={"series": 1}))
    polled.state.snapshot = snapshot(BUSY)
    assert Scrape(await text(Exposition(ALL, [polled]))).total("source_servers") == 1


async def test_a_stale_snapshot_is_removed_without_a_poll() -> None:
    fresh = target_of(snapshot(server("a"), account="fresh", read_at=NOW + 400), "fresh")
    stale = target_of(snapshot(server("b"), account="stale", read_at=NOW), "stale", stale_after="5m")
    exposition = Exposition(ALL, [fresh, stale])
    assert Scrape(await text(exposition, NOW + 300)).label_values("source_server_info", "account") == [
        "fresh",
        "stale",
    ]
    assert Scrape(await text(exposition, NOW + 301)).label_values("source_server_info", "account") == ["fresh"]


async def test_the_event_loop_keeps_running_while_a_family_is_rendered() -> None:
    started, released = threading.Event(), threading.Event()

    def samples(_: Snapshot) -> list[Sample]:
        started.set()
        # If the loop itself rendered, nothing could release it.
        assert released.wait(20)
        return [((), 7)]

    collector = Collector("slow", (SnapshotFamily("slow", "Slow.", samples),))
    rendering = asyncio.create_task(text(Exposition([collector], [target_of(snapshot(server("a")))])))
    while not started.is_set():
        await asyncio.sleep(0)
    released.set()
    assert Scrape(await rendering).total("slow") == 7


def test_the_uncompressed_body_is_never_in_memory_as_a_whole() -> None:
    text = deflate(b"a_metric 1.0\n" * 500_000)
    body = Body((), [text])
    tracemalloc.start()
    try:
        size = sum(map(len, body.complete(TAIL, "identity").slices))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == text.size + len(TAIL) > 20 * MAX_SLICE_BYTES
    assert most < 4 * MAX_SLICE_BYTES
    assert kept < MAX_SLICE_BYTES
