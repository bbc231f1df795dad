"""The rate limit: a burst, and then one request an interval."""

from exporter.web.toolkit.policy import TokenBucket
from support import FakeClock


def test_a_burst_is_let_through_and_then_one_an_interval(clock: FakeClock) -> None:
    bucket = TokenBucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(1.0)
    assert not bucket.take()
    clock.advance(1.0)
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_a_long_rest_saves_up_no_more_than_the_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 2, clock)
    clock.advance(3600.0)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
