"""The control endpoint, which changes faults, servers, tokens and time while the simulator runs.

It needs no authentication: the simulator listens on loopback by default.

    S=http://127.0.0.1:10059
    curl $S/control/state                                                       # state of the fleet and active faults
    curl "$S/control/servers?state=replicate"                                   # id, name, state, … of servers
    curl $S/control/servers/ID                                                  # one record
    curl -X POST $S/control/servers                                             # register a server
    curl -X POST $S/control/servers -d '{"count": 500}'                         # add or remove until there are 500
    curl -X POST $S/control/servers/ID/fail                                     # make its migration fail
    curl -X POST $S/control/servers/ID/disconnect                               # disconnect its agent
    curl -X POST $S/control/servers/ID/stall                                    # stop its replication (or 409)
    curl -X PATCH $S/control/servers/ID -d '{"name": "x"}'                      # override fields of its record
    curl -X DELETE $S/control/servers/ID/overrides                              # remove the overrides
    curl -X DELETE $S/control/servers/ID                                        # remove it
    curl $S/control/faults                                                      # active faults
    curl -X POST $S/control/faults -d '{"fault": "throttled=5,times=3"}'        # add a fault
    curl -X DELETE $S/control/faults                                            # remove all faults
    curl -X DELETE $S/control/faults/throttled                                  # remove the faults of one kind
    curl $S/control/permissions                                                 # IAM actions: allowed or not
    curl -X DELETE $S/control/permissions/sms:server:listErrors                 # deny an IAM action to all users
    curl -X PUT $S/control/permissions/sms:server:listErrors                    # allow it again
    curl -X POST $S/control/tokens/expire                                       # expire all issued tokens
    curl -X POST $S/control/tokens/restore                                      # make the static tokens valid again
    curl -X POST $S/control/freeze                                              # freeze the fleet
    curl -X DELETE $S/control/freeze                                            # unfreeze the fleet
"""

from collections import Counter
from collections.abc import Callable, Sequence, Sized
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from exporter.simulator.authentication import ACTIONS, BadAction, Permissions
from exporter.simulator.errors import ErrorResponse
from exporter.simulator.faults import KINDS, BadFault, Fault, Faults
from exporter.simulator.fleet import Fleet
from exporter.simulator.sources import read_query
from exporter.simulator.tokens import Tokens

PREFIX: Final = "/control/"

_BRIEF: Final = ("id", "name", "state", "migration_cycle", "connected", "replicatesize", "totalsize")


class Control:
    """Serves the control endpoint of one simulator; `requests` is its request log."""

    def __init__(self, fleet: Fleet, faults: Faults, tokens: Tokens, permissions: Permissions, requests: Sized) -> None:
        self._fleet = fleet
        self._faults = faults
        self._tokens = tokens
        self._permissions = permissions
        self._requests = requests

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes under `/control/`."""
        return [
            web.get("/control/state", self.state),
            web.get("/control/servers", self.list_servers),
            web.post("/control/servers", self.add_servers),
            web.get("/control/servers/{id}", self.show_server),
            web.patch("/control/servers/{id}", self.override_server),
            web.delete("/control/servers/{id}", self.remove_server),
            web.delete("/control/servers/{id}/overrides", self.clear_overrides),
            web.post("/control/servers/{id}/fail", self._act(self._fleet.fail)),
            web.post("/control/servers/{id}/disconnect", self._act(self._fleet.disconnect)),
            web.post("/control/servers/{id}/stall", self._act(self._fleet.stall)),
            web.get("/control/faults", self.list_faults),
            web.post("/control/faults", self.add_fault),
            web.delete("/control/faults", self.clear_faults),
            web.delete("/control/faults/{name}", self.clear_faults),
            web.get("/control/permissions", self.list_permissions),
            web.put("/control/permissions/{action}", self._change(self._permissions.allow)),
            web.delete("/control/permissions/{action}", self._change(self._permissions.deny)),
            web.post("/control/tokens/expire", self.expire_tokens),
            web.post("/control/tokens/restore", self.restore_tokens),
            web.post("/control/freeze", self.freeze),
            web.delete("/control/freeze", self.unfreeze),
        ]

    async def state(self, _: web.Request) -> web.Response:
        """Return the time, size and states of the fleet, the active faults and the number of requests."""
        return web.json_response(
            {
                "time": self._fleet.now(),
                "servers": len(self._fleet),
                "states": Counter(str(record.get("state")) for record in self._fleet.records()),
                "faults": [_as_json(fault) for fault in self._faults],
                "requests": len(self._requests),
            },
        )

    async def list_servers(self, request: web.Request) -> web.Response:
        """Return a summary of servers; the query parameters are those of the API, without a limit."""
        selection = self._fleet.select(read_query(request))
        rows = selection.rows(0, len(selection))
        return web.json_response([{name: row.get(name) for name in _BRIEF} for row in rows])

    async def add_servers(self, request: web.Request) -> web.Response:
        """Add one server, or add or remove servers until there are `count`."""
        if self._faults.of_replay:
            raise _bad("a replay has no simulated servers")
        count = (await _body(request)).get("count")
        if count is None:
            return web.json_response({"id": self._fleet.add()}, status=HTTPStatus.CREATED)
        if not isinstance(count, int) or count < 0:
            raise _bad("count is a number of servers")
        self._fleet.resize(count)
        return web.json_response({"servers": len(self._fleet)})

    async def show_server(self, request: web.Request) -> web.Response:
        """Return a record."""
        return web.json_response(self._record(request))

    async def override_server(self, request: web.Request) -> web.Response:
        """Override the fields in the body, and return the record."""
        self._record(request)
        self._fleet.override(request.match_info["id"], **await _body(request))
        return await self.show_server(request)

    async def clear_overrides(self, request: web.Request) -> web.Response:
        """Remove the overrides of a server, and return the record."""
        self._fleet.clear_overrides(request.match_info["id"])
        return await self.show_server(request)

    async def remove_server(self, request: web.Request) -> web.Response:
        """Remove a server."""
        self._record(request)
        self._fleet.remove(request.match_info["id"])
        return _done()

    def _act(self, action: Callable[[str], None]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            self._record(request)
            try:
                action(request.match_info["id"])
            except ValueError as error:
                raise ErrorResponse(HTTPStatus.CONFLICT, {"error": str(error)}) from error
            return await self.show_server(request)

        return handler

    async def list_faults(self, _: web.Request) -> web.Response:
        """Return the active faults and all kinds of faults."""
        kinds = {name: kind.description for name, kind in KINDS.items()}
        return web.json_response({"faults": [_as_json(fault) for fault in self._faults], "kinds": kinds})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add the `fault` in the body, written as on the command line."""
        text = (await _body(request)).get("fault")
        if not isinstance(text, str):
            raise _bad('a fault is written {"fault": "NAME[=VALUE][,times=N][,after=N][,api=API][,path=PATTERN]"}')
        try:
            fault = self._faults.add(text)
        except BadFault as error:
            raise _bad(str(error)) from error
        return web.json_response(_as_json(fault), status=HTTPStatus.CREATED)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Remove all faults, or those of one kind."""
        self._faults.clear(request.match_info.get("name"))
        return _done()

    async def list_permissions(self, _: web.Request) -> web.Response:
        """Return for each IAM action whether it is allowed."""
        denied = set(self._permissions)
        return web.json_response({action: action not in denied for action in ACTIONS})

    def _change(self, change: Callable[[str], None]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            try:
                change(request.match_info["action"])
            except BadAction as error:
                raise ErrorResponse(HTTPStatus.NOT_FOUND, {"error": str(error)}) from error
            return await self.list_permissions(request)

        return handler

    async def expire_tokens(self, _: web.Request) -> web.Response:
        """Expire all tokens issued so far."""
        self._tokens.expire_all()
        return _done()

    async def restore_tokens(self, _: web.Request) -> web.Response:
        """Make the static tokens valid again."""
        self._tokens.restore_static()
        return _done()

    async def freeze(self, _: web.Request) -> web.Response:
        """Freeze the fleet."""
        self._fleet.freeze()
        return _done()

    async def unfreeze(self, _: web.Request) -> web.Response:
        """Unfreeze the fleet."""
        self._fleet.unfreeze()
        return _done()

    def _record(self, request: web.Request) -> dict[str, Any]:
        try:
            return self._fleet.record(request.match_info["id"])
        except KeyError as error:
            raise ErrorResponse(HTTPStatus.NOT_FOUND, {"error": "no such server"}) from error


async def _body(request: web.Request) -> dict[str, Any]:
    text = await request.read()
    try:
        content = msgspec.json.decode(text or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _bad("the body is not JSON") from error
    if not isinstance(content, dict):
        raise _bad("the body is not a JSON object")
    return content


def _bad(message: str) -> ErrorResponse:
    return ErrorResponse(HTTPStatus.BAD_REQUEST, {"error": message})


def _done() -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT)


def _as_json(fault: Fault) -> dict[str, object]:
    return {
        "name": fault.name,
        "value": fault.value,
        "times": fault.times,
        "after": fault.after,
        "api": fault.api,
        "path": fault.path,
        "hits": fault.hits,
    }
