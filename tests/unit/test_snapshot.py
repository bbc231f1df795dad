import pytest

from exporter.polling.snapshot import Snapshot, next_snapshot
from exporter.polling.state import Account, Poll
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from support import NOW, account, server, snapshot


def after(previous: Snapshot | None, *servers: SourceServer, read_at: float = NOW) -> Snapshot:
    return next_snapshot(Listing(servers, len(servers)), account(), read_at, previous)


def test_known_servers_keep_their_order_and_new_ones_follow() -> None:
    first = after(None, server("b"), server("a"), server("d"))
    assert [found.id for found in first.servers] == ["b", "a", "d"]
    assert [found.id for found in after(first, *map(server, "adceb")).servers] == ["b", "a", "d", "c", "e"]
    assert [found.id for found in after(first, *map(server, "cab")).servers] == ["b", "a", "c"]


def test_a_change_of_state_between_two_lists_is_a_transition() -> None:
    first = after(None, server("a", state="waiting"), server("b", state="error"))
    assert (first.transitions, first.transitions_total) == ((), {})
    second = after(first, server("a", state="replicate"), server("b", state="error"))
    (transition,) = second.transitions
    assert (transition.server.id, transition.from_state, transition.to_state) == ("a", "waiting", "replicate")
    assert second.transitions_total == {"replicate": 1}


def test_transitions_add_up_over_lists() -> None:
    current = None
    for state in ("waiting", "replicate", "waiting", "replicate", "replicate"):
        current = after(current, server("a", state=state))
    assert current is not None
    assert current.transitions == ()
    assert current.transitions_total == {"replicate": 2, "waiting": 1}


def test_a_transition_to_an_undocumented_state_counts_as_other() -> None:
    current = after(after(None, server("a", state="waiting")), server("a", state="premiging"))
    assert current.transitions_total == {"other": 1}


def test_a_server_that_is_added_or_removed_is_not_a_transition() -> None:
    current = after(after(None, server("a", state="waiting")), server("b", state="error"))
    assert current.transitions == ()


def test_growth_has_the_time_of_the_first_list_that_shows_it() -> None:
    first = after(None, server("a", replicatesize=5), read_at=1.0)
    assert first.last_growth == {"a": 1.0}
    second = after(first, server("a", replicatesize=6), read_at=2.0)
    third = after(second, server("a", replicatesize=6), read_at=3.0)
    shrunk = after(third, server("a", replicatesize=0), read_at=4.0)
    assert second.last_growth == third.last_growth == shrunk.last_growth == {"a": 2.0}
    assert after(shrunk, server("a", replicatesize=1), read_at=5.0).last_growth == {"a": 5.0}


def test_the_growth_of_a_new_server_has_the_time_of_its_first_list() -> None:
    current = after(after(None, server("a"), read_at=1.0), server("a"), server("b"), read_at=2.0)
    assert current.last_growth == {"a": 1.0, "b": 2.0}


def test_growth_of_a_server_that_left_is_forgotten() -> None:
    grown = after(after(None, server("a", replicatesize=1)), server("a", replicatesize=2))
    assert after(grown, server("b")).last_growth.keys() == {"b"}


def sizes(*sizes: int | None) -> Snapshot | None:
    """Return the snapshot after a list per size; the n-th list is read at second n."""
    current = None
    for number, size in enumerate(sizes, start=1):
        current = after(current, server("a", state="replicate", replicatesize=size), read_at=float(number))
    return current


@pytest.mark.parametrize(
    ("replicated", "grown_at"),
    [
        ((500, None, 500), 1),
        ((500, None, None, 500, None), 1),
        ((500, None, 400), 1),
        ((500, None, 501), 3),
        ((500, None, 501, None, 501), 3),
        ((None, None), 1),
        ((None, 500, None, 500), 2),
        ((None, 1), 2),
    ],
)
def test_a_missing_size_between_two_lists_is_not_growth(replicated: tuple[int | None, ...], grown_at: float) -> None:
    current = sizes(*replicated)
    assert current is not None
    assert current.last_growth == {"a": grown_at}


@pytest.mark.parametrize(
    ("states", "transitions"),
    [
        (("waiting", None, "waiting"), {}),
        (("waiting", None, None, "replicate", None), {"replicate": 1}),
        ((None, "waiting"), {}),
        ((None, "waiting", None, "replicate"), {"replicate": 1}),
    ],
)
def test_a_missing_state_between_two_lists_is_not_a_transition(
    states: tuple[str | None, ...], transitions: dict[str, int]
) -> None:
    current = None
    for state in states:
        current = after(current, server("a", state=state))
    assert current is not None
    assert current.transitions_total == transitions


def test_a_record_that_lacks_values_and_does_not_change_keeps_the_last_values() -> None:
    incomplete = server("a")
    current = after(None, server("a", state="waiting", replicatesize=5), read_at=1.0)
    for _ in range(3):
        current = after(current, incomplete, read_at=2.0)
    current = after(current, server("a", state="waiting", replicatesize=5), read_at=3.0)
    assert (current.transitions_total, current.last_growth, current.last_values) == ({}, {"a": 1.0}, {})


def test_the_last_values_of_a_server_that_left_are_forgotten() -> None:
    left = after(after(None, server("a", state="waiting")), server("b", state="waiting", replicatesize=1))
    assert left.last_values == {}


def test_a_snapshot_is_served_until_it_is_stale() -> None:
    polled = Account(account(poll={"interval": "60s"}))
    polled.state.snapshot = snapshot(read_at=NOW)
    assert polled.served_snapshot(NOW + 300) is polled.state.snapshot
    assert polled.served_snapshot(NOW + 300.1) is None


def test_a_snapshot_does_not_stay_fresh_because_the_clock_was_set_back() -> None:
    polled = Account(account(poll={"interval": "60s"}))
    polled.state.snapshot = snapshot(read_at=NOW)
    assert polled.served_snapshot(NOW - 300) is polled.state.snapshot
    assert polled.served_snapshot(NOW - 86_400) is None


def test_a_snapshot_is_stale_after_three_intervals_and_not_before_five_minutes() -> None:
    assert account(poll={"interval": "10s"}).poll.stale_after == 300
    assert account(poll={"interval": "10m"}).poll.stale_after == 1800
    assert account(poll={"interval": "5s", "stale_after": "20s"}).poll.stale_after == 20


def test_a_stale_snapshot_is_served_if_the_policy_is_keep() -> None:
    polled = Account(account(poll={"stale_policy": "keep"}))
    polled.state.snapshot = snapshot(read_at=NOW)
    assert polled.served_snapshot(NOW + 10**9) is polled.state.snapshot


def test_an_account_is_up_if_its_last_poll_read_a_complete_list() -> None:
    polled = Account(account())
    assert not polled.state.up
    polled.state.record(Poll(NOW, 1.0, 1))
    assert polled.state.up
