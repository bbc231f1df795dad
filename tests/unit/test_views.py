"""The views behind pages and terminal: pure functions of accounts and servers."""

from typing import Any

import pytest

from exporter.errors import AuthError
from exporter.families import FLEET, SnapshotFamily
from exporter.language import Translatable
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.simulator import Fleet
from exporter.views.accounts import build_account_views
from exporter.views.fleet import build_fleet_view, count_bars
from exporter.views.formatting import format_duration, format_latency, format_size, format_time, percent
from exporter.views.problems import STALLED_AFTER_SECONDS, Problem
from exporter.views.servers import AttentionView, build_attention_view, build_server_views, running_migrations
from support import NOW, FakeClock, account, server, snapshot


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (15.5 * 2**20, "15.5 MiB"), (2**40 * 1.25, "1.25 TiB")],
)
def test_sizes_have_three_or_four_digits(number: float, written: str) -> None:
    assert format_size(number) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7200, "2 h"), (90_061, "1 d 1 h")],
)
def test_durations_have_their_two_largest_units(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), [(0.084, "84 ms"), (1.25, "1.25 s"), (61, "1 min 1 s")])
def test_latencies_have_fractions(seconds: float, written: str) -> None:
    assert format_latency(seconds) == written


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(0, 0, 0), (1, 3, 33.3), (9999, 10_000, 99.9), (3, 3, 100), (5, 3, 100)]
)
def test_only_a_complete_part_is_100_percent(part: int, whole: int, share: float) -> None:
    assert percent(part, whole) == share


def test_a_date_outside_the_calendar_is_empty() -> None:
    assert format_time(1e300) == ""
    assert format_time(NOW) == "2027-01-15 08:00:00"


def test_the_fleet_is_counted_as_the_metrics_count_it(clock: FakeClock) -> None:
    fleet = Fleet(120, clock=clock)
    known = snapshot(*(server(record.pop("id"), **record) for record in fleet.records()))
    view = build_fleet_view(build_server_views([known, known]))
    families = {family.name: family for family in FLEET.families if isinstance(family, SnapshotFamily)}

    def counted(name: str) -> dict[str, float]:
        return {labels[0]: 2 * value for labels, value in families[name].samples(known)}

    assert {bar.name: bar.count for bar in view.states} == counted("source_servers")
    assert {bar.name: bar.count for bar in view.stages} == counted("source_servers_by_migration_cycle")
    assert view.connected == counted("source_servers_by_connection")["true"]
    assert view.size == sum(counted("source_servers_size_bytes").values())
    assert view.replicated == sum(counted("source_servers_replicated_bytes").values())
    assert view.speed == pytest.approx(sum(counted("source_servers_migrate_speed_bytes_per_second").values()))
    assert view.servers == 240


def test_the_bars_of_all_values_fill_the_whole_width() -> None:
    found = count_bars(["a", "c", "c", "x"], ("a", "b", "c"))
    assert [(bar.start, bar.share) for bar in found] == [(0, 25), (25, 0), (25, 50), (75, 25)]


def test_an_empty_fleet_has_empty_bars() -> None:
    view = build_fleet_view([])
    assert {bar.share for bar in view.states} == {0.0}
    assert view.share == 0


def attention(known: Snapshot) -> AttentionView:
    return build_attention_view(build_server_views([known]))


def test_a_share_needs_both_sizes() -> None:
    known = snapshot(
        server("a", totalsize=200, replicatesize=50),
        server("b", totalsize=200),
        server("c", totalsize=0, replicatesize=0),
        server("d", replicatesize=50),
    )
    assert [row.share for row in build_server_views([known])] == [25.0, None, None, None]


@pytest.mark.parametrize(
    ("fields", "problems"),
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
def test_servers_that_need_attention_are_found_by_problem(fields: dict[str, Any], problems: list[str]) -> None:
    view = attention(snapshot(server(**fields)))
    assert [problem for found in view.servers for problem in found.problems] == problems
    assert dict(view.counts) == dict.fromkeys(Problem, 0) | dict.fromkeys(problems, 1)


def unchanged(seconds: float, **fields: object) -> Snapshot:
    return Snapshot("default", NOW, (server("s", **fields),), 1, last_growth={"s": NOW - seconds})


@pytest.mark.parametrize(
    ("seconds", "fields", "stalled"),
    [
        (STALLED_AFTER_SECONDS, {"state": "replicate", "connected": True}, True),
        (STALLED_AFTER_SECONDS, {"state": "syncing", "connected": True}, True),
        (STALLED_AFTER_SECONDS - 1, {"state": "replicate", "connected": True}, False),
        (STALLED_AFTER_SECONDS, {"state": "stopped", "connected": True}, False),
        (STALLED_AFTER_SECONDS, {"state": "replicate", "connected": True, "state_action_time": int(NOW * 1000)}, False),
    ],
)
def test_a_connected_server_without_replicated_data_for_half_an_hour_is_stalled(
    seconds: float, fields: dict[str, object], stalled: bool
) -> None:
    view = attention(unchanged(seconds, **fields))
    assert [found.problems for found in view.servers] == ([("stalled",)] if stalled else [])


def test_failed_servers_come_before_failed_checks() -> None:
    known = snapshot(
        server("a", state="waiting", checks=[{"name": "CPU", "result": "ERROR"}]),
        server("b", state="replicate", connected=False),
        server("c", state="error", name="late", state_action_time=2_000_000),
        server("d", state="error", name="early", state_action_time=1_000_000),
    )
    assert [found.name for found in attention(known).servers] == ["early", "late", "b", "a"]


def test_servers_with_only_warnings_are_counted() -> None:
    known = snapshot(server("a", state="waiting", checks=[{"name": "CPU", "result": "WARN"}]), server("b"))
    assert attention(known).warnings == 1


def test_the_migration_that_finishes_first_is_first() -> None:
    known = snapshot(
        server("a", state="replicate", totalsize=100, replicatesize=50),
        server("b", state="syncing", totalsize=100, replicatesize=99, current_task={"remain_seconds": 20}),
        server("c", state="replicate", current_task={"remain_seconds": 10, "migrate_speed": 8.0}),
        server("d", state="finished", current_task={"remain_seconds": 0}),
    )
    found = running_migrations(build_server_views([known]))
    assert [(row.name, row.share, row.speed, row.remaining) for row in found] == [
        ("c", None, 1_000_000.0, 10),
        ("b", 99.0, None, 20),
        ("a", 50.0, None, None),
    ]


def test_a_failing_account_shows_its_error_and_hint() -> None:
    polled = Account(account())
    assert build_account_views([polled], NOW)[0].status == "waiting"
    polled.state.snapshot = snapshot(server())
    polled.state.record(Poll(NOW, 1.0, 1))
    for second in (60, 120):
        polled.state.record(
            Poll(NOW + second, 0.5, 1, AuthError("the token is refused", hint=Translatable("renew it")))
        )
    (view,) = build_account_views([polled], NOW + 125)
    assert (view.status, view.reason, view.message, view.hint) == (
        "failing",
        "auth",
        "the token is refused",
        "renew it",
    )
    assert (view.age, view.data_age, view.servers, view.consecutive_failures) == (5, 125, 1, 2)


def test_an_account_without_recent_data_shows_no_servers() -> None:
    polled = Account(account(poll={"interval": "1s", "timeout": "1s", "stale_after": "10s"}))
    polled.state.snapshot = snapshot(server())
    polled.state.record(Poll(NOW, 1.0, 1))
    (view,) = build_account_views([polled], NOW + 11)
    assert (view.servers, view.data_age) == (None, None)
