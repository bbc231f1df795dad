import hypothesis
import pytest

from support import FakeClock

# The same examples on every machine and in every run; a slow machine is not a failure.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
