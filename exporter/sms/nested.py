"""Records and lists nested in a record: most stay the same from poll to poll, so each is decoded once.

A nested value is recognized by a hash of its bytes, and equal ones are one object, even in different records. That
saves most of the decoding and of the memory, and makes two lists cheap to compare.
"""

import contextlib
from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Final, cast, get_type_hints

import msgspec
from msgspec import inspect
from msgspec.structs import force_setattr

from exporter.sms.model import Record, RecordT
from exporter.sms.tolerant import (
    MAX_RECORD_BYTES,
    UNDECODABLE,
    Findings,
    alternatives,
    build_reader,
    load_json,
    struct_fields,
)

_NULL: Final = msgspec.Raw(b"null")

_MAX_SHARED_LISTS: Final = 1024
"""Maximum number of different lists that are kept to be shared."""


def nested_fields(record_type: type[Record]) -> list[inspect.Field]:
    """Return the fields of a record whose values are records or lists."""
    return [item for item in struct_fields(record_type) if _is_nested(item.type)]


def _is_nested(kind: inspect.Type) -> bool:
    return any(isinstance(each, inspect.StructType | inspect.VarTupleType) for each in alternatives(kind))


@cache
def build_row_type(record_type: type[RecordT]) -> type[RecordT]:
    """Return the type of a record whose nested values are still bytes."""
    fields = [
        (item.name, msgspec.Raw, msgspec.field(default=_NULL, name=item.encode_name))
        for item in nested_fields(record_type)
    ]
    row_type = msgspec.defstruct(
        record_type.__name__, fields, bases=(record_type,), frozen=True, kw_only=True, gc=False
    )
    return cast("type[RecordT]", row_type)


class NestedValues:
    """The values of one nested field in the previous list and in the current one, by the hash of their bytes.

    Two values with the same 64-bit SipHash, whose key is random in each process, are not a case to consider.
    """

    def __init__(self, record_type: type[Record], item: inspect.Field) -> None:
        self._name = item.name
        self._path = item.encode_name
        self._decoder = msgspec.json.Decoder(get_type_hints(record_type, include_extras=True)[item.name])
        self._read_tolerantly = build_reader(item.type)
        self._is_list = not any(isinstance(each, inspect.StructType) for each in alternatives(item.type))
        self._lists: dict[object, object] = {}
        self._previous: dict[int, object] = {}
        self._current: dict[int, object] = {}
        self._findings: dict[int, Findings] = {}

    def list_ended(self) -> None:
        """Remember the values of the list that was just read, and no others."""
        self._previous, self._current = self._current, {}
        # A thread may still decode a page of a poll that timed out, so the items are copied first.
        self._findings = {key: found for key, found in list(self._findings.items()) if key in self._previous}

    def decode(self, rows: Sequence[Record], findings: Findings) -> None:
        """Replace the bytes in this field of each row with the value, and count what is not as documented in it."""
        raws = list(map(attrgetter(self._name), rows))
        keys = list(map(hash, map(bytes, raws)))
        previous, current = self._previous, self._current
        for key, raw in zip(keys, raws, strict=True):
            if key not in current:
                current[key] = previous[key] if key in previous else self._decode_new(raw, key)
        for row, key in zip(rows, keys, strict=True):
            # The rows are frozen, but nothing else has seen them yet.
            force_setattr(row, self._name, current[key])
        for key in keys if self._findings else ():
            if key in self._findings:
                findings.add(self._findings[key])

    def _decode_new(self, raw: msgspec.Raw, key: int) -> object:
        text = bytes(raw)
        with contextlib.suppress(*UNDECODABLE):
            if len(text) <= MAX_RECORD_BYTES:
                value = self._decoder.decode(text)
                return self._share(value) if self._is_list else value
        found = self._findings[key] = Findings()
        return self._read_tolerantly(load_json(text), self._path, found)

    def _share(self, value: object) -> object:
        """Return an equal value that was decoded before, if there is one.

        The lists of most servers differ only in fields that are not decoded, so thousands of servers have a few.
        """
        if len(self._lists) >= _MAX_SHARED_LISTS:
            self._lists.clear()
        return self._lists.setdefault(value, value)
