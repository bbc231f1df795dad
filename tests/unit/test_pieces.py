"""Which families are rendered again when a snapshot follows another."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition.gzip import gzip_head, inflate
from exporter.exposition.pieces import RenderedSnapshot, render_snapshot
from exporter.exposition.text import Syntax, render_header, render_lines
from exporter.families import Family, select_collectors
from exporter.polling.snapshot import Snapshot, next_snapshot
from exporter.settings import CollectorSettings
from exporter.simulator import Fleet
from exporter.sms.decoding import Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from records import lists_of_servers
from reference import render_reference
from support import NOW, FakeClock, account, server

FAMILIES = [family for collector in select_collectors(CollectorSettings(disks=True)) for family in collector.families]


def after(previous: RenderedSnapshot | None, *servers: SourceServer, read_at: float = NOW) -> RenderedSnapshot:
    known = previous.snapshot if previous else None
    return render_snapshot(FAMILIES, next_snapshot(Listing(servers, len(servers)), account(), read_at, known), previous)


def rendered_again(before: RenderedSnapshot, now: RenderedSnapshot) -> set[str]:
    """Return the families whose pieces are not the identical objects."""
    return {name for name, piece in now.pieces.items() if piece is not before.pieces[name]}


def inflated(rendered: RenderedSnapshot, family: Family) -> bytes:
    return b"".join(inflate(gzip_head([rendered.pieces[family.name]]), 1000))


def assert_complete(rendered: RenderedSnapshot) -> None:
    for family in FAMILIES:
        assert inflated(rendered, family) == render_lines(family, rendered.snapshot), family.name


def test_nothing_is_rendered_again_if_no_record_changed() -> None:
    servers = server("a", state="replicate", replicatesize=5), server("b")
    first = after(None, *servers)
    assert rendered_again(first, after(first, *servers, read_at=NOW + 60)) == set()


@pytest.mark.parametrize(
    ("change", "families"),
    [
        ({"memory": 9}, {"source_server_memory_bytes"}),
        ({"last_visit_time": 5}, {"source_server_last_visit_timestamp_seconds"}),
        ({"state": "error"}, {"source_servers", "source_servers_size_bytes", "source_server_state"}),
        (
            {"replicatesize": 7},
            {
                "source_servers_replicated_bytes",
                "source_server_replicated_bytes",
                "source_server_replicated_bytes_last_increase_timestamp_seconds",
            },
        ),
        ({"current_task": {"migrate_speed": 3}}, {"task_info", "task_migrate_speed_bytes_per_second"}),
        ({"checks": [{"name": "CPU", "result": "WARN"}]}, {"source_servers_failed_checks", "source_server_checks"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_families_that_read_a_changed_field_are_rendered_again(change: dict[str, object], families: set[str]) -> None:
    fields = {"state": "replicate", "totalsize": 10, "replicatesize": 5, "checks": []}
    first = after(None, server("a", **fields), server("b"))
    then = after(first, server("a", **(fields | change)), first.snapshot.servers[1], read_at=NOW + 60)
    assert families <= rendered_again(first, then)
    assert "source_server_info" not in rendered_again(first, then)
    assert_complete(then)


def test_all_families_are_rendered_again_when_a_server_is_added_or_removed() -> None:
    first = after(None, server("a", memory=1), server("b", memory=2))
    more = after(first, *first.snapshot.servers, server("c", memory=3))
    assert_complete(more)
    other = after(more, *more.snapshot.servers[1:], server("d", memory=3))
    assert_complete(other)


def test_a_different_speed_unit_renders_the_speeds_again() -> None:
    listing = Listing((server("a", current_task={"migrate_speed": 3}),), 1)
    first = render_snapshot(FAMILIES, next_snapshot(listing, account(), NOW, None), None)
    other: Snapshot = next_snapshot(
        listing, account(api={"endpoint": "http://127.0.0.1:9", "migrate_speed_unit": "mbyte"}), NOW, first.snapshot
    )
    assert_complete(render_snapshot(FAMILIES, other, first))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=6))
def test_after_any_sequence_of_polls_the_pieces_are_those_of_the_last_list(steps: list[tuple[int, int]]) -> None:
    clock = FakeClock()
    fleet = Fleet(30, clock=clock)
    rendered = None
    for seconds, newcomers in steps:
        clock.advance(seconds)
        for _ in range(newcomers):
            fleet.add()
        servers = msgspec.convert(fleet.records(), tuple[SourceServer, ...])
        rendered = after(rendered, *servers, read_at=clock.time())
        assert_complete(rendered)


@settings(max_examples=40)
@given(st.lists(lists_of_servers(), min_size=1, max_size=4))
def test_after_every_poll_of_any_sequence_the_bytes_are_those_of_prometheus_client(lists: list[list[Any]]) -> None:
    records, rendered = Records(SOURCE_SERVERS), None
    for number, servers in enumerate(lists):
        page = records.page(msgspec.json.encode({"count": len(servers), "source_servers": servers}))
        records.list_ended()
        rendered = after(rendered, *page.records, read_at=NOW + 60 * number)
        for syntax in get_args(Syntax):
            for family in FAMILIES:
                ours = render_header(family, syntax) + inflated(rendered, family)
                assert ours == render_reference(family, rendered.snapshot, syntax)
