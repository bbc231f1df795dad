import hypothesis
import pytest

from support import FakeClock

# The same examples on every machine and in every run; slow machines are no failures.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
