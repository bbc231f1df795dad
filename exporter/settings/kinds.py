"""The kinds of values that fields take: a placeholder for the help, and a description for errors."""

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import annotated_types
from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from exporter.settings.files import check_directory
from exporter.settings.quantities import (
    check_listen_address,
    check_socket_addresses,
    format_duration,
    parse_duration,
    parse_proxy,
    parse_url,
    suggest_duration,
)


class Kind(NamedTuple):
    """A kind of value: its placeholder in the help (empty for a switch), and its description."""

    placeholder: str
    description: str


_TEXT: Final = Kind("TEXT", "text")
_LIST: Final = Kind("WORD", "a list")
_DURATION: Final = Kind("DURATION", "a duration with its unit, such as 30s, 5m or 1h30m")
_BY_PARSER: Final[Mapping[object, Kind]] = {
    parse_duration: _DURATION,
    check_directory: Kind("DIRECTORY", "the path of a directory"),
    parse_url: Kind("URL", "a URL"),
    parse_proxy: Kind("URL", "a URL"),
    check_listen_address: Kind("ADDRESS", "an address"),
    check_socket_addresses: Kind("ADDRESS", "one or more addresses"),
}
_BY_TYPE: Final[Mapping[object, Kind]] = {
    bool: Kind("", "true or false"),
    int: Kind("NUMBER", "a whole number"),
    float: Kind("NUMBER", "a number"),
    ByteSize: Kind("SIZE", "a size with its unit, such as 32MiB"),
    Path: Kind("FILE", "the path of a file"),
    SecretStr: Kind("SECRET", "text"),
    tuple: _LIST,
    dict: Kind("", "a mapping (key: value)"),
}


def placeholder(field: FieldInfo) -> str:
    """Return the placeholder of a field's value, such as DURATION, or its choices; empty for a switch."""
    return "|".join(_choices(field)) or _kind(field).placeholder


def describe(field: FieldInfo) -> str:
    """Return what a field accepts, such as `a whole number from 1 to 64`."""
    if choices := _choices(field):
        return f"one of {', '.join(choices)}"
    kind = _kind(field)
    separator = ", " if "such as" in kind.description else " "
    return separator.join((kind.description, *_bounds(field, kind)))


def suggest(value: object, field: FieldInfo) -> str | None:
    """Return what was probably meant by a value that a field does not accept."""
    if not isinstance(value, str):
        return None
    if _kind(field) is _DURATION:
        return suggest_duration(value)
    choices = {choice.lower(): choice for choice in _choices(field)}
    near = difflib.get_close_matches(value.lower(), choices)
    return choices[near[0]] if near else None


def is_secret(field: FieldInfo) -> bool:
    """Return whether the value of a field must never be shown."""
    return SecretStr in _all_types(field.annotation)


def has_secrets(model: type[BaseModel]) -> bool:
    """Return whether a group has a field whose value must never be shown."""
    return any(SecretStr in _alternatives(field.annotation) for field in model.model_fields.values())


def is_list(field: FieldInfo) -> bool:
    """Return whether a field has several values."""
    return any(typing.get_origin(kind) is tuple for kind in _alternatives(field.annotation))


def get_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a group of fields, or a list of such groups."""
    return next((kind for kind in _all_types(field.annotation) if _is_model(kind)), None)


def _is_model(kind: object) -> typing.TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kind(field: FieldInfo) -> Kind:
    for item in _metadata(field):
        if kind := _BY_PARSER.get(getattr(item, "func", None)):
            return kind
    kinds = (_BY_TYPE.get(typing.get_origin(kind) or kind) for kind in _alternatives(field.annotation))
    return next((kind for kind in kinds if kind is not None), _TEXT)


def _bounds(field: FieldInfo, kind: Kind) -> Iterator[str]:
    """Yield the limits of a field's value in words."""

    def write(bound: Any) -> str:  # noqa: ANN401 - a number
        return format_duration(bound) if kind is _DURATION else str(bound)

    bounds: dict[str, Any] = {}
    for item in _metadata(field):
        match item:
            case annotated_types.Ge(ge=low) | annotated_types.MinLen(min_length=low):
                bounds["low"] = low
            case annotated_types.Le(le=high) | annotated_types.MaxLen(max_length=high):
                bounds["high"] = high
            case annotated_types.Gt(gt=low):
                yield f"greater than {write(low)}"
    match {name: write(bound) for name, bound in bounds.items()}:
        case {"low": low, "high": high}:
            yield f"from {low} to {high}"
        case {"low": low}:
            yield f"of {low} or more"
        case {"high": high}:
            yield f"and at most {high}"
    if bounds and kind in {_TEXT, _LIST}:
        yield "characters" if kind is _TEXT else "items"


def _choices(field: FieldInfo) -> list[str]:
    kinds = _alternatives(field.annotation)
    return [choice for kind in kinds for choice in typing.get_args(kind) if isinstance(choice, str)]


def _alternatives(annotation: object) -> tuple[Any, ...]:
    """Return the alternatives of an annotation, without None and without `Annotated`."""
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        return tuple(kind for part in typing.get_args(annotation) for kind in _alternatives(part))
    if typing.get_origin(annotation) is typing.Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    return () if annotation is types.NoneType else (annotation,)


def _all_types(annotation: object) -> Iterator[object]:
    """Yield an annotation and all types inside it."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from _all_types(part)


def _metadata(of: object) -> Iterator[Any]:
    """Yield the metadata of a field, and of all `Annotated` inside its annotation."""
    if isinstance(of, FieldInfo):
        yield from of.metadata
        yield from _metadata(of.annotation)
        return
    for item in getattr(of, "__metadata__", ()):
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)
    for part in typing.get_args(of):
        yield from _metadata(part)
