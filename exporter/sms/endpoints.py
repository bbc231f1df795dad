"""The lists of the SMS API that can be read, each declared as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Generic

from exporter.sms.details import MigrationError, MigrationProject, MigrationTask, ProjectServer
from exporter.sms.model import MIGRATION_CYCLES, SOURCE_STATES, RecordT, SourceServer


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[RecordT]):
    """A list of the API: `GET {path}` returns an object with `count` and, under `envelope_key`, one page of records.

    `noun` names the records in messages. `max_page_rows` is the largest `limit` that the API accepts. `filters` are the
    names of the account's filters that this list accepts as query parameters. `splits` are query parameters, with all
    their values, by which a list that is longer than offsets reach can be read in parts.
    """

    path: str
    envelope_key: str
    record_type: type[RecordT]
    noun: str
    max_page_rows: int = 200
    filters: frozenset[str] = frozenset()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


SOURCE_SERVERS: Final = Endpoint(
    path="/v3/sources",
    envelope_key="source_servers",
    record_type=SourceServer,
    noun="source servers",
    filters=frozenset(
        {
            "state",
            "name",
            "id",
            "ip",
            "ipv6",
            "migproject",
            "migration_cycle",
            "connected",
            "enterprise_project_id",
            "is_consistency_result_exist",
            "vm_id",
        },
    ),
    # The documented values only: the API refuses others.
    splits=MappingProxyType({"state": SOURCE_STATES, "migration_cycle": MIGRATION_CYCLES}),
)

MIGRATION_ERRORS: Final = Endpoint(
    path="/v3/errors",
    envelope_key="migration_errors",
    record_type=MigrationError,
    noun="migration errors",
    max_page_rows=100,
    filters=frozenset({"enterprise_project_id"}),
)

MIGRATION_TASKS: Final = Endpoint(
    path="/v3/tasks",
    envelope_key="tasks",
    record_type=MigrationTask,
    noun="tasks",
    filters=frozenset({"enterprise_project_id"}),
)

MIGRATION_PROJECTS: Final = Endpoint(
    path="/v3/migprojects",
    envelope_key="migprojects",
    record_type=MigrationProject,
    noun="migration projects",
    max_page_rows=100,
)

PROJECT_SERVERS: Final = Endpoint(
    path=SOURCE_SERVERS.path,
    envelope_key=SOURCE_SERVERS.envelope_key,
    record_type=ProjectServer,
    noun="source servers of a migration project",
    # Without those whose values change during a migration.
    filters=frozenset({"name", "id", "ip", "ipv6", "enterprise_project_id", "vm_id"}),
    splits=SOURCE_SERVERS.splits,
)
"""The list of source servers of the project that the query parameter `migproject` selects."""
