"""The record of finished and failed migrations of several accounts, for its page and as CSV."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.polling.migrations import Migration
from exporter.polling.state import Account
from exporter.views.tables import Value, format_csv

RESULTS: Final = ("finished", "failed")


@dataclass(frozen=True, slots=True)
class EndedMigration:
    """A migration and its account."""

    account: str
    migration: Migration


FIELDS: Final[Mapping[str, Callable[[EndedMigration], Value]]] = MappingProxyType(
    {
        "account": lambda row: row.account,
        "name": lambda row: row.migration.name,
        "ip": lambda row: row.migration.ip or None,
        "id": lambda row: row.migration.server_id,
        "task_id": lambda row: row.migration.task_id or None,
        "result": lambda row: row.migration.result,
        "error_code": lambda row: row.migration.error_code or None,
        "start_seconds": lambda row: row.migration.started_at,
        "end_seconds": lambda row: row.migration.ended_at,
        "duration_seconds": lambda row: row.migration.duration,
        "size_bytes": lambda row: row.migration.size,
        "replicated_bytes": lambda row: row.migration.replicated,
    }
)
"""The fields of a row of CSV by their names; times are seconds since the epoch."""


def list_ended_migrations(accounts: Iterable[Account], result: str | None = None) -> Sequence[EndedMigration]:
    """Return the recorded migrations of the accounts, all or those with a result; the last one to end is first."""
    rows = [
        EndedMigration(account.name, migration)
        for account in accounts
        for migration in account.state.migrations or ()
        if result in {None, migration.result}
    ]
    return sorted(rows, key=lambda row: row.migration.ended_at, reverse=True)


def write_migrations_csv(rows: Iterable[EndedMigration]) -> str:
    """Return CSV with a header line; unknown values are empty."""
    return format_csv(FIELDS, rows)
