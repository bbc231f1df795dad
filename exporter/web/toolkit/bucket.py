"""A rate limit for who is not made to wait, but sent away."""

from exporter.clock import Clock


class TokenBucket:
    """Holds up to `burst` tokens, full at first, and gets one every `interval` seconds."""

    def __init__(self, interval: float, burst: int, clock: Clock) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._counted_at = clock.monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) / self._interval)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
