"""The collector `errors`: the error code of each source server in the list of migration errors.

Errors of servers that are not in the account's list, for example because of its filters, are left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from exporter.families.family import ONE, READ_AT, SERVER_ID, Collector, Sample, SnapshotFamily
from exporter.polling.snapshot import OTHER, Snapshot

MAX_ERROR_CODES: Final = 100
"""Number of different codes in one account; servers with any other code count as OTHER."""

_ERROR_CODE: Final = {"error_code": "errors[].error_json"}


def limit_codes(codes: Mapping[str, str]) -> Mapping[str, str]:
    """Return the codes by server; the least frequent ones beyond the maximum are OTHER."""
    counts = Counter(codes.values())
    kept = sorted(counts, key=lambda code: (-counts[code], code))[:MAX_ERROR_CODES]
    if len(kept) == len(counts):
        return codes
    return {server_id: code if code in kept else OTHER for server_id, code in codes.items()}


def read_codes(snapshot: Snapshot) -> Mapping[str, str]:
    """Return the error code of each server that has an error, as `limit_codes` does."""
    details = snapshot.details.get("errors")
    if details is None:
        return {}
    errors = details.records
    return limit_codes({server.id: errors[server.id].code for server in snapshot.servers if server.id in errors})


def _list_codes(snapshot: Snapshot) -> Iterator[Sample]:
    return (((code, server_id), ONE) for server_id, code in read_codes(snapshot).items())


def _count_codes(snapshot: Snapshot) -> Iterator[Sample]:
    counts = Counter(read_codes(snapshot).values())
    return (((code,), count) for code, count in sorted(counts.items()))


ERRORS: Final = Collector(
    "errors",
    (
        SnapshotFamily(
            "source_server_error",
            "Error code of the source server, always 1; unknown if the API reports an error without a code.",
            _list_codes,
            {**_ERROR_CODE, SERVER_ID: "errors[].source_id"},
            polled_at=READ_AT,
        ),
        SnapshotFamily(
            "source_servers_by_error",
            "Number of source servers by error code.",
            _count_codes,
            _ERROR_CODE,
            polled_at=READ_AT,
        ),
    ),
)
