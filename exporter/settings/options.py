"""The options as a list, each with its flag, variable, key and kind of value."""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import AliasChoices, BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from exporter.settings.quantities import (
    check_listen_address,
    check_socket_addresses,
    parse_duration,
    parse_proxy,
    parse_url,
)


@dataclass(frozen=True)
class Option:
    """One option: field `name` of group `group`; `group` is empty for an option without a group."""

    prefix: str
    group: str
    name: str
    field: FieldInfo
    default: str
    """The default as it is written; empty if there is none."""

    @property
    def flag(self) -> str:
        """The command-line flag; an alias with a dot is its last part (`--web.config.file`, as in other exporters)."""
        alias = self.field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else ()
        dotted = next((name for name in names if isinstance(name, str) and "." in name), None)
        return f"--{self.group}.{dotted}" if dotted else f"--{self.key.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"{self.prefix}{self.key.replace('.', '_')}".upper()

    @property
    def key(self) -> str:
        """The path in the configuration file."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def description(self) -> str:
        """What the option does."""
        return self.field.description or ""

    @property
    def is_secret(self) -> bool:
        """Whether the value must never be shown."""
        return SecretStr in _types(self.field.annotation)

    @property
    def placeholder(self) -> str:
        """The placeholder of the value, such as DURATION, or its choices; empty for a switch."""
        kinds = _types(self.field.annotation)
        if choices := [choice for kind in kinds for choice in typing.get_args(kind) if isinstance(choice, str)]:
            return "|".join(choices)
        for item in (*self.field.metadata, *_metadata(self.field.annotation)):
            if word := _BY_READER.get(getattr(item, "func", None)):
                return word
        words = (_BY_TYPE.get(typing.get_origin(kind) or kind) for kind in kinds)
        return next((word for word in words if word is not None), "TEXT")


_BY_READER: Final[Mapping[object, str]] = {
    parse_duration: "DURATION",
    parse_url: "URL",
    parse_proxy: "URL",
    check_listen_address: "ADDRESS",
    check_socket_addresses: "ADDRESS",
}
_BY_TYPE: Final[Mapping[object, str]] = {
    bool: "",
    int: "NUMBER",
    float: "NUMBER",
    ByteSize: "SIZE",
    Path: "FILE",
    SecretStr: "SECRET",
    tuple: "WORD",
}


def _types(annotation: object) -> tuple[typing.Any, ...]:
    """Return the alternatives of an annotation, without None and without `Annotated`."""
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        return tuple(kind for part in typing.get_args(annotation) for kind in _types(part))
    if typing.get_origin(annotation) is typing.Annotated:
        return _types(typing.get_args(annotation)[0])
    return () if annotation is types.NoneType else (annotation,)


def _metadata(annotation: object) -> tuple[typing.Any, ...]:
    """Return the metadata of all `Annotated` inside an annotation."""
    own = getattr(annotation, "__metadata__", ())
    return (*own, *(item for part in typing.get_args(annotation) for item in _metadata(part)))


def options(settings: type[BaseSettings]) -> Iterator[Option]:
    """Yield all options of a tree, group by group, without those that only a file can contain."""
    prefix = settings.model_config.get("env_prefix", "")
    file_only = getattr(settings, "FILE_ONLY", ())
    for name, field in settings.model_fields.items():
        if name in file_only:
            continue
        if not isinstance(field.default, BaseModel):
            yield Option(prefix, "", name, field, _written(field.get_default()))
            continue
        defaults = field.default.model_dump(mode="json", warnings=False)
        for inner_name, inner in type(field.default).model_fields.items():
            yield Option(prefix, name, inner_name, inner, _written(defaults[inner_name]))


def _written(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ",".join(map(str, value))
    return str(value)
