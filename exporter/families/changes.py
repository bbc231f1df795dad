"""Which fields changed between two lists of the same servers, so that only families that read them are rendered again.

Comparing fields is much cheaper than computing and comparing samples: columns of both lists are read and compared in C.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from operator import attrgetter, is_not
from typing import Any, Final, TypeVar

from exporter.sms.model import SourceServer, Task

_PART_SIZE: Final = 400
"""Servers that are processed at a time, few enough to stay in the CPU cache."""

_TASK: Final = "current_task"
_SERVER_FIELDS: Final = tuple(name for name in SourceServer.__struct_fields__ if name != _TASK)
_TASK_FIELDS: Final = Task.__struct_fields__

T = TypeVar("T")


def compared_field(field: str) -> str:
    """Return the field of the server or its task that is compared to detect a change of `field`.

    It is `field` itself, or the field that contains it: lists and nested records are compared as a whole.
    """
    first, *rest = field.replace("[]", "").split(".")
    return f"{first}.{rest[0]}" if first == _TASK else first


def find_changed_fields(old: Sequence[SourceServer], new: Sequence[SourceServer]) -> frozenset[str] | None:
    """Return each `compared_field` that differs in at least one server; None if the servers are not the same."""
    if len(old) != len(new):
        return None
    servers, tasks = _Columns(_SERVER_FIELDS), _Columns(_TASK_FIELDS)
    for old_part, new_part in zip(split_into_parts(old), split_into_parts(new), strict=True):
        before, after = _different_objects(old_part, new_part)
        servers.compare(before, after)
        if "id" in servers.changed:
            return None
        tasks_before, tasks_after = _different_objects(
            [server.current_task for server in before], [server.current_task for server in after]
        )
        if None in tasks_before or None in tasks_after:
            # A task came or went: even one without any value has an _info.
            tasks.all_changed()
        tasks.compare(tasks_before, tasks_after)
    return frozenset(servers.changed) | {f"{_TASK}.{name}" for name in tasks.changed}


class _Columns:
    """The fields of records, compared part by part until they are known to have changed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.changed: set[str] = set()
        self._unchanged = list(names)

    def compare(self, old: Sequence[Any], new: Sequence[Any]) -> None:
        """Find the fields that differ between two records at the same index."""
        # One comparison of whole rows is enough for nearly all parts.
        if self._unchanged and not _equal(attrgetter(*self._unchanged), old, new):
            self.changed.update(name for name in self._unchanged if not _equal(attrgetter(name), old, new))
            self._unchanged = [name for name in self._unchanged if name not in self.changed]

    def all_changed(self) -> None:
        """Count all fields as changed."""
        self.changed.update(self._unchanged)
        self._unchanged = []


def _different_objects(old: Sequence[T], new: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return the items of both that are not the same object as that at the same index of the other."""
    different = list(map(is_not, old, new))
    return list(compress(old, different)), list(compress(new, different))


def _equal(read: "attrgetter[Any]", old: Sequence[object], new: Sequence[object]) -> bool:
    return list(map(read, old)) == list(map(read, new))


def split_into_parts(servers: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return the servers in parts that fit into the CPU cache."""
    return (servers[start : start + _PART_SIZE] for start in range(0, len(servers), _PART_SIZE))
