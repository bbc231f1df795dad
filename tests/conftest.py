import gc

import hypothesis
import pytest

from support import FakeClock

# The same examples on every machine and in every run; a slow machine is not a failure.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from visiting modules and collected tests again and again: they live until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
