"""The rate limit: a burst, then one request per interval."""

from exporter.web.toolkit.policy import TokenBucket
from support import FakeClock


def test_a_burst_is_accepted_and_then_one_request_per_interval(clock: FakeClock) -> None:
    bucket = TokenBucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(1.0)
    assert not bucket.take()
    clock.advance(1.0)
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_unused_tokens_never_exceed_the_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 2, clock)
    clock.advance(3600.0)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
