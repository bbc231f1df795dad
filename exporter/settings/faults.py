"""Validation errors in our own words: one line each, with the source, the value and what is allowed."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from exporter.errors import ConfigurationError, mask_credentials
from exporter.settings.document import Location
from exporter.settings.kinds import describe, get_model, has_secrets, is_list, is_secret, suggest
from exporter.settings.quantities import format_duration

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_SHOWN_CHARACTERS: Final = 200
MAX_LINES: Final = 20

_NAME: Final = re.compile(r"[\w.-]*")


class Contradiction(ValueError):
    """Options that do not fit together. Each `{}` in the message stands for a field, named by its path in the group."""

    def __init__(self, message: str, *fields: str) -> None:
        super().__init__(message.format(*fields))
        self.message = message
        self.fields = fields


def validate(build: Callable[[], ModelT], model: type[BaseModel], source: Callable[[Location], str]) -> ModelT:
    """Return what `build` returns. Raise ConfigurationError, with a line for each error that it finds in `model`."""
    try:
        return build()
    except ValidationError as error:
        # An account that inherits a wrong value repeats its line.
        lines = tuple(dict.fromkeys(explain(error, model, source)))
    # Not in the handler: pydantic's error as the context could be part of a cycle that the garbage collector does not
    # see, so that each failed reload would stay in memory.
    raise ConfigurationError(lines)


def explain(error: ValidationError, model: type[BaseModel], source: Callable[[Location], str]) -> Iterator[str]:
    """Yield a line for each error in `model`. `source` returns where the value at a location was set."""
    # A default that depends on a wrong value is not an error of its own.
    faults = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
    for fault in faults[:MAX_LINES]:
        yield _explain(fault, model, source)
    if len(faults) > MAX_LINES:
        yield f"and {len(faults) - MAX_LINES} more errors"


def format_location(location: Location) -> str:
    """Return a location as it is written in messages, such as `accounts[0].api.region`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def format_safely(location: Location, model: type[BaseModel]) -> str:
    """Return a location in `model` for a message, without an unknown key that can be or contain a secret.

    If a space is missing after a colon, the value is a part of the key.
    """
    for length, part in enumerate(location):
        owner, field = _find(model, location[:length])
        if isinstance(part, int) or part in owner.model_fields:
            continue
        is_hidden = is_secret(field) if field else has_secrets(owner) or find_contained(part, find_secret_names(model))
        shown = "" if is_hidden else cut_name(part)
        return format_location((*location[:length], shown) if shown else location[:length])
    return format_location(location)


def cut_name(name: str) -> str:
    """Return the beginning of an unknown name, without what follows the first character that no name contains."""
    return _NAME.match(name).group()  # type: ignore[union-attr]  # matches any text


def find_secret_names(model: type[BaseModel]) -> set[str]:
    """Return the names of the fields of a model that hold secrets, and of the groups of such fields."""
    names = set()
    for name, field in model.model_fields.items():
        if group := get_model(field):
            names |= find_secret_names(group) | ({name} if has_secrets(group) else set())
        elif is_secret(field):
            names.add(name)
    return names


def find_contained(name: str, secret_names: Iterable[str]) -> str:
    """Return a secret name that an unknown key, variable or flag contains; empty if there is none.

    The rest of it can be the secret.
    """
    plain = re.sub(r"[-.]", "_", name).casefold()
    return next((secret for secret in sorted(secret_names) if secret in plain), "")


def show(value: object) -> str:
    """Return a value for a message: shortened, without what can be secret in a URL, and never of several lines."""
    match value:
        case None:
            return "null"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case str() if "\n" in value:
            return "a text of several lines"
        case str() | Path():
            text = repr(mask_credentials(str(value)))
        case _:
            text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def suggest_name(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a question for the known name that is nearest; empty if none is near. All of them have the prefix."""
    near = find_near_name(name.removeprefix(prefix), (other.removeprefix(prefix) for other in known))
    return f"; did you mean {prefix}{near}?" if near else ""


def find_near_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that is nearest; empty if none is near."""
    return next(iter(difflib.get_close_matches(name, list(known), cutoff=0.75)), "")


def _explain(fault: Any, model: type[BaseModel], source: Callable[[Location], str]) -> str:  # noqa: ANN401 - ErrorDetails
    location: Location = fault["loc"]
    owner, field = _find(model, location)
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, Contradiction):
        first, *others = (source((*location, *name.split("."))) for name in cause.fields)
        place = f"{first.rpartition(': ')[0]}: "
        return cause.message.format(first, *(other.removeprefix(place) for other in others))
    if fault["type"] == "extra_forbidden":
        return f"{source(location)}: no such key{suggest_field(location, owner)}"
    if fault["type"] == "missing":
        return f"{source(location)}: is required"
    if field is None:
        group = f"write a group of options: {', '.join(owner.model_fields)}"
        message = str(cause or group)
        return f"{source(location)}: {message}" if location else message
    value = fault["input"]
    # The message of a validator of several values names the wrong one.
    is_shown = not is_secret(field) and not (cause and (is_list(field) or isinstance(value, list | tuple | dict)))
    given = f"given {format_duration(value) if isinstance(value, float) else show(value)}: " if is_shown else ""
    allowed = "text" if fault["type"] == "string_type" else describe(field)  # An item of a list can be wrong.
    meant = suggest(value, field)
    return f"{source(location)}: {given}{cause or f'write {allowed}'}{f'; did you mean {meant}?' if meant else ''}"


def _find(model: type[BaseModel], location: Location) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost group at a location, and its field; None if the location is the group itself."""
    owner, field = model, None
    for part in location:
        if isinstance(part, int):
            continue
        if part not in owner.model_fields:
            return owner, field
        field = owner.model_fields[part]
        if inner := get_model(field):
            owner, field = inner, None
    return owner, field


def suggest_field(location: Location, owner: type[BaseModel]) -> str:
    """Return what to write instead of a key that `owner` does not have, as the end of a sentence."""
    name, path = str(location[-1]), format_location(location[:-1])
    known, separator = re.match(r"([\w.-]*)\s*(\W?)", name).groups()  # type: ignore[union-attr]  # matches any text
    if known in owner.model_fields and separator:
        where = "a space is missing after the colon of" if separator == ":" else "a colon and a space are missing after"
        return f"; {where} {known}"
    if "." in name:
        group, _, key = name.partition(".")
        if (field := owner.model_fields.get(group)) and (inner := get_model(field)) and key in inner.model_fields:
            return f"; write {group}: {{{key}: …}}"
    near = difflib.get_close_matches(name.replace("-", "_"), owner.model_fields)
    if near:
        return f"; did you mean {f'{path}.' if path else ''}{near[0]}?"
    return f"; the keys here are {', '.join(owner.model_fields)}"
