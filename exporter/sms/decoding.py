"""Decoding of one page of a list from bytes.

A page of records that are as documented is decoded at once into structs, any other record field by field. Values nested
in a record are decoded only if their bytes are new: in most polls only a few numbers of a record change.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic, cast, get_type_hints

import msgspec
from msgspec import inspect
from msgspec.structs import force_setattr

from exporter.blocking import Worker
from exporter.errors import BadResponse
from exporter.language import Translatable
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import NonNegativeInt, Record, RecordT
from exporter.sms.splitting import split_array, split_object
from exporter.sms.tolerant import (
    MAX_RECORD_BYTES,
    UNDECODABLE,
    Findings,
    Unknown,
    alternatives,
    build_reader,
    load_json,
    read_int,
    read_record,
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


MAX_ROWS: Final = 1000
"""The largest page that is accepted, five times as large as the API's own limit."""

MAX_INLINE_BYTES: Final = 2**20
"""A larger page is decoded in a thread: it would delay everything else on the event loop."""

NOT_AS_DOCUMENTED_HINT: Final = Translatable(
    "the answer is not as documented: report it with a capture (sms-exporter capture)"
)

_get_id: Final = attrgetter("id")


@dataclass(frozen=True, slots=True)
class Page(Generic[RecordT]):
    """Distinct records of a list, in the API's order.

    `count` is the API's own number of records in the whole list. `duplicates` records were left out because their id
    was there already, `invalid` ones because they have no id. `unreadable` counts the values that were left out, by
    the path of their field, and `unknown` those that the reference does not document, by (path of the field, value).
    """

    records: tuple[RecordT, ...]
    count: int
    duplicates: int = 0
    invalid: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[Unknown, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many records the API sent."""
        return len(self.records) + self.duplicates + self.invalid


class Records(Generic[RecordT]):
    """Decodes the pages of one list after another.

    A record that is equal to the one in the previous list is the same object, and so is a nested value in it.
    """

    def __init__(self, endpoint: Endpoint[RecordT]) -> None:
        self._endpoint = endpoint
        self._nested = [NestedValues(endpoint.record_type, item) for item in nested_fields(endpoint.record_type)]
        self._row_type = build_row_type(endpoint.record_type)
        self._row_decoder: msgspec.json.Decoder[RecordT] = msgspec.json.Decoder(self._row_type)
        self._worker = Worker()
        self._previous: dict[str, RecordT] = {}
        self._current: dict[str, RecordT] = {}

    def list_ended(self) -> None:
        """Remember the records of the list that was just read, and no others."""
        self._previous, self._current = self._current, {}
        for nested in self._nested:
            nested.list_ended()

    def page(self, body: bytes) -> Page[RecordT]:
        """Decode the body of a 200 response. Raise BadResponse if it is not a page of this list."""
        count, rows = self._read_rows(body)
        findings = Findings()
        records = [record for row in rows if (record := self._read(row, findings)) is not None and record.id]
        # Only a record that was read field by field has its nested values already.
        incomplete = [record for record in records if isinstance(record, self._row_type)]
        for nested in self._nested:
            nested.decode(incomplete, findings)
        distinct = _distinct(self._reuse(records))
        return Page(
            tuple(distinct),
            count,
            duplicates=len(records) - len(distinct),
            invalid=len(rows) - len(records),
            unreadable=findings.unreadable,
            unknown=findings.unknown,
        )

    async def decode(self, body: bytes) -> Page[RecordT]:
        """Decode a body like `page`; a large one in a thread, one after the other."""
        return self.page(body) if len(body) <= MAX_INLINE_BYTES else await self._worker.run(self.page, body)

    def _read_rows(self, body: bytes) -> tuple[int, Sequence[RecordT | msgspec.Raw | bytes]]:
        """Return the count and the rows of a page: decoded, or as bytes if one of them is not as documented."""
        for as_bytes in (False, True):
            try:
                envelope = _page_decoder(self._endpoint, as_bytes=as_bytes).decode(body)
            except UNDECODABLE:
                continue
            return envelope.count, [row for row in msgspec.structs.astuple(envelope.rows) if row is not None]
        return self._split_page(body)

    def _read(self, row: RecordT | msgspec.Raw | bytes, findings: Findings) -> RecordT | None:
        """Return the record in a row, whose nested values may still be bytes."""
        if not isinstance(row, (bytes, msgspec.Raw)):
            return row
        text = bytes(row)
        if len(text) > MAX_RECORD_BYTES:
            return None
        try:
            return self._row_decoder.decode(text)
        except UNDECODABLE:
            return read_record(load_json(text), self._endpoint.record_type, findings)

    def _reuse(self, records: Sequence[RecordT]) -> list[RecordT]:
        """Return the records, the previous object in place of each that is equal to it."""
        ids = list(map(_get_id, records))
        reused = [
            previous if previous == record else record
            for previous, record in zip(map(self._previous.get, ids), records, strict=True)
        ]
        self._current.update(zip(ids, reused, strict=True))
        return reused

    def _split_page(self, body: bytes) -> tuple[int, list[bytes]]:
        members = split_object(body)
        rows = members.get(f'"{self._endpoint.envelope_key}"'.encode(), b"")
        if not rows:
            raise BadResponse(
                f"the API answered 200 with a JSON object that is not a list of {self._endpoint.noun}: "
                f"it has no field {self._endpoint.envelope_key}",
            )
        count = read_int(load_json(members.get(b'"count"', b"")))
        if not isinstance(count, int):
            found = "is missing" if b'"count"' not in members else "is not a number from 0 up"
            raise BadResponse(
                f"the field count of the list of {self._endpoint.noun} {found}",
                hint=NOT_AS_DOCUMENTED_HINT,
            )
        return count, [] if rows.strip() == b"null" else split_array(rows, MAX_ROWS)


@cache
def _page_decoder(endpoint: Endpoint[RecordT], *, as_bytes: bool) -> "msgspec.json.Decoder[Any]":
    """Return a decoder of pages with rows as documented, or one that leaves the rows as bytes.

    It stops at the first row beyond MAX_ROWS, before it needs more memory: an array of fixed length does that.
    """
    row_type = msgspec.Raw if as_bytes else build_row_type(endpoint.record_type)
    columns = [(f"row_{number}", row_type, None) for number in range(MAX_ROWS)]
    rows = msgspec.defstruct("Rows", columns, array_like=True, forbid_unknown_fields=True, gc=False)
    fields = [("count", NonNegativeInt), ("rows", rows)]
    envelope = msgspec.defstruct("Envelope", fields, rename={"rows": endpoint.envelope_key}, gc=False)
    return msgspec.json.Decoder(envelope)


def _distinct(records: list[RecordT]) -> list[RecordT]:
    """Return one record for each id: the most complete one, and of several such records the first."""
    if len(set(map(_get_id, records))) == len(records):
        return records
    chosen: dict[str, RecordT] = {}
    for record in records:
        if record.id not in chosen or record.completeness > chosen[record.id].completeness:
            chosen[record.id] = record
    return list(chosen.values())
