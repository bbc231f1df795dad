"""The queries of the lists: every parameter that the reference documents, checked and applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

MAX_OFFSET: Final = 65_535
MAX_TEXT_LENGTH: Final = 255

_DEFAULT_PROJECT: Final = "0"


class BadParameter(ValueError):
    """The API refuses a parameter; the message names it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters of one list: texts, choices with their values, and flags.

    `default_limit` is also the limit that 0 stands for.
    """

    texts: tuple[str, ...] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    flags: tuple[str, ...] = ()
    default_limit: int = 200
    max_limit: int = 200
    is_offset_mandatory: bool = False


SOURCES: Final = Parameters(
    texts=("name", "id", "ip", "ipv6", "migproject", "enterprise_project_id", "vm_id"),
    choices=MappingProxyType({"state": SOURCE_STATES, "migration_cycle": MIGRATION_CYCLES}),
    flags=("connected", "is_consistency_result_exist"),
)
"""The parameters of `GET /v3/sources`."""

TASKS: Final = Parameters(
    texts=("name", "id", "source_server_id", "enterprise_project_id"),
    # Fewer than the states that a task can have.
    choices=MappingProxyType(
        {
            "state": (
                "READY",
                "RUNNING",
                "SYNCING",
                "MIGRATE_SUCCESS",
                "MIGRATE_FAIL",
                "ABORTING",
                "ABORT",
                "DELETING",
                "SYNC_F_ROLLBACKING",
                "SYNC_F_ROLLBACK_SUCCESS",
            )
        }
    ),
    default_limit=100,
)
"""The parameters of `GET /v3/tasks`."""

ERRORS: Final = Parameters(texts=("enterprise_project_id",), default_limit=50, max_limit=100, is_offset_mandatory=True)
"""The parameters of `GET /v3/errors`."""

PROJECTS: Final = Parameters(default_limit=50, max_limit=100)
"""The parameters of `GET /v3/migprojects`."""


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query. `filters` are the values that narrow the list, by parameter; flags are booleans."""

    limit: int
    offset: int = 0
    filters: Mapping[str, str | bool] = field(default_factory=lambda: MappingProxyType({}))

    def matches(self, record: Mapping[str, Any], migproject: str) -> bool:
        """Return whether the record of a server in this migration project matches a query of source servers."""
        return all(
            _value(record, migproject, name) == wanted
            for name, wanted in self.filters.items()
            # If both addresses are given, the API ignores the IPv6 address.
            if not (name == "ipv6" and "ip" in self.filters)
        )


def parse_query(parameters: Mapping[str, str], allowed: Parameters = SOURCES) -> Query:
    """Parse the parameters of a request; unknown and empty ones are ignored. Raise BadParameter."""
    given = {name: value for name, value in parameters.items() if value}
    filters: dict[str, str | bool] = {}
    for name in allowed.texts:
        if name in given:
            filters[name] = _text(name, given[name])
    for name, values in allowed.choices.items():
        if name in given:
            filters[name] = _choice(name, given[name], values)
    for name in allowed.flags:
        if name in given:
            filters[name] = _choice(name, given[name].lower(), ("true", "false")) == "true"
    if allowed.is_offset_mandatory and "offset" not in given:
        raise BadParameter("offset is mandatory")
    return Query(
        limit=_parse_int("limit", given, allowed.max_limit) or allowed.default_limit,
        offset=_parse_int("offset", given, MAX_OFFSET),
        filters=filters,
    )


def _value(record: Mapping[str, Any], migproject: str, name: str) -> object:
    if name == "migproject":
        return migproject
    if name == "vm_id":
        clone = (record.get("current_task") or {}).get("clone_server") or {}
        return clone.get("vm_id")
    if name == "enterprise_project_id":
        return str(record.get(name, _DEFAULT_PROJECT))
    if name == "is_consistency_result_exist":
        return record.get(name, False)
    return record.get(name)


def _text(name: str, value: str) -> str:
    if len(value) > MAX_TEXT_LENGTH:
        raise BadParameter(f"{name} is longer than {MAX_TEXT_LENGTH} characters")
    return value


def _choice(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise BadParameter(f"{name} must be one of {', '.join(allowed)}")
    return value


def _parse_int(name: str, given: Mapping[str, str], largest: int) -> int:
    value = given.get(name, "0")
    if not (value.isascii() and value.isdecimal()) or len(value) > len(str(largest)) or int(value) > largest:
        raise BadParameter(f"{name} must be an integer from 0 to {largest}")
    return int(value)
