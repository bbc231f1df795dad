"""The query of `GET /v3/sources`: every parameter of the reference's Table 1, checked and applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 200
MAX_OFFSET: Final = 65_535
MAX_TEXT_LENGTH: Final = 255

_TEXTS: Final = ("name", "id", "ip", "ipv6", "migproject", "enterprise_project_id", "vm_id")
_FLAGS: Final = ("connected", "is_consistency_result_exist")
_DEFAULT_PROJECT: Final = "0"


class BadParameter(ValueError):
    """The API refuses a parameter; the message names it."""


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query. `filters` are the values that narrow the list, by parameter; flags are booleans."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    filters: Mapping[str, str | bool] = field(default_factory=lambda: MappingProxyType({}))

    def matches(self, record: Mapping[str, Any], migproject: str) -> bool:
        """Return whether the record of a server in this migration project matches the query."""
        return all(
            _value(record, migproject, name) == wanted
            for name, wanted in self.filters.items()
            # If both addresses are given, the API ignores the IPv6 address.
            if not (name == "ipv6" and "ip" in self.filters)
        )


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Parse the parameters of a request; unknown and empty ones are ignored. Raise BadParameter."""
    given = {name: value for name, value in parameters.items() if value}
    filters: dict[str, str | bool] = {}
    for name in _TEXTS:
        if name in given:
            filters[name] = _text(name, given[name])
    for name, allowed in (("state", SOURCE_STATES), ("migration_cycle", MIGRATION_CYCLES)):
        if name in given:
            filters[name] = _choice(name, given[name], allowed)
    for name in _FLAGS:
        if name in given:
            filters[name] = _choice(name, given[name].lower(), ("true", "false")) == "true"
    return Query(
        limit=_parse_int("limit", given, MAX_LIMIT) or DEFAULT_LIMIT,
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
