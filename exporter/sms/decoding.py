"""Decoding of one page of a list from bytes.

A page of records that are as documented is decoded at once into structs, any other record field by field. Values nested
in a record are decoded only if their bytes are new: in most polls only a few numbers of a record change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import GenericAlias
from typing import Any, Final, Generic

import msgspec

from exporter.errors import BadResponse
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import NonNegativeInt, RecordT
from exporter.sms.nested import NestedValues, build_row_type, nested_fields
from exporter.sms.tolerant import UNDECODABLE, UNREADABLE, Findings, Unknown, load_json, read_int, read_record

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
        self._row_decoder = msgspec.json.Decoder(self._row_type)
        self._page_decoder = self._build_decoder(self._row_type)
        self._raw_page_decoder = self._build_decoder(msgspec.Raw)
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

    def _read_rows(self, body: bytes) -> tuple[int, Sequence[object]]:
        """Return the count and the rows of a page: decoded, or as bytes if one of them is not as documented."""
        for decoder in (self._page_decoder, self._raw_page_decoder):
            try:
                envelope = decoder.decode(body)
            except UNDECODABLE:
                continue
            return envelope.count, envelope.rows
        return self._read_envelope(body)

    def _read(self, row: object, findings: Findings) -> RecordT | None:
        """Return the record in a row, whose nested values may still be bytes."""
        if isinstance(row, self._row_type):
            return row
        if isinstance(row, msgspec.Raw):
            try:
                return self._row_decoder.decode(row)
            except UNDECODABLE:
                row = load_json(bytes(row))
        return read_record(row, self._endpoint.record_type, findings)

    def _reuse(self, records: Sequence[RecordT]) -> list[RecordT]:
        """Return the records, the previous object in place of each that is equal to it."""
        ids = list(map(_get_id, records))
        reused = [
            previous if previous == record else record
            for previous, record in zip(map(self._previous.get, ids), records, strict=True)
        ]
        self._current.update(zip(ids, reused, strict=True))
        return reused

    def _build_decoder(self, row_type: type[Any]) -> "msgspec.json.Decoder[Any]":
        fields = [("count", NonNegativeInt), ("rows", GenericAlias(list, row_type))]
        return msgspec.json.Decoder(msgspec.defstruct("Envelope", fields, rename={"rows": self._endpoint.envelope_key}))

    def _read_envelope(self, body: bytes) -> tuple[int, list[object]]:
        content = load_json(body)
        if not isinstance(content, dict):
            raise BadResponse("the API answered 200 with a body that is not a JSON object")
        count = read_int(content.get("count"))
        rows = content.get(self._endpoint.envelope_key, UNREADABLE)
        if rows is None:
            rows = []
        if not isinstance(count, int) or not isinstance(rows, list):
            raise BadResponse(
                f"the API answered 200 with a JSON object that is not a list of {self._endpoint.noun}",
            )
        return count, rows


def _distinct(records: list[RecordT]) -> list[RecordT]:
    """Return the records without those whose id an earlier one has."""
    if len(set(map(_get_id, records))) == len(records):
        return records
    first: dict[str, RecordT] = {}
    for record in records:
        first.setdefault(record.id, record)
    return list(first.values())
