"""When an account is polled next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault, Throttled
from exporter.polling.schedule import AUTH_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, Schedule

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


def test_refused_credentials_back_off_twice_as_long_each_time_up_to_an_hour() -> None:
    schedule = Schedule(60, due=0)
    pauses = []
    for _ in range(6):
        following = after(schedule, REFUSED)
        pauses.append(following.due - schedule.due)
        schedule = following
    assert pauses == [300, 600, 1200, 2400, 3600, 3600]


def test_more_refusals_than_a_float_has_exponents_change_nothing() -> None:
    schedule = after(Schedule(60, due=0), *[REFUSED] * 1100)
    assert schedule.refusals == 1100
    assert after(schedule, REFUSED).due - schedule.due == MAX_BACKOFF_SECONDS


@pytest.mark.parametrize("accepted", [None, PermissionDenied("not allowed")])
def test_the_back_off_starts_again_once_the_credentials_were_accepted(accepted: PollError | None) -> None:
    schedule = after(Schedule(60, due=0), REFUSED, REFUSED, accepted)
    assert after(schedule, REFUSED).due - schedule.due == AUTH_BACKOFF_SECONDS


@pytest.mark.parametrize("error", [ServerFault("down"), BadResponse("defect")])
def test_a_failure_that_says_nothing_about_the_credentials_does_not_forget_their_refusals(error: PollError) -> None:
    schedule = after(Schedule(60, due=0), REFUSED, error)
    assert after(schedule, REFUSED).due - schedule.due == 2 * AUTH_BACKOFF_SECONDS


def test_the_next_poll_waits_as_long_as_the_api_asked() -> None:
    assert after(Schedule(60, due=0), Throttled("slow down", retry_after=150)).due == 180


@pytest.mark.parametrize("asked", [1e8, float("inf")])
def test_the_api_cannot_pause_an_account_for_longer_than_an_hour(asked: float) -> None:
    assert after(Schedule(60, due=0), Throttled("slower", retry_after=asked)).due == MAX_BACKOFF_SECONDS


def test_another_interval_counts_from_the_last_poll() -> None:
    schedule = after(Schedule(3600, due=0), None)
    assert schedule.with_interval(30, now=100).due == 120
    assert schedule.with_interval(30, now=100).with_interval(600, now=110).due == 600


def test_the_same_interval_moves_nothing() -> None:
    schedule = after(Schedule(60, due=0), None)
    assert {schedule.with_interval(60, now=now) for now in (15, 30, 45, 60, 61)} == {schedule}


def test_another_interval_does_not_end_a_back_off() -> None:
    assert after(Schedule(60, due=0), REFUSED).with_interval(20, now=10).due == AUTH_BACKOFF_SECONDS


ERRORS = st.sampled_from([None, REFUSED, ServerFault("down"), PermissionDenied("no")]) | st.floats(
    min_value=0, allow_nan=False
).map(lambda seconds: Throttled("slow down", retry_after=seconds))


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
        assert -1e-3 <= schedule.due - ended <= MAX_BACKOFF_SECONDS + interval * 1.001
        assert schedule.due > schedule.previous_due
