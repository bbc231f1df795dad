"""Trees of options, and their options as a list, each with its flag, variable, key and kind of value."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, PrivateAttr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.settings.document import Location
from exporter.settings.kinds import is_list, placeholder


@dataclass(frozen=True)
class Trace:
    """Where values come from: a function that returns the source of one, and the digest of the configuration file.

    The source is empty for a default, the digest if there is no file. Equal values from different sources are equal
    settings.
    """

    source: Callable[[Location], str] = field(default=lambda _: "", compare=False)
    file_digest: str = field(default="", compare=False)


class Tree(BaseSettings):
    """The options of a command, in groups. It remembers where their values were set."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    FILE_ONLY: ClassVar[tuple[str, ...]] = ()
    """Groups that only the configuration file can contain."""
    MOST_USED: ClassVar[tuple[str, ...]] = ()
    """Keys of the options that are listed first in the help."""

    _trace: Trace = PrivateAttr(default=Trace())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return only the values that `loading` collected: it names the source of each value in errors."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def trace(self, trace: Trace) -> None:
        """Remember where the values were set."""
        self._trace = trace

    @property
    def file_digest(self) -> str:
        """The digest of the configuration file that was read; empty if there is none."""
        return self._trace.file_digest

    def source(self, *location: str | int) -> str:
        """Return where the value at a location was set: a flag, a variable, or a line of the file; empty if nowhere."""
        return self._trace.source(location)


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


def options(tree: type[Tree]) -> Iterator[Option]:
    """Yield all options of a tree, group by group, without those that only a file can contain."""
    prefix = tree.model_config.get("env_prefix", "")
    for name, info in tree.model_fields.items():
        if name in tree.FILE_ONLY:
            continue
        if not isinstance(info.default, BaseModel):
            yield Option(prefix, "", name, info, _format_default(info.get_default()))
            continue
        defaults: dict[str, Any] = info.default.model_dump(mode="json")
        for inner_name, inner in type(info.default).model_fields.items():
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
