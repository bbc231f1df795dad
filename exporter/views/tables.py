"""Servers as CSV, JSON and tab-separated lines: the same fields for the servers page and the command `status`."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import msgspec

from exporter.errors import escape_unprintable
from exporter.views.servers import ServerView

RowT = TypeVar("RowT")

Value: TypeAlias = str | int | float | bool | Sequence[str] | None

FIELDS: Final[Mapping[str, Callable[[ServerView], Value]]] = MappingProxyType(
    {
        "account": lambda server: server.account,
        "name": lambda server: server.name,
        "ip": lambda server: server.ip or None,
        "id": lambda server: server.id,
        "state": lambda server: server.state or None,
        "stage": lambda server: server.stage or None,
        "connected": lambda server: server.connected,
        "os_type": lambda server: server.os_type or None,
        "os_version": lambda server: server.os_version or None,
        "enterprise_project_id": lambda server: server.project or None,
        "size_bytes": lambda server: server.size,
        "replicated_bytes": lambda server: server.replicated,
        "replicated_percent": lambda server: server.share,
        "speed_bytes_per_second": lambda server: server.speed,
        "remaining_seconds": lambda server: server.remaining,
        "problems": lambda server: server.problems,
        # Without the parts that are for translations, which JSON cannot contain.
        "problem_details": lambda server: tuple(map(str, server.details)),
        "problem_since_seconds": lambda server: server.since,
    }
)
"""The fields of a server by their names, in their order; times are seconds since the epoch."""

FORMULA_CHARACTERS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
"""A spreadsheet evaluates a cell that begins with one of these; an apostrophe in front makes it text.

The four after `@` are the fullwidth forms of the four before them.
"""

_encode = msgspec.json.Encoder().encode


def write_json(servers: Iterable[ServerView]) -> bytes:
    """Return a JSON array of objects, one per line; unknown values are null."""
    rows = (_encode({name: read(server) for name, read in FIELDS.items()}) for server in servers)
    return b"[\n" + b",\n".join(rows) + b"\n]\n"


def write_csv(servers: Iterable[ServerView]) -> str:
    """Return CSV with a header line; unknown values are empty."""
    return format_csv(FIELDS, servers)


def format_csv(fields: Mapping[str, Callable[[RowT], Value]], rows: Iterable[RowT]) -> str:
    """Return CSV as RFC 4180 describes it, with a header line; unknown values are empty.

    The owner of a server chooses its name, which must not become a formula of a spreadsheet.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(fields)
    writer.writerows([_csv_cell(read(row)) for read in fields.values()] for row in rows)
    return text.getvalue()


def write_tsv(servers: Iterable[ServerView]) -> str:
    """Return tab-separated lines with a header line; a name cannot add columns or lines."""
    return "".join(f"{line}\n" for line in _tsv_lines(servers))


def _tsv_lines(servers: Iterable[ServerView]) -> Iterator[str]:
    yield "\t".join(FIELDS)
    for server in servers:
        yield "\t".join(escape_unprintable(_format(read(server))) for read in FIELDS.values())


def _csv_cell(value: Value) -> str:
    text = _format(value)
    is_formula = not isinstance(value, int | float) and text.startswith(FORMULA_CHARACTERS)
    escaped = escape_unprintable(text)
    return f"'{escaped}" if is_formula else escaped


def _format(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return value
        case int() | float():
            return f"{value:z.15g}"
        case _:
            return "; ".join(value)
