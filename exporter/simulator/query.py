"""The query of `GET /v3/sources`: every parameter of the reference's Table 1, checked and applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES

DEFAULT_LIMIT: Final = 200
LARGEST_LIMIT: Final = 200
LARGEST_OFFSET: Final = 65_535
LONGEST_TEXT: Final = 255

_TEXTS: Final = ("name", "id", "ip", "ipv6", "migproject", "enterprise_project_id", "vm_id")
_FLAGS: Final = ("connected", "is_consistency_result_exist")
_DEFAULT_PROJECT: Final = "0"


class BadParameter(ValueError):
    """A parameter that the API refuses; the message names it."""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query. `filters` holds what narrows the list, by parameter, with flags as booleans."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    filters: Mapping[str, str | bool] = field(default_factory=lambda: MappingProxyType({}))

    def matches(self, record: Mapping[str, Any], migproject: str) -> bool:
        """Tell whether a record, of a server in that migration project, is asked for."""
        return all(
            _value(record, migproject, name) == wanted
            for name, wanted in self.filters.items()
            # An IP address is preferred to an IPv6 address where both are given.
            if not (name == "ipv6" and "ip" in self.filters)
        )


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Read the parameters of a request; unknown and empty ones are ignored. Raises BadParameter."""
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
        limit=_whole("limit", given, LARGEST_LIMIT) or DEFAULT_LIMIT,
        offset=_whole("offset", given, LARGEST_OFFSET),
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
    if len(value) > LONGEST_TEXT:
        raise BadParameter(f"{name} is longer than {LONGEST_TEXT} characters")
    return value


def _choice(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise BadParameter(f"{name} must be one of {', '.join(allowed)}")
    return value


def _whole(name: str, given: Mapping[str, str], largest: int) -> int:
    value = given.get(name, "0")
    if not (value.isascii() and value.isdecimal()) or len(value) > len(str(largest)) or int(value) > largest:
        raise BadParameter(f"{name} must be an integer from 0 to {largest}")
    return int(value)
