"""Decoding of one page of a list from bytes.

A record that is as documented is decoded straight into its struct, any other one field by field. A record with the same
bytes as one in the previous list is not decoded again.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias

import msgspec

from exporter.errors import BadResponse
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import NonNegativeInt, RecordT
from exporter.sms.tolerant import UNREADABLE, Findings, Unknown, read_int, read_record

_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

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


_Row: TypeAlias = tuple[RecordT | None, Findings | None]
"""A decoded record, None if it has no id, and what was not as documented in it."""


class Records(Generic[RecordT]):
    """Decodes the pages of one list after another, each record once while it stays the same.

    A record is recognized by the digest of its bytes: it is then the same object as in the previous list.
    """

    def __init__(self, endpoint: Endpoint[RecordT]) -> None:
        self._endpoint = endpoint
        envelope = msgspec.defstruct(
            "Envelope",
            [("count", NonNegativeInt), ("rows", list[msgspec.Raw])],
            rename={"rows": endpoint.envelope_key},
        )
        self._envelope_decoder = msgspec.json.Decoder(envelope)
        self._record_decoder = msgspec.json.Decoder(endpoint.record_type)
        self._previous: dict[bytes, _Row[RecordT]] = {}
        self._current: dict[bytes, _Row[RecordT]] = {}

    def list_ended(self) -> None:
        """Remember the records of the list that was just read, and no others."""
        self._previous, self._current = self._current, {}

    def page(self, body: bytes) -> Page[RecordT]:
        """Decode the body of a 200 response. Raises BadResponse if it is not a page of this list."""
        try:
            envelope: Any = self._envelope_decoder.decode(body)
        except _UNDECODABLE:
            return self._page(*self._read_envelope(body))
        return self._page(envelope.count, envelope.rows)

    def _page(self, count: int, rows: Sequence[object]) -> Page[RecordT]:
        records: list[RecordT] = []
        unreadable: Counter[str] = Counter()
        unknown: Counter[Unknown] = Counter()
        for row in rows:
            record, findings = self._read(row)
            if record is not None:
                records.append(record)
            if findings is not None:
                unreadable.update(findings.unreadable)
                unknown.update(findings.unknown)
        distinct = _distinct(records)
        return Page(
            tuple(distinct),
            count,
            duplicates=len(records) - len(distinct),
            invalid=len(rows) - len(records),
            unreadable=unreadable,
            unknown=unknown,
        )

    def _read(self, row: object) -> _Row[RecordT]:
        if not isinstance(row, msgspec.Raw):
            return self._read_tolerantly(row)
        digest = sha256(row).digest()
        known = self._current.get(digest) or self._previous.get(digest)
        if known is None:
            try:
                record = self._record_decoder.decode(row)
                known = (record if record.id else None), None
            except _UNDECODABLE:
                known = self._read_tolerantly(_load_json(bytes(row)))
        self._current[digest] = known
        return known

    def _read_tolerantly(self, content: object) -> _Row[RecordT]:
        findings = Findings()
        return read_record(content, self._endpoint.record_type, findings), findings

    def _read_envelope(self, body: bytes) -> tuple[int, list[object]]:
        content = _load_json(body)
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


def _load_json(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return UNREADABLE
