"""When an account is polled next."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import AuthError, PollError, ServerFault, Throttled
from exporter.polling.lockout import BACKOFF_SECONDS
from exporter.polling.schedule import MAX_PAUSE_SECONDS, Schedule, spread

REFUSED = AuthError("refused")


def after(schedule: Schedule, *errors: PollError | None, took: float = 0.0) -> Schedule:
    """Return the schedule after polls that started when they were due."""
    for error in errors:
        schedule = schedule.after_poll(error, schedule.due + took)
    return schedule


def test_polls_follow_the_interval_however_long_they_take() -> None:
    assert after(Schedule(60, due=0), None, None, None, took=25).due == 180


def test_the_times_that_a_long_poll_overran_are_skipped() -> None:
    assert after(Schedule(60, due=0), None, took=130).due == 180


def test_refused_credentials_pause_as_long_as_the_lockout_says() -> None:
    assert after(Schedule(60, due=0), AuthError("refused", retry_after=600)).due == 600


def test_unreadable_credentials_pause_for_five_minutes() -> None:
    assert after(Schedule(60, due=0), REFUSED).due == BACKOFF_SECONDS


def test_the_next_poll_waits_as_long_as_the_api_asked() -> None:
    assert after(Schedule(60, due=0), Throttled("slow down", retry_after=150)).due == 180


@pytest.mark.parametrize("asked", [1e8, float("inf")])
def test_the_api_cannot_pause_an_account_for_longer_than_an_hour(asked: float) -> None:
    assert after(Schedule(60, due=0), Throttled("slower", retry_after=asked)).due == MAX_PAUSE_SECONDS


def test_another_interval_counts_from_the_last_poll() -> None:
    schedule = after(Schedule(3600, due=0), None)
    assert schedule.with_interval(30, now=100).due == 120
    assert schedule.with_interval(30, now=100).with_interval(600, now=110).due == 600


def test_the_same_interval_moves_nothing() -> None:
    schedule = after(Schedule(60, due=0), None)
    assert {schedule.with_interval(60, now=now) for now in (15, 30, 45, 60, 61)} == {schedule}


def test_another_interval_does_not_end_a_back_off() -> None:
    assert after(Schedule(60, due=0), REFUSED).with_interval(20, now=10).due == BACKOFF_SECONDS


ERRORS = st.sampled_from([None, REFUSED, ServerFault("down")]) | st.floats(min_value=0, allow_nan=False).map(
    lambda seconds: Throttled("slow down", retry_after=seconds)
)


@given(
    st.floats(min_value=1, max_value=1e7),
    st.lists(st.tuples(ERRORS, st.floats(min_value=0, max_value=1e6)), max_size=30),
)
def test_the_next_poll_is_never_in_the_past_and_never_later_than_a_pause_and_an_interval(
    interval: float, polls: list[tuple[PollError | None, float]]
) -> None:
    schedule = Schedule(interval, due=0)
    for error, took in polls:
        ended = schedule.due + took
        schedule = schedule.after_poll(error, ended)
        assert -1e-3 <= schedule.due - ended <= MAX_PAUSE_SECONDS + interval * 1.001
        assert schedule.due > schedule.previous_due


def test_the_polls_of_accounts_that_start_together_are_spread_over_the_interval() -> None:
    names = [f"account-{number}" for number in range(200)]
    due = [after(Schedule(60, due=0, shift=spread(name, 60)), None).due for name in names]
    assert due == [after(Schedule(60, due=0, shift=spread(name, 60)), None).due for name in names]
    assert 0 < min(due) <= max(due) <= 60
    sixths = Counter(int(moment // 10) for moment in due)
    assert len(sixths) == 6
    assert max(sixths.values()) < 60


def test_the_shift_moves_all_later_polls_and_counts_once() -> None:
    assert after(Schedule(60, due=0, shift=-20), None, None, None).due == 160


def test_the_second_poll_is_at_most_an_interval_earlier_and_never_later() -> None:
    shifts = [spread(f"account-{number}", 60) for number in range(200)]
    assert -60 < min(shifts) < -50
    assert -10 < max(shifts) <= 0
    assert spread("account-1", 600) == pytest.approx(10 * spread("account-1", 60))


def test_a_poll_that_is_due_now_stays_due_with_another_interval() -> None:
    assert Schedule(60, due=60).with_interval(50, 60).due == 60
    assert Schedule(60, due=60).with_interval(50, 59).due == 100


def test_a_poll_that_failed_just_before_the_next_one_is_due_does_not_postpone_it() -> None:
    assert after(Schedule(60, due=0), ServerFault("down"), took=59.5).due == 60
