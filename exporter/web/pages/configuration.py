"""The current configuration, without its secrets."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, SecretStr

from exporter.settings import AccountSettings, Settings
from exporter.settings.options import options

HIDDEN: Final = "<secret>"
"""Shown instead of a secret that is set."""

_USER: Final = re.compile(r"://.*@")


@dataclass(frozen=True, slots=True)
class Row:
    """One option by the name of its flag. `value` is None if it is not set; `changed` if it is not the default.

    `source` is where the value was set: a flag, a variable, or a line of the file; empty for a default.
    """

    name: str
    value: str | None
    changed: bool
    source: str
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """The exporter's own options, or those of one account."""

    account: str | None
    rows: tuple[Row, ...]


def configuration_view(settings: Settings) -> tuple[Section, ...]:
    """Return the exporter's own options, and then the options of each account."""
    flags = {option.key: option.flag.removeprefix("--") for option in options(type(settings))}
    of_accounts = AccountSettings.model_fields.keys() | {"account", "accounts"}
    names = [name for name in type(settings).model_fields if name not in of_accounts]
    build = _RowBuilder(flags, settings.source)
    sections = [Section(None, tuple(build.rows(settings, names)))]
    for number, account in enumerate(settings.targets()):
        at = ("accounts", number) if settings.accounts else ()
        names = [name for name in type(account).model_fields if name != "name"]
        sections.append(Section(account.name, tuple(build.rows(account, names, at))))
    return tuple(sections)


@dataclass(frozen=True, slots=True)
class _RowBuilder:
    flags: Mapping[str, str]
    source: Callable[..., str]

    def rows(
        self, model: BaseModel, names: Iterable[str], at: tuple[str | int, ...] = (), path: tuple[str, ...] = ()
    ) -> Iterator[Row]:
        """Yield the rows of the named options and groups of `model`, which is the group at `path`."""
        values, fields, serialized = dict(model), type(model).model_fields, model.model_dump(mode="json")
        for name in names:
            value = values[name]
            if isinstance(value, BaseModel):
                yield from self.rows(value, type(value).model_fields, at, (*path, name))
                continue
            yield Row(
                name=self.flags[".".join((*path, name))],
                value=_format_value(value, serialized[name]),
                changed=value != fields[name].get_default(call_default_factory=True, validated_data=values),
                source=self.source(*at, *path, name),
                description=fields[name].description or "",
            )


def _format_value(value: object, serialized: object) -> str | None:
    """Return a value as its option is written; `serialized` is its JSON form."""
    match value:
        case None:
            return None
        case SecretStr():
            return HIDDEN
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(_without_user, map(str, value))) or None
    return _without_user(str(serialized))


def _without_user(text: str) -> str:
    """Replace the user and password of a URL."""
    return _USER.sub(f"://{HIDDEN}@", text)
