"""The options as a list, each with its flag, variable, key and kind of value."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from exporter.settings.kinds import is_list, placeholder


@dataclass(frozen=True)
class Flag:
    """The name of a flag that differs from the key; part of a field's annotation."""

    name: str


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
        """The command-line flag."""
        own = next((item.name for item in self.field.metadata if isinstance(item, Flag)), None)
        return f"--{own or self.key.replace('_', '-')}"

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
    def placeholder(self) -> str:
        """The placeholder of the value, such as DURATION, or its choices; empty for a switch."""
        return placeholder(self.field)

    @property
    def is_list(self) -> bool:
        """Whether the option has several values, so that its flag can be repeated."""
        return is_list(self.field)


def options(settings: type[BaseSettings]) -> Iterator[Option]:
    """Yield all options of a tree, group by group, without those that only a file can contain."""
    prefix = settings.model_config.get("env_prefix", "")
    file_only = getattr(settings, "FILE_ONLY", ())
    for name, field in settings.model_fields.items():
        if name in file_only:
            continue
        if not isinstance(field.default, BaseModel):
            yield Option(prefix, "", name, field, _format_default(field.get_default()))
            continue
        defaults: dict[str, Any] = field.default.model_dump(mode="json", warnings=False)
        for inner_name, inner in type(field.default).model_fields.items():
            default = "" if inner.default_factory else _format_default(defaults[inner_name])
            yield Option(prefix, name, inner_name, inner, default)


def _format_default(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ",".join(map(str, value))
    return str(value)
