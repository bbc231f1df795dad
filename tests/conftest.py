import hypothesis
import pytest
from prometheus_client import disable_created_metrics

from support import FakeClock

# The same examples on every machine and in every run; slow machines are no failures.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")

# As the commands do.
disable_created_metrics()  # type: ignore[no-untyped-call]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
