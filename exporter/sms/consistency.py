"""The result of a consistency verification: `GET /v3/tasks/{id}/consistency-result`.

Three shapes of the response are published, and all are read: a list of results, a list of results as JSON text, and one
result without a list.
"""

import re
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Final

from exporter.errors import BadResponse
from exporter.sms.model import NonNegativeInt, Record, Text
from exporter.sms.tolerant import UNREADABLE, Findings, load_json, read_struct

LIST_FIELD: Final = "result_list"
NOUN: Final = "the consistency result of a task"


_TASK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_task_id(text: str) -> bool:
    """Return whether a text can be the id of a task in a path."""
    return _TASK_ID.fullmatch(text) is not None


def get_result_path(task_id: str) -> str:
    """Return the path of the result of a task."""
    return f"/v3/tasks/{task_id}/consistency-result"


class DirectoryResult(Record, frozen=True, kw_only=True, gc=False):
    """The files of one verified directory."""

    num_total_files: NonNegativeInt | None = None
    num_different_files: NonNegativeInt | None = None
    num_target_miss_files: NonNegativeInt | None = None
    num_target_more_files: NonNegativeInt | None = None


_total: Final = attrgetter("num_total_files")
_different: Final = attrgetter("num_different_files")
_missing: Final = attrgetter("num_target_miss_files")
_extra: Final = attrgetter("num_target_more_files")


class ConsistencyResult(Record, frozen=True, kw_only=True, gc=False):
    """One verification: its end, what the API says of it, and the files of each directory."""

    finished_time: NonNegativeInt | None = None
    check_result: Text | None = None
    consistency_result: tuple[DirectoryResult, ...] | None = None

    @property
    def total_files(self) -> int | None:
        """Number of verified files."""
        return self._sum(_total)

    @property
    def different_files(self) -> int | None:
        """Number of files that differ between source and target."""
        return self._sum(_different)

    @property
    def missing_files(self) -> int | None:
        """Number of files that the target lacks."""
        return self._sum(_missing)

    @property
    def extra_files(self) -> int | None:
        """Number of files that only the target has."""
        return self._sum(_extra)

    def _sum(self, read: Callable[[DirectoryResult], int | None]) -> int | None:
        """Return the sum over all directories; None if the API reports it for none."""
        numbers = [number for number in map(read, self.consistency_result or ()) if number is not None]
        return sum(numbers) if numbers else None


def parse_consistency_result(body: bytes, findings: Findings) -> ConsistencyResult | None:
    """Return the newest result in a response; None if it has none. Raise BadResponse if it is not a JSON object."""
    content = load_json(body)
    if not isinstance(content, dict):
        raise BadResponse(f"the API answered 200 with something other than {NOUN}")
    results = [result for result in _read_results(content, findings) if result != _EMPTY]
    return max(results, key=_end, default=None)


_EMPTY: Final = ConsistencyResult()


def _end(result: ConsistencyResult) -> int:
    return result.finished_time or 0


def _read_results(content: dict[str, object], findings: Findings) -> Iterator[ConsistencyResult]:
    listed = content.get(LIST_FIELD)
    if listed is None:
        listed = [content]
    if not isinstance(listed, list):
        findings.unreadable[LIST_FIELD] += 1
        return
    for item in listed:
        one = load_json(item.encode(errors="replace")) if isinstance(item, str) else item
        if one is UNREADABLE:
            findings.unreadable[LIST_FIELD] += 1
        elif one is not None:
            result = read_struct(one, ConsistencyResult, LIST_FIELD, findings)
            if result is not None:
                yield result
