"""Tolerant reading of a record that is not as documented, field by field.

A number where text is documented becomes text, and text that is a number becomes a number. What still cannot be read is
left out and counted, and so is each value outside the documented ones, which is kept. Only a record without an `id` is
lost as a whole.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from exporter.sms.model import MAX_INT64, MAX_NUMBER, MAX_TEXT_CHARACTERS, Record, RecordT

Unknown: TypeAlias = tuple[str, str]
"""The path of a field, such as `current_task.state`, and a value of it that the reference does not document."""


@dataclass(slots=True)
class Findings:
    """What was not as documented in a record: unreadable values by the path of their field, and unknown values."""

    unreadable: Counter[str] = field(default_factory=Counter)
    unknown: Counter[Unknown] = field(default_factory=Counter)

    def add(self, other: "Findings") -> None:
        """Count the findings of another value."""
        self.unreadable.update(other.unreadable)
        self.unknown.update(other.unknown)


class _Unreadable:
    """The result for a value that is present and cannot be read."""


UNREADABLE: Final = _Unreadable()

MAX_RECORD_BYTES: Final = 2**18
"""The largest record, or value nested in one, that is accepted: about a hundred times as large as real ones."""

_MAX_DIGITS: Final = len(str(MAX_INT64))

_DECIMAL: Final = re.compile(rf"[0-9]{{1,{_MAX_DIGITS}}}(?:\.[0-9]+)?")
"""The text of a number: that of an integer, which may have a fraction."""

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that is not as documented."""

StructT = TypeVar("StructT", bound=Record)

Reader: TypeAlias = Callable[[Any, str, Findings], object]
"""Reads the value of the field at a path; None if it cannot be read."""


def load_json(text: bytes) -> object:
    """Return decoded JSON of any content, UNREADABLE if it is not JSON, is too large or nested too deeply."""
    if len(text) > MAX_RECORD_BYTES:
        return UNREADABLE
    try:
        return json.loads(text.decode("utf-8", "replace"), parse_int=_parse_int)
    except (ValueError, RecursionError):
        return UNREADABLE


def _parse_int(digits: str) -> object:
    """Return the integer, UNREADABLE if it is far too large. Python raises an error for more than 4,300 digits."""
    return int(digits) if len(digits) <= _MAX_DIGITS else UNREADABLE


def read_record(content: object, record_type: type[RecordT], findings: Findings) -> RecordT | None:
    """Return the record in decoded JSON, None if it has no usable `id`."""
    if not isinstance(content, dict) or not _is_identity(content.get(_id_key(record_type))):
        return None
    record = _struct_reader(record_type)(content, "", findings)
    return record if isinstance(record, record_type) else None


def read_struct(content: object, struct: type[StructT], path: str, findings: Findings) -> StructT | None:
    """Return the struct in decoded JSON, whose field is at `path`; None if it is not an object."""
    value = _struct_reader(struct)(content, path, findings)
    return value if isinstance(value, struct) else None


def read_int(value: object) -> object:
    """Return a non-negative integer of at most 64 bits, else UNREADABLE."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT64:
        return value
    return UNREADABLE


def _is_identity(value: object) -> bool:
    text = _read_text(value) if not isinstance(value, float) else UNREADABLE
    return isinstance(text, str) and text != ""


@cache
def _id_key(record_type: type[Record]) -> str:
    return next(item.encode_name for item in struct_fields(record_type) if item.name == "id")


@cache
def struct_fields(struct: type[Record]) -> tuple[inspect.Field, ...]:
    """Return the fields of a struct."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - narrows the type for mypy
    return info.fields


@cache
def _struct_reader(struct: type[Record]) -> Reader:
    readers = [(item.name, item.encode_name, build_reader(item.type)) for item in struct_fields(struct)]

    def read(value: object, path: str, findings: Findings) -> object:
        if not isinstance(value, dict):
            findings.unreadable[path] += 1
            return None
        prefix = f"{path}." if path else ""
        return struct(
            **{
                name: read_field(value[key], f"{prefix}{key}", findings)
                for name, key, read_field in readers
                if value.get(key) is not None
            },
        )

    return read


def alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """Return the types of a union, or the type itself."""
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def build_reader(kind: inspect.Type) -> Reader:
    """Return the tolerant reader of a type."""
    for alternative in alternatives(kind):
        if convert := _CONVERTERS.get(type(alternative)):
            return _value_reader(convert)
        match alternative:
            case inspect.FloatType(le=maximum):
                return _value_reader(partial(_read_float, maximum=MAX_NUMBER if maximum is None else maximum))
            case inspect.LiteralType(values=documented):
                return _enumeration_reader(frozenset(documented))
            case inspect.StructType(cls=struct):
                return _struct_reader(struct)
            case inspect.VarTupleType(item_type=item):
                return _list_reader(build_reader(item))
    raise TypeError(f"no tolerant reader for {kind}")


def _value_reader(convert: Callable[[object], object]) -> Reader:
    def read(value: object, path: str, findings: Findings) -> object:
        result = convert(value)
        if result is UNREADABLE:
            findings.unreadable[path] += 1
            return None
        return result

    return read


def _enumeration_reader(documented: frozenset[object]) -> Reader:
    read_text = _value_reader(_read_text)

    def read(value: object, path: str, findings: Findings) -> object:
        text = read_text(value, path, findings)
        if isinstance(text, str) and text not in documented:
            findings.unknown[path, text] += 1
        return text

    return read


def _list_reader(read_item: Reader) -> Reader:
    def read(value: object, path: str, findings: Findings) -> object:
        if not isinstance(value, list):
            findings.unreadable[path] += 1
            return None
        items = (read_item(item, path, findings) for item in value if item is not None)
        return tuple(item for item in items if item is not None)

    return read


def _read_text(value: object) -> object:
    if isinstance(value, str):
        # A lone surrogate is legal in JSON but cannot be encoded.
        text = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return text if len(text) <= MAX_TEXT_CHARACTERS else UNREADABLE
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return UNREADABLE


def _read_float(value: object, maximum: float) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return UNREADABLE
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return UNREADABLE
    number = float(value)
    return number if 0 <= number <= maximum else UNREADABLE


def _read_bool(value: object) -> object:
    words = {"true": True, "false": False, "1": True, "0": False}
    return words.get(str(value).lower(), UNREADABLE) if isinstance(value, bool | str | int) else UNREADABLE


_CONVERTERS: Final[Mapping[type[inspect.Type], Callable[[object], object]]] = MappingProxyType(
    {
        inspect.StrType: _read_text,
        inspect.IntType: read_int,
        inspect.BoolType: _read_bool,
    },
)
