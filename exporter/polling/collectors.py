"""What the collectors that need more than the list of source servers read: one function per collector.

A function gets a client, the account's snapshot (None before the first complete poll) and the records of the last
reading. It returns the new records, or raises the PollError because of which there are none.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from exporter.language import Translatable
from exporter.polling.consistency import Verification, read_consistency
from exporter.polling.detail_client import DetailClient, DetailReading
from exporter.polling.events import log_missing_addresses, log_server_errors, log_unread_projects
from exporter.polling.projects import ProjectMembers, read_projects
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from exporter.sms.details import MigrationError, MigrationTask, index_errors, index_tasks
from exporter.sms.endpoints import MIGRATION_ERRORS, MIGRATION_TASKS

ReadDetails: TypeAlias = Callable[
    [DetailClient, Snapshot | None, Mapping[str, Any]], Coroutine[Any, Any, DetailReading]
]


@dataclass(frozen=True, slots=True)
class DetailCollector:
    """How a collector reads its data, the type of its records, and the IAM action that it needs.

    `log_news` logs what a new snapshot has of it; its last argument remembers what has been logged.
    """

    read: ReadDetails
    record_type: type
    action: str
    log_news: Callable[[Account, Snapshot, set[tuple[str, str]]], None] = lambda *_: None

    def hint(self, collector: str) -> Translatable:
        """Return what to do if the permission is missing."""
        return Translatable(
            "grant the IAM action %(action)s (with roles: sms:server:queryServer) to this user, or turn off %(option)s",
            action=self.action,
            option=f"collector.{collector.replace('_', '-')}",
        )


async def _read_errors(client: DetailClient, _: Snapshot | None, __: Mapping[str, Any]) -> DetailReading:
    return DetailReading(index_errors((await client.read_list(MIGRATION_ERRORS)).records))


async def _read_tasks(client: DetailClient, _: Snapshot | None, __: Mapping[str, Any]) -> DetailReading:
    return DetailReading(index_tasks((await client.read_list(MIGRATION_TASKS)).records))


DETAIL_COLLECTORS: Final[Mapping[str, DetailCollector]] = MappingProxyType(
    {
        "errors": DetailCollector(_read_errors, MigrationError, "sms:server:listErrors", log_server_errors),
        "task_details": DetailCollector(_read_tasks, MigrationTask, "sms:server:listTask", log_missing_addresses),
        "consistency": DetailCollector(read_consistency, Verification, "sms:server:getConsistencyCheckResult"),
        "projects": DetailCollector(read_projects, ProjectMembers, "sms:migproject:list", log_unread_projects),
    }
)
"""The collectors by name."""
