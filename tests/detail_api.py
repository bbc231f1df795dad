"""The API with every endpoint that collectors read, as a test sets its data."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import web

from exporter.polling.connections import Runtime
from exporter.service import Service, running
from exporter.settings import Settings
from programs import serving
from support import NOWHERE, FakeClock

POLL = 60.0
READING = 5 * POLL
"""The default interval of a collector that sends further requests."""


class Api:
    """The endpoints.

    `members` has the projects of each server, with blanks between them, `results` the consistency results by task id.
    `answers` replaces the data of a collector: "sources", "errors", "task_details", "consistency" or "projects".
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.servers: list[dict[str, Any]] = [{"id": "s1", "name": "web-1", "state": "error"}, {"id": "s2"}]
        self.errors: list[dict[str, Any]] = [{"source_id": "s1", "error_json": '{"error_code":"SMS.0515"}'}]
        self.tasks: list[dict[str, Any]] = []
        self.results: dict[str, Any] = {}
        self.projects: list[dict[str, Any]] = []
        self.members: dict[str, str] = {}
        self.offset_step = 1
        """Number of records per unit of an offset: 1 if it counts records, 0 if the API ignores it."""
        self.answers: dict[str, Callable[[], web.Response]] = {}
        self.hanging: dict[str, asyncio.Event] = {}
        self.queries: dict[str, list[dict[str, str]]] = defaultdict(list)
        """The queries by path, in the order of the requests."""
        self.paths: list[str] = []
        """The paths of all requests."""

    @property
    def requests(self) -> Counter[str]:
        """The number of requests by path."""
        return Counter({path: len(queries) for path, queries in self.queries.items()})

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.queries[request.path].append(dict(request.query))
        self.paths.append(request.path)
        collector, respond = self._find(request)
        if collector in self.hanging:
            await self.hanging[collector].wait()
        answer = self.answers.get(collector)
        return answer() if answer else respond()

    def hang(self, collector: str) -> None:
        """Answer the requests of a collector only after its event in `hanging` has been set."""
        self.hanging[collector] = asyncio.Event()

    def _find(self, request: web.Request) -> tuple[str, Callable[[], web.Response]]:
        project = request.query.get("migproject")
        match request.path.split("/")[2:]:
            case ["sources"] if project is not None:
                members = [each for each in self.servers if project in self.members.get(each["id"], "").split()]
                return "projects", lambda: self._page(request, "source_servers", members)
            case ["sources"]:
                return "sources", lambda: self._page(request, "source_servers", self.servers)
            case ["errors"]:
                return "errors", lambda: self._page(request, "migration_errors", self.errors)
            case ["tasks"]:
                return "task_details", lambda: self._page(request, "tasks", self.tasks)
            case ["migprojects"]:
                return "projects", lambda: self._page(request, "migprojects", self.projects)
            case ["tasks", task_id, "consistency-result"]:
                return "consistency", lambda: self._result(task_id)
        raise AssertionError(f"the exporter must not request {request.path}")

    def _page(self, request: web.Request, key: str, records: list[dict[str, Any]]) -> web.Response:
        offset, limit = int(request.query["offset"]) * self.offset_step, int(request.query["limit"])
        return web.json_response({"count": len(records), key: records[offset : offset + limit]})

    def _result(self, task_id: str) -> web.Response:
        result = self.results.get(task_id)
        return error(404, "SMS.0002") if result is None else web.json_response(result)

    def settings(self, url: str, *, api: Mapping[str, object] | None = None, **groups: object) -> Settings:
        return Settings.model_validate(
            {
                "api": {"endpoint": url, **(api or {})},
                "auth": {"token": "t"},
                "collector": {"errors": True},
                "web": {"listen_address": ("127.0.0.1:0",)},
                "poll": {"interval": f"{POLL:g}s"},
            }
            | groups
        )

    @contextlib.asynccontextmanager
    async def exporting(self, *, readers: int = 1, **groups: Any) -> AsyncIterator[Service]:
        """Run an exporter of this API; the first poll and the first reading have ended."""
        async with serving(self.respond) as url:
            runtime = Runtime(self.clock, {}, NOWHERE)
            async with running(self.settings(url, **groups), runtime) as service:
                await self.clock.until_asleep(1 + readers if service.accounts[0].details.collectors else 1)
                yield service

    async def pass_time(self, seconds: float, tasks: int = 2) -> None:
        """Advance the clock with the polls and readings that become due."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            first = await self.clock.until_asleep(tasks)
            self.clock.advance(min(first, end - self.clock.monotonic()))
            await self.clock.until_asleep(tasks)


def error(status: int, code: str) -> web.Response:
    return web.json_response({"error_code": code, "error_msg": f"the text of {code}"}, status=status)


def refuse() -> web.Response:
    body = {"error_code": "SMS.9004", "error_msg": "The current account does not have the permission."}
    return web.json_response(body, status=403)
