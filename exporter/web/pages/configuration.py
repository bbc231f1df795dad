"""The configuration in force, without its secrets."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ByteSize, SecretStr

from exporter.settings import AccountSettings, Settings
from exporter.settings.options import options

HIDDEN: Final = "<secret>"
"""Stands for a secret that is given."""

_USER: Final = re.compile(r"://.*@")


@dataclass(frozen=True, slots=True)
class Row:
    """One option, called as its flag: `value` as written, None where not given; `changed` from its default."""

    name: str
    value: str | None
    changed: bool
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """The exporter's own options, or those of one account."""

    account: str | None
    rows: tuple[Row, ...]


def configuration_view(settings: Settings) -> tuple[Section, ...]:
    """Give the exporter's options and then, account by account, those that each is polled with."""
    flags = {option.key: option.flag.removeprefix("--") for option in options(type(settings))}
    of_accounts = AccountSettings.model_fields.keys() | {"account", "accounts"}
    names = [name for name in type(settings).model_fields if name not in of_accounts]
    sections = [Section(None, tuple(row for name in names for row in _rows(settings, name, flags)))]
    for account in settings.targets():
        names = [name for name in type(account).model_fields if name != "name"]
        sections.append(Section(account.name, tuple(row for name in names for row in _rows(account, name, flags))))
    return tuple(sections)


def _rows(model: BaseModel, name: str, flags: Mapping[str, str], prefix: str = "") -> Iterator[Row]:
    field = type(model).model_fields[name]
    value = getattr(model, name)
    key = f"{prefix}{name}"
    if isinstance(value, BaseModel):
        for inner in type(value).model_fields:
            yield from _rows(value, inner, flags, f"{key}.")
        return
    written = model.model_dump(mode="json", include={name})[name]
    yield Row(flags[key], _shown(value, written), value != field.get_default(), field.description or "")


def _shown(value: object, written: object) -> str | None:
    """Write a value as its option takes it; `written` is its serialised form."""
    match value:
        case None:
            return None
        case SecretStr():
            return HIDDEN
        case ByteSize():
            return value.human_readable()
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(_without_user, map(str, value))) or None
    return _without_user(str(written))


def _without_user(text: str) -> str:
    """Leave out user and password of a URL."""
    return _USER.sub(f"://{HIDDEN}@", text)
