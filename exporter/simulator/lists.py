"""The further lists of the SMS API: tasks, errors, migration projects, consistency results and the overview."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.simulator.authentication import (
    LIST_ERRORS,
    LIST_PROJECTS,
    LIST_TASKS,
    SHOW_CONSISTENCY,
    SHOW_OVERVIEW,
    SHOW_TASK,
    Authenticator,
)
from exporter.simulator.details import (
    ConsistencyShape,
    Migration,
    build_consistency_result,
    build_error,
    build_task,
    build_task_details,
)
from exporter.simulator.errors import gateway_error
from exporter.simulator.fleet import Fleet, Selection
from exporter.simulator.injection import APPLIED_FAULTS
from exporter.simulator.inventory import MIGRATION_PROJECTS
from exporter.simulator.pages import Rows, build_page
from exporter.simulator.query import ERRORS, PROJECTS, TASKS, Parameters, Query
from exporter.simulator.sources import Offsets, read_query

NO_TASK: Final = "SMS.7606"
OVERVIEW_STATES: Final = (
    "waiting",
    "replicate",
    "syncing",
    "stopped",
    "deleting",
    "cutovering",
    "unavailable",
    "stopping",
    "skipping",
    "finished",
    "initialize",
    "error",
    "cloning",
)
"""The states that the overview counts: fewer than a source server can have."""
EMPTY_PROJECT: Final = ("9d405f61-8e72-4091-82a3-c4d5e6f70804", "wave-3")
"""The id and the name of a migration project without servers."""

_LIST_SECONDS: Final = 60.0
"""How long the rows of a list are kept for its later pages."""
_MAX_LISTS: Final = 20

_encode: Final = msgspec.json.Encoder().encode


class _Tasks:
    """The tasks of a selection; they are built for one page at a time."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def __len__(self) -> int:
        return len(self._selection)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [build_task(migration) for migration in self._selection.migrations(start, stop)]


class _Built:
    """Rows that are built already."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return list(self._rows[start:stop])


class Lists:
    """Serves the further lists of a fleet to authenticated clients.

    `consistency` is the shape of all consistency results; without it, each task has one of the published shapes.
    """

    def __init__(
        self,
        fleet: Fleet,
        authenticator: Authenticator,
        offsets: Offsets,
        consistency: ConsistencyShape | None,
    ) -> None:
        self._fleet = fleet
        self._authenticator = authenticator
        self._offsets = offsets
        self._consistency = consistency
        self._lists: dict[object, tuple[float, Rows]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the lists."""
        return [
            web.get("/v3/sources/overview", self.show_overview),
            web.get("/v3/tasks", self.list_tasks),
            web.get("/v3/tasks/{id}", self.show_task),
            web.get("/v3/tasks/{id}/consistency-result", self.show_consistency_result),
            web.get("/v3/errors", self.list_errors),
            web.get("/v3/migprojects", self.list_projects),
        ]

    async def list_tasks(self, request: web.Request) -> web.Response:
        """Return one page of the tasks."""
        query = await self._read(request, LIST_TASKS, TASKS)
        return self._page(request, query, "tasks", self._build_tasks)

    async def show_task(self, request: web.Request) -> web.Response:
        """Return the details of one task. Raise ErrorResponse 404 if it does not exist."""
        await self._authenticator.authorize(request, SHOW_TASK)
        return _json(build_task_details(self._find(request)))

    async def list_errors(self, request: web.Request) -> web.Response:
        """Return one page of the errors of source servers."""
        query = await self._read(request, LIST_ERRORS, ERRORS)
        return self._page(request, query, "migration_errors", self._build_errors)

    async def list_projects(self, request: web.Request) -> web.Response:
        """Return one page of the migration projects."""
        query = await self._read(request, LIST_PROJECTS, PROJECTS)
        return self._page(request, query, "migprojects", self._build_projects)

    async def show_consistency_result(self, request: web.Request) -> web.Response:
        """Return the result of a task's consistency verification. Raise ErrorResponse 404 if there is no such task."""
        await self._authenticator.authorize(request, SHOW_CONSISTENCY)
        return _json(build_consistency_result(self._find(request), self._consistency))

    async def show_overview(self, request: web.Request) -> web.Response:
        """Return the number of source servers in some states."""
        await self._authenticator.authorize(request, SHOW_OVERVIEW)
        servers = self._fleet.records()
        states = Counter(record.get("state") for record in servers)
        unconfigured = sum(record.get("state") == "waiting" and not record.get("current_task") for record in servers)
        return _json({**{state: states[state] for state in OVERVIEW_STATES}, "unconfigured": unconfigured})

    async def _read(self, request: web.Request, action: str, parameters: Parameters) -> Query:
        await self._authenticator.authorize(request, action)
        return read_query(request, parameters)

    def _build_tasks(self, query: Query) -> Rows:
        tasks = _Tasks(self._fleet.with_tasks())
        if not query.filters:
            return tasks
        return _Built([row for row in tasks.rows(0, len(tasks)) if _matches(row, query)])

    def _build_errors(self, query: Query) -> Rows:
        failed = (each for each in self._fleet.select().migrations() if each.record.get("state") == "error")
        wanted = query.filters.get("enterprise_project_id")
        return _Built(
            [
                build_error(each)
                for each in failed
                if wanted in {None, str(each.record.get("enterprise_project_id", "0"))}
            ]
        )

    def _build_projects(self, _: Query) -> Rows:
        used = self._fleet.projects()
        names = {**MIGRATION_PROJECTS, EMPTY_PROJECT[0]: EMPTY_PROJECT[1]}
        return _Built(
            [_project(number, each, name, used=each in used) for number, (each, name) in enumerate(names.items())]
        )

    def _page(self, request: web.Request, query: Query, key: str, build: Callable[[Query], Rows]) -> web.Response:
        start = query.offset * (query.limit if self._offsets == "pages" else 1)
        faults = request[APPLIED_FAULTS]
        page = build_page(self._rows(request.path, query, build), start, query.limit, faults)
        return _json({"count": page.count, key: page.rows})

    def _rows(self, path: str, query: Query, build: Callable[[Query], Rows]) -> Rows:
        """Return the rows of a list: for the first page as they are now, for later ones as for the first.

        The fleet changes much faster than a real one. The pages of a long list would otherwise never fit together.
        """
        key = (path, frozenset(query.filters.items()))
        now = self._fleet.now()
        built_at, rows = self._lists.get(key, (now, None))
        if rows is None or query.offset == 0 or now - built_at > _LIST_SECONDS:
            rows = build(query)
            if len(self._lists) >= _MAX_LISTS:
                self._lists.clear()
            self._lists[key] = (now, rows)
        return rows

    def _find(self, request: web.Request) -> Migration:
        migration = self._fleet.find_task(request.match_info["id"])
        if migration is None:
            raise gateway_error(HTTPStatus.NOT_FOUND, NO_TASK, "The task does not exist.")
        return migration


def _matches(row: Mapping[str, Any], query: Query) -> bool:
    values = {**row, "source_server_id": row["source_server"]["id"]}
    return all(values[name] == wanted for name, wanted in query.filters.items())


def _project(number: int, project_id: str, name: str, *, used: bool) -> dict[str, Any]:
    return {
        "id": project_id,
        "name": name,
        "use_public_ip": number != 1,
        "isdefault": number == 0,
        "start_target_server": True,
        "region": "cn-north-4",
        "speed_limit": (0, 200, 500, 0)[number],
        "exist_server": used,
        "description": "",
        "type": "MIGRATE_BLOCK" if number % 2 else "MIGRATE_FILE",
        "enterprise_project": "default",
        "syncing": True,
        "start_network_check": number == 1,
    }


def _json(content: object) -> web.Response:
    return web.Response(body=_encode(content), content_type="application/json")
