"""Tolerant decoding of one page of `GET /v3/sources` from bytes.

A record that is as documented is decoded at once into its struct. One that is not is read field by
field: a number where a string is documented becomes text, text that is a number becomes one, and what
still cannot be read is left out alone and counted. Only a record without an `id` is lost whole.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

from exporter.errors import BadResponse
from exporter.model import Record, SourceServer, Whole

_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list.

    `count` is the API's own number of servers in the whole list, `rows` how many records the page had.
    `invalid` of them had no `id`; `unreadable` counts, by field, the values that had to be left out.
    """

    count: int
    rows: int
    servers: tuple[SourceServer, ...]
    invalid: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)


class _Envelope(msgspec.Struct):
    count: Whole
    source_servers: list[msgspec.Raw]


_envelope = msgspec.json.Decoder(_Envelope)
_server = msgspec.json.Decoder(SourceServer)


def decode_page(body: bytes) -> Page:
    """Decode the body of a 200. Raises BadResponse where it is not a list of source servers."""
    try:
        envelope = _envelope.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _page(*_tolerant_envelope(body))
    return _page(envelope.count, envelope.source_servers)


def _page(count: int, records: Iterable[object]) -> Page:
    servers = []
    rows = 0
    unreadable: Counter[str] = Counter()
    for rows, record in enumerate(records, start=1):  # noqa: B007 - the last row number is the number of rows
        server = _read_server(record, unreadable)
        if server is not None:
            servers.append(server)
    return Page(count, rows, tuple(servers), rows - len(servers), dict(unreadable))


def _read_server(record: object, unreadable: Counter[str]) -> SourceServer | None:
    if isinstance(record, msgspec.Raw):
        try:
            server: SourceServer = _server.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = _loads(bytes(record))
        else:
            return server if server.id else None
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
    return number if math.isfinite(number) and number >= 0 else _UNREADABLE


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
