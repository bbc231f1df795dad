"""The collector `projects`: migration projects, the servers of each, and their progress.

The states and sizes are those of the list of source servers; the projects are read less often.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import fsum
from typing import Final

from exporter.families.family import ONE, READ_AT, SERVER_ID, Collector, Sample, SnapshotFamily
from exporter.polling.projects import ProjectMembers
from exporter.polling.snapshot import OTHER, SPEED_UNITS, Snapshot, documented
from exporter.sms.model import SOURCE_STATES, SourceServer

_PATH: Final = "projects[]"
_ID: Final = f"{_PATH}.id"
_NAME: Final = f"{_PATH}.name"
_STATE_LABELS: Final = {"project_id": _ID, "state": "state"}


def list_projects(snapshot: Snapshot) -> Sequence[ProjectMembers]:
    """Return the projects in the order of the API."""
    details = snapshot.details.get("projects")
    return tuple(details.records.values()) if details else ()


def find_projects(snapshot: Snapshot) -> Mapping[str, ProjectMembers]:
    """Return the project of each server that is in one, by the id of the server; the first one if it is in several."""
    found: dict[str, ProjectMembers] = {}
    for members in reversed(list_projects(snapshot)):
        found.update(dict.fromkeys(members.servers or (), members))
    return found


def _list_infos(snapshot: Snapshot) -> Iterator[Sample]:
    for members in list_projects(snapshot):
        project = members.project
        default = "" if project.isdefault is None else str(project.isdefault).lower()
        labels = (
            default,
            project.enterprise_project or "",
            project.name or "",
            project.id,
            project.region or "",
            project.type or "",
        )
        yield labels, ONE


def _list_speed_limits(snapshot: Snapshot) -> Iterator[Sample]:
    projects = (members.project for members in list_projects(snapshot))
    # 0 is no limit.
    return (((project.id,), project.speed_limit * SPEED_UNITS["mbit"]) for project in projects if project.speed_limit)


def _list_memberships(snapshot: Snapshot) -> Iterator[Sample]:
    projects = find_projects(snapshot)
    for server in snapshot.servers:
        if server.id in projects:
            project = projects[server.id].project
            yield (project.name or "", project.id, server.id), ONE


def _list_by_state(snapshot: Snapshot, summarize: Callable[[Sequence[SourceServer]], float]) -> Iterator[Sample]:
    """Return a number for each project whose servers were read, and each documented state."""
    projects = find_projects(snapshot)
    servers: defaultdict[tuple[str, str], list[SourceServer]] = defaultdict(list)
    for server in snapshot.servers:
        if server.id in projects:
            servers[projects[server.id].project.id, documented(server.state, SOURCE_STATES)].append(server)
    for members in list_projects(snapshot):
        if members.servers is not None:
            for state in (*SOURCE_STATES, OTHER):
                labels = members.project.id, state
                yield labels, summarize(servers.get(labels, ()))


def _count_servers(snapshot: Snapshot) -> Iterator[Sample]:
    return _list_by_state(snapshot, len)


def _sum_sizes(snapshot: Snapshot) -> Iterator[Sample]:
    return _list_by_state(snapshot, lambda servers: fsum(server.totalsize or 0 for server in servers))


def _sum_replicated(snapshot: Snapshot) -> Iterator[Sample]:
    return _list_by_state(snapshot, lambda servers: fsum(server.replicatesize or 0 for server in servers))


PROJECTS: Final = Collector(
    "projects",
    (
        SnapshotFamily(
            "migration_project_info",
            "Migration project, always 1.",
            _list_infos,
            {
                "default": f"{_PATH}.isdefault",
                "enterprise_project": f"{_PATH}.enterprise_project",
                "project": _NAME,
                "project_id": _ID,
                "target_region": f"{_PATH}.region",
                "type": f"{_PATH}.type",
            },
            polled_at=READ_AT,
        ),
        SnapshotFamily(
            "migration_project_speed_limit_bytes_per_second",
            "Speed limit of the migration project; absent if there is none.",
            _list_speed_limits,
            {"project_id": _ID},
            (f"{_PATH}.speed_limit",),
            polled_at=READ_AT,
        ),
        SnapshotFamily(
            "source_server_project_info",
            "Migration project of the source server, always 1.",
            _list_memberships,
            {"project": _NAME, "project_id": _ID, SERVER_ID: "id"},
            polled_at=READ_AT,
        ),
        SnapshotFamily(
            "migration_project_source_servers",
            "Number of source servers of the migration project by state; undocumented states count as other.",
            _count_servers,
            _STATE_LABELS,
        ),
        SnapshotFamily(
            "migration_project_size_bytes",
            "Data to migrate, summed over the source servers of the migration project in each state.",
            _sum_sizes,
            _STATE_LABELS,
            ("totalsize",),
        ),
        SnapshotFamily(
            "migration_project_replicated_bytes",
            "Replicated data, summed over the source servers of the migration project in each state.",
            _sum_replicated,
            _STATE_LABELS,
            ("replicatesize",),
        ),
    ),
)
