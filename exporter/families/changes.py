"""Which fields changed between two lists of the same servers, so that only families that read them are rendered again.

Comparing fields is much cheaper than computing and comparing samples: columns of both lists are read and compared in C.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import compress
from operator import is_not
from typing import Final, TypeVar

from msgspec.structs import astuple

from exporter.sms.model import Record, SourceServer, Task

_PART_SIZE: Final = 400
"""Servers that are processed at a time, few enough to stay in the CPU cache."""

_TASK: Final = "current_task"

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
    changed: set[str] = set()
    tasks_changed: set[str] = set()
    for old_part, new_part in zip(split_into_parts(old), split_into_parts(new), strict=True):
        before, after = _different_objects(old_part, new_part)
        changed.update(_differing_columns(before, after, changed))
        if "id" in changed:
            return None
        tasks_before = [server.current_task for server in before]
        tasks_after = [server.current_task for server in after]
        tasks_changed.update(_differing_task_columns(tasks_before, tasks_after, tasks_changed))
    return frozenset((*changed, *(f"{_TASK}.{name}" for name in tasks_changed)))


def _differing_task_columns(
    old: Sequence[Task | None], new: Sequence[Task | None], known: Container[str]
) -> Sequence[str]:
    old, new = _different_objects(old, new)
    before, after = ([task for task in tasks if task is not None] for tasks in (old, new))
    if len(before) == len(after) == len(old):
        return _differing_columns(before, after, known)
    # A task came or went, so all its fields count: even one without any value has an _info.
    return Task.__struct_fields__


def _differing_columns(old: Sequence[Record], new: Sequence[Record], known: Container[str]) -> list[str]:
    """Return the fields that differ between two records at the same index, without the known ones."""
    if not old:
        return []
    columns = zip(zip(*map(astuple, old), strict=True), zip(*map(astuple, new), strict=True), strict=True)
    return [
        name
        for name, (before, after) in zip(old[0].__struct_fields__, columns, strict=True)
        if name not in known and before != after
    ]


def _different_objects(old: Sequence[T], new: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return the items of both that are not the same object as that at the same index of the other."""
    different = list(map(is_not, old, new))
    return list(compress(old, different)), list(compress(new, different))


def split_into_parts(servers: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return the servers in parts that fit into the CPU cache."""
    return (servers[start : start + _PART_SIZE] for start in range(0, len(servers), _PART_SIZE))
