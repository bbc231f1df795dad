"""Tolerant decoding of one page of `GET /v3/sources` from bytes.

A record that is as documented is decoded at once into its struct. One that is not is read field by
field: a number where a string is documented becomes text, text that is a number becomes one, and what
still cannot be read is left out alone and counted. Only a record without an `id` is lost whole.
A record whose bytes are those of one in the list before is not decoded again.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

from exporter.errors import BadResponse
from exporter.sms import model
from exporter.sms.model import MOST, Record, SourceServer, Whole

Unknown: TypeAlias = tuple[str, str]
"""A field of the API and a value that its reference does not document."""

_ENUMERATIONS: Final = (
    ("state", model.SOURCE_STATES),
    ("migration_cycle", model.MIGRATION_CYCLES),
    ("os_type", model.OS_TYPES),
    ("current_task.type", model.TASK_TYPES),
    ("current_task.state", model.TASK_STATES),
    ("current_task.log_collect_status", model.LOG_COLLECT_STATUSES),
    ("current_task.clone_server.clone_state", model.CLONE_STATES),
)


def unknown_values(server: SourceServer) -> tuple[Unknown, ...]:
    """Give the undocumented values of a record; none is nearly always the answer."""
    task = server.current_task or model.NO_TASK
    clone = task.clone_server or model.NO_CLONE
    unknown = _undocumented(
        (
            server.state,
            server.migration_cycle,
            server.os_type,
            task.type,
            task.state,
            task.log_collect_status,
            clone.clone_state,
        ),
    )
    for check in server.checks or ():
        if check.result not in model.CHECK_RESULTS and check.result is not None:
            unknown = (*unknown, ("checks.result", check.result))
    return unknown


@lru_cache(1024)
def _undocumented(values: tuple[str | None, ...]) -> tuple[Unknown, ...]:
    """Give those of the values, in the order of the enumerations, that are not in theirs."""
    return tuple(
        (field, value)
        for (field, enumeration), value in zip(_ENUMERATIONS, values, strict=True)
        if value is not None and value not in enumeration
    )


_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list.

    `count` is the API's own number of servers in the whole list, `rows` how many records the page had.
    `invalid` of them had no `id`; `unreadable` counts, by field, the values that had to be left out, and
    `unknown`, by (field of the API, value), those outside the documented enumerations.
    """

    count: int
    rows: int
    servers: tuple[SourceServer, ...]
    invalid: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[Unknown, int] = field(default_factory=dict)


class _Envelope(msgspec.Struct):
    count: Whole
    source_servers: list[msgspec.Raw]


_envelope = msgspec.json.Decoder(_Envelope)
_server = msgspec.json.Decoder(SourceServer)

_Known: TypeAlias = tuple[SourceServer | None, Sequence[Unknown]]
"""A record, None where it has no id, and its values outside the documented enumerations."""


class Records:
    """Decodes the pages of one list after another, each record once while it stays the same.

    A record is known again by the digest of its bytes: it is then the very object that it was.
    """

    def __init__(self) -> None:
        self._before: dict[bytes, _Known] = {}
        self._now: dict[bytes, _Known] = {}

    def list_ended(self) -> None:
        """Remember the records of the list that was read, and no others."""
        self._before, self._now = self._now, {}

    def page(self, body: bytes) -> Page:
        """Decode the body of a 200. Raises BadResponse where it is not a list of source servers."""
        try:
            envelope = _envelope.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._page(*_tolerant_envelope(body))
        return self._page(envelope.count, envelope.source_servers)

    def _page(self, count: int, records: Sequence[object]) -> Page:
        servers = []
        unreadable: Counter[str] = Counter()
        unknown: Counter[Unknown] = Counter()
        for record in records:
            server, values = self._read(record, unreadable)
            if server is not None:
                servers.append(server)
            if values:
                unknown.update(values)
        rows = len(records)
        return Page(count, rows, tuple(servers), rows - len(servers), dict(unreadable), dict(unknown))

    def _read(self, record: object, unreadable: Counter[str]) -> _Known:
        if not isinstance(record, msgspec.Raw):
            return _with_unknown(_read_tolerantly(record, unreadable))
        digest = sha256(record).digest()
        known = self._now.get(digest) or self._before.get(digest)
        if known is None:
            try:
                server: SourceServer = _server.decode(record)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                # What it lacks is counted in each list anew, so it is not remembered.
                return _with_unknown(_read_tolerantly(_loads(bytes(record)), unreadable))
            known = _with_unknown(server if server.id else None)
        self._now[digest] = known
        return known


def _with_unknown(server: SourceServer | None) -> _Known:
    return server, () if server is None else unknown_values(server)


def _read_tolerantly(record: object, unreadable: Counter[str]) -> SourceServer | None:
    if not isinstance(record, dict) or not _is_identity(record.get("id")):
        return None
    read = _reader_of(SourceServer)(record, "", unreadable)
    return read if isinstance(read, SourceServer) else None


def _is_identity(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


def _tolerant_envelope(body: bytes) -> tuple[int, list[object]]:
    content = _loads(body)
    if not isinstance(content, dict):
        raise BadResponse("the API answered 200 with what is not a JSON object")
    count = _whole(content.get("count"))
    records = content.get("source_servers", _UNREADABLE)
    if records is None:
        records = []
    if not isinstance(count, int) or not isinstance(records, list):
        raise BadResponse("the API answered 200 with a JSON object that is not a list of source servers")
    return count, records


def _loads(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return _UNREADABLE


class _Unreadable:
    """Stands for a value that is there and cannot be read."""


_UNREADABLE: Final = _Unreadable()
_Reader: TypeAlias = Callable[[Any, str, "Counter[str]"], object]


def _text(value: object) -> object:
    if isinstance(value, str):
        # A lone surrogate is legal JSON, and no text.
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _UNREADABLE


def _whole(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return value
    return _UNREADABLE


def _number(value: object) -> object:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return _UNREADABLE
    return number if 0 <= number <= MOST else _UNREADABLE


def _flag(value: object) -> object:
    words = {"true": True, "false": False, "1": True, "0": False}
    return words.get(str(value).lower(), _UNREADABLE) if isinstance(value, bool | str | int) else _UNREADABLE


def _leaf(read: Callable[[object], object]) -> _Reader:
    def reader(value: object, path: str, unreadable: Counter[str]) -> object:
        result = read(value)
        if isinstance(result, _Unreadable):
            unreadable[path] += 1
            return None
        return result

    return reader


@cache
def _reader_of(struct: type[Record]) -> _Reader:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - tells the type to mypy
    readers = {item.encode_name: _reader_for(item.type) for item in info.fields}

    def reader(value: object, path: str, unreadable: Counter[str]) -> object:
        if not isinstance(value, dict):
            unreadable[path] += 1
            return None
        prefix = f"{path}." if path else ""
        return struct(
            **{
                name: read(value[name], f"{prefix}{name}", unreadable)
                for name, read in readers.items()
                if value.get(name) is not None
            },
        )

    return reader


def _reader_for(kind: inspect.Type) -> _Reader:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for single in kinds:
        match single:
            case inspect.StrType():
                return _leaf(_text)
            case inspect.IntType():
                return _leaf(_whole)
            case inspect.FloatType():
                return _leaf(_number)
            case inspect.BoolType():
                return _leaf(_flag)
            case inspect.StructType():
                return _reader_of(single.cls)
            case inspect.VarTupleType():
                return _list(_reader_for(single.item_type))
    raise TypeError(f"no tolerant reading of {kind}")


def _list(read: _Reader) -> _Reader:
    def reader(value: object, path: str, unreadable: Counter[str]) -> object:
        if not isinstance(value, list):
            unreadable[path] += 1
            return None
        items = (read(item, path, unreadable) for item in value if item is not None)
        return tuple(item for item in items if item is not None)

    return reader
