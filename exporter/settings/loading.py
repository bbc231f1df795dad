"""How options are read: flags take precedence over variables, variables over the file, the file over defaults.

An invalid configuration raises ConfigurationError with one line per error: where the value was set, the option, the
value, and what is allowed.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from exporter.errors import ConfigurationError, HelpRequested
from exporter.settings.document import Document, Location
from exporter.settings.faults import (
    find_contained,
    find_secret_names,
    format_location,
    format_safely,
    suggest_field,
    suggest_name,
    validate,
)
from exporter.settings.files import read_regular_file
from exporter.settings.flags import parse_flags
from exporter.settings.kinds import get_model, is_list
from exporter.settings.manual import Manual, help_text
from exporter.settings.options import Option, Trace, Tree, options

S = TypeVar("S", bound=Tree)

_SERVICE_LINK_NAME: Final = re.compile(
    r".*SERVICE_(HOST|PORT(_.+)?)|(.+_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_SERVICE_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://.+")


def load_settings(tree: type[S], argv: Sequence[str], manual: Manual) -> S:
    """Read the options of `tree`. Raise ConfigurationError.

    Raise HelpRequested for `--help`.
    """
    if {"-h", "--help"}.intersection(argv):
        raise HelpRequested(help_text(manual, tree, shutil.get_terminal_size().columns))
    sources = read_sources(tree, argv, os.environ)
    settings = validate(lambda: tree.model_validate(sources.merge()), tree, sources.locate)
    settings.trace(Trace(sources.describe, sources.document.digest))
    return settings


@dataclass(frozen=True)
class Sources:
    """The values that flags and variables set, by key, and the content of the configuration file."""

    tree: type[BaseModel]
    known: Mapping[str, Option]
    flags: Mapping[str, str | list[str]]
    variables: Mapping[str, str]
    path: str = ""
    document: Document = field(default_factory=lambda: Document({}))

    def merge(self) -> dict[str, Any]:
        """Return the values as a tree."""
        merged = {
            name: dict(value) if isinstance(value, dict) else value for name, value in self.document.content.items()
        }
        for key, value in {**self.variables, **self.flags}.items():
            option = self.known[key]
            group = merged.setdefault(option.group, {}) if option.group else merged
            group[option.name] = value
        return merged

    def locate(self, location: Location) -> str:
        """Return where the value at a location was set, with the option: a flag, a variable, or a line of the file."""
        if isinstance(location[-1], int) and location[0] != "accounts":
            location = location[:-1]  # An item of a list.
        source, origin = self._find(location)
        if source:
            return ": ".join(filter(None, (source, format_safely(origin, self.tree) if origin else "")))
        key = format_location(location)
        if location[0] == "accounts":
            return f"{self.path} line {self.document.line(location[:2])}: {key}"
        return self.known[key].flag if key in self.known else key

    def describe(self, location: Location) -> str:
        """Return where the value at a location was set: a flag, a variable, or a line of the file. Empty if nowhere."""
        return self._find(location)[0]

    def _find(self, location: Location) -> tuple[str, Location]:
        """Return where a value was set, and its location in the file: an account can inherit it. Both can be empty."""
        key = format_location(location)
        if key in self.flags:
            return self.known[key].flag, ()
        if key in self.variables:
            return self.known[key].variable, ()
        if (line := self.document.line(location)) is not None:
            return f"{self.path} line {line}", location
        inherited = location[2:] if location[0] == "accounts" else ()
        return self._find(inherited) if inherited else ("", ())


def read_sources(tree: type[Tree], argv: Sequence[str], environ: Mapping[str, str]) -> Sources:
    """Read the flags, the variables, and the configuration file that one of them names. Raise ConfigurationError."""
    known = {option.key: option for option in options(tree)}
    flags = parse_flags(argv, tuple(known.values()))
    variables = _read_variables(environ, tuple(known.values()), tree)
    sources = Sources(tree, known, flags, variables)
    path = flags.get("config.file") or variables.get("config.file")
    if not isinstance(path, str):
        return sources
    from exporter.settings.strict_yaml import read_yaml

    document = read_yaml(Path(path), sources.locate(("config", "file")))
    return Sources(tree, known, flags, variables, path, _check_shape(tree, document, path))


def read_digest(path: Path | None) -> str:
    """Return the digest of a configuration file as it is now. Raise OSError if it cannot be read."""
    from exporter.settings.strict_yaml import MAX_FILE_BYTES, get_digest

    return get_digest(read_regular_file(path, MAX_FILE_BYTES)) if path else ""


def _read_variables(environ: Mapping[str, str], known: Sequence[Option], tree: type[Tree]) -> dict[str, str]:
    """Return the values of variables by the key of their option; an empty variable is not set."""
    by_variable = {option.variable: option for option in known}
    prefix = tree.model_config.get("env_prefix", "")
    values = {}
    for name, value in environ.items():
        if not value or not name.upper().startswith(prefix):
            continue
        if option := by_variable.get(name.upper()):
            values[option.key] = value
        elif not _is_service_link(name.upper().removeprefix(prefix), value):
            # A mistake in the shell can make a secret a part of the name.
            secret = find_contained(name[len(prefix) :], find_secret_names(tree))
            shown = f"a variable with {secret.upper()} in its name" if secret else name
            raise ConfigurationError([f"{shown}: no such option{suggest_name(name.upper(), by_variable, prefix)}"])
    return values


def _is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes sets this variable for a Service whose name begins like the variables of options."""
    return bool(_SERVICE_LINK_NAME.fullmatch(name)) or (
        name.endswith("PORT") and bool(_SERVICE_LINK_VALUE.match(value))
    )


def _check_shape(tree: type[BaseModel], document: Document, path: str) -> Document:
    """Return the document without blank groups: those whose options are all comments.

    Raise ConfigurationError for a group that is not a mapping and for a blank option: the other sources would
    silently replace them.
    """
    shape = _Shape(document, path)
    content = shape.check(document.content, tree, ())
    if shape.lines:
        raise ConfigurationError(shape.lines)
    return replace(document, content=content)


class _Shape:
    """The problems of a document's shape, found before any value is validated."""

    def __init__(self, document: Document, path: str) -> None:
        self._document = document
        self._path = path
        self.lines: list[str] = []

    def check(self, content: dict[str, Any], model: type[BaseModel], location: Location) -> dict[str, Any]:
        """Return a group without blank groups inside."""
        kept = {}
        for name, value in content.items():
            field = model.model_fields.get(name)
            group = get_model(field) if field else None
            if field is None or group is None:
                self._check_option((*location, name), value, model, is_known=field is not None)
                kept[name] = value
            elif value not in ("", None):
                kept[name] = self._check_group((*location, name), value, group, several=is_list(field))
        return kept

    def _check_option(self, location: Location, value: object, model: type[BaseModel], *, is_known: bool) -> None:
        if str(location[0]).startswith("_"):  # Not left to pydantic-settings, which has parameters with such names.
            self._report(location, f"no such key{suggest_field(location, model)}")
        elif location == ("config", "file"):
            self._report(location, "set it with --config.file: this file has been found already")
        elif value == "" and is_known:
            self._report(location, "is empty: write a value, or remove the key")

    def _check_group(self, location: Location, value: Any, group: type[BaseModel], *, several: bool) -> Any:  # noqa: ANN401 - a tree
        if several and isinstance(value, list):
            items = enumerate(value)
            return [self.check(item, group, (*location, at)) if isinstance(item, dict) else item for at, item in items]
        if isinstance(value, dict) and not several:
            return self.check(value, group, location)
        what = "a list of groups" if several else "a group"
        self._report(location, f"write {what} of options: {', '.join(group.model_fields)}")
        return None

    def _report(self, location: Location, problem: str) -> None:
        line = self._document.line(location)
        self.lines.append(f"{self._path} line {line}: {format_location(location)}: {problem}")
