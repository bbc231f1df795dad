"""Reads the results of consistency verifications: one request per task, and only if the task has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault
from exporter.polling.detail_client import DetailClient, DetailReading
from exporter.polling.snapshot import Snapshot
from exporter.sms.consistency import NOUN, ConsistencyResult, get_result_path, is_task_id, parse_consistency_result
from exporter.sms.model import NO_TASK, SourceServer
from exporter.sms.tolerant import Findings

MAX_REQUESTS: Final = 200
"""Maximum number of requests per reading. The other results are requested in later readings."""

MAX_FAILURES: Final = 10
"""Number of failed requests after which a reading ends: more than single results cannot be read."""

TaskVersion: TypeAlias = tuple[object, ...]
"""The condition of a task and its server, without the values that change while data is replicated."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The last known result of a task; None if there is none.

    `version` is that of the task when the result was read, None if the last request failed.
    """

    task_id: str
    version: TaskVersion | None
    result: ConsistencyResult | None


async def read_consistency(
    client: DetailClient, snapshot: Snapshot | None, previous: Mapping[str, Any]
) -> DetailReading:
    """Return the verifications of the servers that have a result, by the id of the server.

    Tasks that were never requested come first, then those whose last request was longest ago. Results for which there
    is no time are read later. A request that fails leaves the last result of its task, and the reading has the first
    error. Raise a PollError if nothing can be read.
    """
    tasks = dict(_list_tasks(snapshot)) if snapshot else {}
    known: dict[str, Verification] = {
        server_id: last
        for server_id, last in previous.items()
        if server_id in tasks and last.task_id == tasks[server_id][0]
    }
    errors: list[PollError] = []
    has_read = False
    for server_id in _list_pending(tasks, known)[:MAX_REQUESTS]:
        if not client.has_time:
            break
        task_id, version = tasks[server_id]
        # At the end of the dictionary, which is in the order of the requests.
        last = known.pop(server_id, None)
        try:
            known[server_id] = Verification(task_id, version, await _read_result(client, task_id))
            has_read = True
        except (AuthError, PermissionDenied):
            raise
        except PollError as error:
            known[server_id] = Verification(task_id, None, last.result if last else None)
            errors.append(error)
            if len(errors) == MAX_FAILURES or not isinstance(error, BadResponse | ServerFault):
                if not has_read:
                    raise
                break
    return DetailReading(known, errors[0] if errors else None)


def _list_tasks(snapshot: Snapshot) -> Iterator[tuple[str, tuple[str, TaskVersion]]]:
    """Return the task of each server that has a result, by the id of the server: its id and its version."""
    for server in snapshot.servers:
        task_id = (server.current_task or NO_TASK).id
        if server.is_consistency_result_exist and task_id and is_task_id(task_id):
            yield server.id, (task_id, _get_version(server))


def _get_version(server: SourceServer) -> TaskVersion:
    task = server.current_task or NO_TASK
    return (
        task.state,
        task.start_date,
        server.state,
        server.migration_cycle,
        server.state_action_time,
        server.stage_action_time,
    )


def _list_pending(tasks: Mapping[str, tuple[str, TaskVersion]], known: Mapping[str, Verification]) -> list[str]:
    """Return the servers whose result must be requested, in the order of the requests."""
    new = [server_id for server_id in tasks if server_id not in known]
    return new + [server_id for server_id, last in known.items() if last.version != tasks[server_id][1]]


async def _read_result(client: DetailClient, task_id: str) -> ConsistencyResult | None:
    body = await client.read_object(get_result_path(task_id), NOUN)
    findings = Findings()
    result = parse_consistency_result(body, findings)
    client.left_out.add_findings(findings)
    return result
