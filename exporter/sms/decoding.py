"""Decoding of one page of a list from bytes.

A page of records that are as documented is decoded at once into structs, any other record field by field. Values nested
in a record are decoded only if their bytes are new: in most polls only a few numbers of a record change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic

import msgspec

from exporter.errors import BadResponse
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import NonNegativeInt, RecordT
from exporter.sms.nested import NestedValues, build_row_type, nested_fields
from exporter.sms.splitting import split_array, split_object
from exporter.sms.tolerant import MAX_RECORD_BYTES, UNDECODABLE, Findings, Unknown, load_json, read_int, read_record

MAX_ROWS: Final = 1000
"""The largest page that is accepted, five times as large as the API's own limit."""

MAX_INLINE_BYTES: Final = 2**20
"""A larger page is decoded in a thread: it would delay everything else on the event loop."""

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
        self._page_decoders = _page_decoders(endpoint)
        self._previous: dict[str, RecordT] = {}
        self._current: dict[str, RecordT] = {}

    def list_ended(self) -> None:
        """Remember the records of the list that was just read, and no others."""
        self._previous, self._current = self._current, {}
        for nested in self._nested:
            nested.list_ended()

    def page(self, body: bytes) -> Page[RecordT]:
        """Decode the body of a 200 response. Raises BadResponse if it is not a page of this list."""
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
        """Decode a body like `page`, in a thread if it is large."""
        return self.page(body) if len(body) <= MAX_INLINE_BYTES else await asyncio.to_thread(self.page, body)

    def _read_rows(self, body: bytes) -> tuple[int, Sequence[RecordT | msgspec.Raw | bytes]]:
        """Return the count and the rows of a page: decoded, or as bytes if one of them is not as documented."""
        for decoder in self._page_decoders:
            try:
                envelope = decoder.decode(body)
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
        count = read_int(load_json(members.get(b'"count"', b"")))
        rows = members.get(f'"{self._endpoint.envelope_key}"'.encode(), b"")
        if not isinstance(count, int) or not rows:
            raise BadResponse(
                f"the API answered 200 with a JSON object that is not a list of {self._endpoint.noun}",
            )
        return count, [] if rows.strip() == b"null" else split_array(rows, MAX_ROWS)


@cache
def _page_decoders(endpoint: Endpoint[RecordT]) -> "Sequence[msgspec.json.Decoder[Any]]":
    """Return a decoder of pages with rows as documented, and one that leaves the rows as bytes.

    They stop at the first row beyond MAX_ROWS, before it needs more memory: an array of fixed length does that.
    """
    decoders = []
    for row_type in (build_row_type(endpoint.record_type), msgspec.Raw):
        columns = [(f"row_{number}", row_type, None) for number in range(MAX_ROWS)]
        rows = msgspec.defstruct("Rows", columns, array_like=True, forbid_unknown_fields=True, gc=False)
        fields = [("count", NonNegativeInt), ("rows", rows)]
        envelope = msgspec.defstruct("Envelope", fields, rename={"rows": endpoint.envelope_key}, gc=False)
        decoders.append(msgspec.json.Decoder(envelope))
    return decoders


def _distinct(records: list[RecordT]) -> list[RecordT]:
    """Return the records without those whose id an earlier one has."""
    if len(set(map(_get_id, records))) == len(records):
        return records
    first: dict[str, RecordT] = {}
    for record in records:
        first.setdefault(record.id, record)
    return list(first.values())
