"""Reads the migration projects and the servers of each: one filtered list of source servers per project.

A source server does not have the id of its project; only the filter of the list knows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.polling.detail_client import DetailClient, DetailReading
from exporter.polling.snapshot import Snapshot
from exporter.sms.details import MigrationProject
from exporter.sms.endpoints import MIGRATION_PROJECTS, PROJECT_SERVERS

MAX_PROJECTS: Final = 50
"""Maximum number of projects whose servers are read."""

FILTER: Final = "migproject"


@dataclass(frozen=True, slots=True)
class ProjectMembers:
    """A project and the ids of its servers; None if they were not read."""

    project: MigrationProject
    servers: frozenset[str] | None


async def read_projects(client: DetailClient, _: Snapshot | None, __: Mapping[str, Any]) -> DetailReading:
    """Return the projects by id, with the servers of at most MAX_PROJECTS of them.

    If the account's filters select one project, only its servers are read.
    """
    projects = (await client.read_list(MIGRATION_PROJECTS)).records
    selected = client.filters.get(FILTER)
    candidates = [project for project in projects if selected in {None, project.id}]
    # The API may say that a project is empty.
    candidates.sort(key=lambda project: project.exist_server is False)
    servers = {}
    for project in candidates[:MAX_PROJECTS]:
        listing = await client.read_list(PROJECT_SERVERS, {FILTER: project.id})
        servers[project.id] = frozenset(server.id for server in listing.records)
    return DetailReading({project.id: ProjectMembers(project, servers.get(project.id)) for project in projects})
