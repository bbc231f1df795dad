"""What is known of the lists of the API."""

import pytest

from exporter.sms import endpoints
from exporter.sms.endpoints import Endpoint


@pytest.mark.parametrize(
    ("endpoint", "rows"),
    [
        (endpoints.SOURCE_SERVERS, 200),
        (endpoints.PROJECT_SERVERS, 200),
        (endpoints.MIGRATION_TASKS, 200),
        (endpoints.MIGRATION_ERRORS, 100),
        (endpoints.MIGRATION_PROJECTS, 100),
    ],
    ids=lambda value: value.noun if isinstance(value, Endpoint) else "",
)
def test_a_page_has_as_many_rows_as_the_reference_allows(endpoint: Endpoint, rows: int) -> None:  # type: ignore[type-arg]
    assert endpoint.max_page_rows == rows
    # An endpoint is the key of its list.
    assert {endpoint: 1}[endpoint] == 1
