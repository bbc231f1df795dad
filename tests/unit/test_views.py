"""What a person is told: pure functions of what is known."""

from collections import Counter
from typing import Any

import pytest

from exporter.errors import AuthError
from exporter.families import FLEET, SnapshotFamily
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.simulator import Fleet
from exporter.views import words
from exporter.views.accounts import account_views
from exporter.views.attention import KINDS, STALLED_AFTER, attention_view
from exporter.views.fleet import bars, fleet_view
from exporter.views.migrations import running_migrations
from support import NOW, FakeClock, account, server, snapshot


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (15.5 * 2**20, "15.5 MiB"), (2**40 * 1.25, "1.25 TiB")],
)
def test_sizes_have_three_digits(number: float, written: str) -> None:
    assert words.size(number) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7200, "2 h"), (90_061, "1 d 1 h")],
)
def test_times_have_their_two_largest_units(seconds: float, written: str) -> None:
    assert words.span(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), [(0.084, "84 ms"), (1.25, "1.25 s"), (61, "1 min 1 s")])
def test_short_times_have_fractions(seconds: float, written: str) -> None:
    assert words.short_span(seconds) == written


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(0, 0, 0), (1, 3, 33.3), (9999, 10_000, 99.9), (3, 3, 100), (5, 3, 100)]
)
def test_only_all_of_it_is_a_hundred_percent(part: int, whole: int, share: float) -> None:
    assert words.percent(part, whole) == share


def test_a_date_that_no_calendar_has_is_left_out() -> None:
    assert words.moment(1e300) == ""
    assert words.moment(NOW) == "2027-01-15 08:00:00"


def test_the_fleet_is_counted_as_the_metrics_count_it(clock: FakeClock) -> None:
    fleet = Fleet(120, clock=clock)
    known = snapshot(*(server(record.pop("id"), **record) for record in fleet.records()))
    view = fleet_view([known, known])
    families = {family.name: family for family in FLEET.families if isinstance(family, SnapshotFamily)}

    def counted(name: str) -> dict[str, float]:
        return {labels[0]: 2 * value for labels, value in families[name].samples(known)}

    assert {bar.name: bar.count for bar in view.states} == counted("source_servers")
    assert {bar.name: bar.count for bar in view.cycles} == counted("source_servers_by_migration_cycle")
    assert view.connected == counted("source_servers_by_connection")["true"]
    assert view.size == sum(counted("source_servers_size_bytes").values())
    assert view.replicated == sum(counted("source_servers_replicated_bytes").values())
    assert view.speed == pytest.approx(sum(counted("source_servers_migrate_speed_bytes_per_second").values()))
    assert view.servers == 240


def test_bars_follow_one_another_and_fill_the_whole() -> None:
    found = bars(Counter(a=1, c=3), ("a", "b", "c"))
    assert [(bar.start, bar.share) for bar in found] == [(0, 25), (25, 0), (25, 75)]


def test_an_empty_fleet_has_empty_bars() -> None:
    view = fleet_view([])
    assert {bar.share for bar in view.states} == {0.0}
    assert view.share == 0


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"state": "error"}, ["failed"]),
        ({"state": "premigfailed"}, ["failed"]),
        ({"state": "clearfailed"}, ["failed"]),
        ({"state": "replicate", "connected": False}, ["disconnected"]),
        ({"state": "cutovering", "connected": False}, ["disconnected"]),
        ({"state": "waiting", "connected": False}, []),
        ({"state": "finished", "connected": False}, []),
        ({"state": "replicate", "connected": None}, []),
        ({"state": "waiting", "checks": [{"name": "CPU", "result": "ERROR"}]}, ["checks"]),
        ({"state": "waiting", "checks": [{"name": "CPU", "result": "WARN"}]}, []),
        ({"state": "finished", "checks": [{"name": "CPU", "result": "ERROR"}]}, []),
        ({"state": "error", "checks": [{"name": "CPU", "result": "ERROR"}]}, ["failed", "checks"]),
        ({}, []),
    ],
)
def test_who_needs_a_person_is_found_by_kind(fields: dict[str, Any], kinds: list[str]) -> None:
    view = attention_view([snapshot(server(**fields))])
    assert [kind for trouble in view.troubles for kind in trouble.kinds] == kinds
    assert dict(view.counts) == dict.fromkeys(KINDS, 0) | dict.fromkeys(kinds, 1)


def still(seconds: float, **fields: object) -> Snapshot:
    return Snapshot("default", NOW, (server("s", **fields),), 1, last_growth={"s": NOW - seconds})


@pytest.mark.parametrize(
    ("seconds", "fields", "stalled"),
    [
        (STALLED_AFTER, {"state": "replicate", "connected": True}, True),
        (STALLED_AFTER, {"state": "syncing", "connected": True}, True),
        (STALLED_AFTER - 1, {"state": "replicate", "connected": True}, False),
        (STALLED_AFTER, {"state": "stopped", "connected": True}, False),
        (STALLED_AFTER, {"state": "replicate", "connected": True, "state_action_time": int(NOW * 1000)}, False),
    ],
)
def test_a_connected_server_that_moves_no_byte_for_half_an_hour_is_stalled(
    seconds: float, fields: dict[str, object], stalled: bool
) -> None:
    view = attention_view([still(seconds, **fields)])
    assert [trouble.kinds for trouble in view.troubles] == ([("stalled",)] if stalled else [])


def test_what_failed_stands_before_what_is_merely_unchecked() -> None:
    known = snapshot(
        server("a", state="waiting", checks=[{"name": "CPU", "result": "ERROR"}]),
        server("b", state="replicate", connected=False),
        server("c", state="error", name="late", state_action_time=2_000_000),
        server("d", state="error", name="early", state_action_time=1_000_000),
    )
    assert [trouble.name for trouble in attention_view([known]).troubles] == ["early", "late", "b", "a"]


def test_servers_with_warnings_alone_are_counted() -> None:
    known = snapshot(server("a", state="waiting", checks=[{"name": "CPU", "result": "WARN"}]), server("b"))
    assert attention_view([known]).warnings == 1


def test_the_migration_that_ends_next_stands_first() -> None:
    known = snapshot(
        server("a", state="replicate", totalsize=100, replicatesize=50),
        server("b", state="syncing", totalsize=100, replicatesize=99, current_task={"remain_seconds": 20}),
        server("c", state="replicate", current_task={"remain_seconds": 10, "migrate_speed": 8.0}),
        server("d", state="finished", current_task={"remain_seconds": 0}),
    )
    found = running_migrations([known])
    assert [(row.name, row.share, row.speed, row.left) for row in found] == [
        ("c", 0.0, 1_000_000.0, 10),
        ("b", 99.0, None, 20),
        ("a", 50.0, None, None),
    ]


def test_an_account_tells_of_its_failure_and_what_to_do() -> None:
    polled = Account(account())
    assert account_views([polled], NOW)[0].condition == "waiting"
    polled.state.snapshot = snapshot(server())
    polled.state.record(Poll(NOW, 1.0, 1))
    for second in (60, 120):
        polled.state.record(Poll(NOW + second, 0.5, 1, AuthError("the token is refused", hint="renew it")))
    (view,) = account_views([polled], NOW + 125)
    assert (view.condition, view.reason, view.message, view.hint) == (
        "failing",
        "auth",
        "the token is refused",
        "renew it",
    )
    assert (view.age, view.data_age, view.servers, view.failed_in_a_row) == (5, 125, 1, 2)


def test_an_account_without_a_young_enough_list_shows_no_servers() -> None:
    polled = Account(account(poll={"stale_after": "10s"}))
    polled.state.snapshot = snapshot(server())
    polled.state.record(Poll(NOW, 1.0, 1))
    (view,) = account_views([polled], NOW + 11)
    assert (view.servers, view.data_age) == (None, None)
