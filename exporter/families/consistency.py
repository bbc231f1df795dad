"""The collector `consistency`: the files that consistency verifications found different on source and target server.

The result of each migration task is read again only if the task has changed.
"""

from collections.abc import Callable, Iterator
from typing import Final

from exporter.families.family import READ_AT, SERVER_ID, Collector, Sample, SnapshotFamily, seconds
from exporter.polling.snapshot import Snapshot
from exporter.sms.consistency import ConsistencyResult

_RESULT: Final = "consistency[].result_list[]"
_FILES: Final = f"{_RESULT}.consistency_result[]"
_SERVER: Final = "consistency[].task_id"


def list_results(snapshot: Snapshot) -> Iterator[tuple[str, ConsistencyResult]]:
    """Return the newest result of each server of the list that has one, with the id of the server."""
    details = snapshot.details.get("consistency")
    known = details.records if details else {}
    for server in snapshot.servers:
        if server.id in known and known[server.id].result is not None:
            yield server.id, known[server.id].result


def _value(name: str, help_text: str, field: str, read: Callable[[ConsistencyResult], float | None]) -> SnapshotFamily:
    """Declare one number per result."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        numbers = ((server_id, read(result)) for server_id, result in list_results(snapshot))
        return (((server_id,), number) for server_id, number in numbers if number is not None)

    return SnapshotFamily(name, help_text, samples, {SERVER_ID: _SERVER}, (field,), polled_at=READ_AT)


def _list_differences(snapshot: Snapshot) -> Iterator[Sample]:
    for server_id, result in list_results(snapshot):
        for difference, files in (
            ("different", result.different_files),
            ("missing", result.missing_files),
            ("extra", result.extra_files),
        ):
            if files is not None:
                yield (difference, server_id), files


CONSISTENCY: Final = Collector(
    "consistency",
    (
        _value(
            "task_consistency_checked_timestamp_seconds",
            "Unix time at which the last consistency verification ended.",
            f"{_RESULT}.finished_time",
            lambda result: seconds(result.finished_time),
        ),
        _value(
            "task_consistency_checked_files",
            "Number of files that the last consistency verification compared.",
            f"{_FILES}.num_total_files",
            lambda result: result.total_files,
        ),
        SnapshotFamily(
            "task_consistency_files",
            "Number of files that differ between source and target server, are missing on the target server, or are "
            "on the target server only (extra), in the last consistency verification.",
            _list_differences,
            {"result": f"{_FILES}.num_different_files", SERVER_ID: _SERVER},
            (
                f"{_FILES}.num_different_files",
                f"{_FILES}.num_target_miss_files",
                f"{_FILES}.num_target_more_files",
            ),
            polled_at=READ_AT,
        ),
    ),
)
