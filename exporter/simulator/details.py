"""What the further lists of the API have of a simulated server: its task, its error and its consistency result.

Everything follows from the server's record in `GET /v3/sources` and its subtasks, so that the lists agree.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from exporter.simulator.inventory import identifier
from exporter.simulator.subtasks import SubTask
from exporter.simulator.task import milliseconds

ConsistencyShape: TypeAlias = Literal["objects", "texts", "single"]
"""The three published shapes of a consistency result: a list of objects, a list of JSON texts, one bare result."""
SHAPES: Final[tuple[ConsistencyShape, ...]] = ("objects", "texts", "single")

_LOAD_SECONDS: Final = 30.0
"""The agent reports the load of its host this often."""
_DIRECTORIES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"LINUX": ("/", "/data", "/var/lib"), "WINDOWS": ("C:\\Users", "D:\\", "D:\\data")}
)
# Code and text of the errors in each stage of a migration.
_ERRORS: Final[Mapping[str, Sequence[tuple[str, str]]]] = MappingProxyType(
    {
        "setting": (
            ("SMS.0601", "Failed to create the target server: the volume quota is exhausted."),
            ("SMS.1404", "The target disk is not in the expected state."),
            ("SMS.1105", "Failed to create the disk: the account balance is insufficient."),
        ),
        "replicating": (
            ("SMS.0805", "Failed to migrate the partition."),
            ("SMS.0807", "The network between the source and the target server is faulty."),
            ("SMS.3802", "Failed to connect to the target server over SSH."),
            ("SMS.1807", "Port 8900 of the target server cannot be reached."),
        ),
        "syncing": (
            ("SMS.0806", "Failed to synchronize the partition."),
            ("SMS.1414", "Change tracking has stopped."),
        ),
        "cutovering": (("SMS.1113", "Failed to reconfigure the partitions of the target server."),),
    }
)
_OTHER_ERRORS: Final = (("SMS.0515", "The disks of the source server have changed."),)


class Migration(Struct, frozen=True, gc=False):
    """A server at a moment (seconds since the epoch).

    `record` is its record in `GET /v3/sources`. The times of its subtasks are seconds since the epoch. `address` is
    that of its target server; empty if the server has none.
    """

    record: Mapping[str, Any]
    subtasks: Sequence[SubTask]
    migproject: str
    address: str
    moment: float

    @property
    def task(self) -> Mapping[str, Any]:
        """The task in the record; empty if the server has none."""
        task = self.record.get("current_task")
        return task if isinstance(task, Mapping) else {}

    @property
    def is_launched(self) -> bool:
        """Whether the target server has been launched."""
        return self.record.get("state") == "finished" or self.record.get("migration_cycle") == "cutovered"

    def random(self, *parts: object) -> Random:
        """Return random numbers that are always the same for this server and these parts."""
        return Random(":".join(map(str, (self.record.get("id"), *parts))))  # noqa: S311 - a simulation, not a secret


def build_task(migration: Migration) -> dict[str, Any]:
    """Return the row of `GET /v3/tasks` of a server that has a task."""
    task = migration.task
    clone = task.get("clone_server") or {}
    started = task.get("start_date") or 0
    return {
        **_common(migration),
        "target_server": _target(migration),
        "total_time": max(0, milliseconds(migration.moment) - started) if started else 0,
        "clone_server": {"vm_id": clone.get("vm_id"), "name": clone.get("name")} if clone else None,
        "log_collect_status": task.get("log_collect_status"),
        "syncing": migration.random("syncing").random() < 0.85,  # noqa: PLR2004 - a share
        "special_config": [
            {"config_key": "LINUX_CPU_LIMIT", "config_value": "80", "config_status": "SUCCESS"},
        ],
        "sub_tasks": [_subtask(migration, number) for number in range(len(migration.subtasks))],
    }


def build_task_details(migration: Migration) -> dict[str, Any]:
    """Return the answer of `GET /v3/tasks/{id}` about a server that has a task."""
    record, task = migration.record, migration.task
    details = _common(migration)
    return {
        **details,
        "source_server": {**details["source_server"], "migration_cycle": record.get("migration_cycle")},
        "target_server": {**_target(migration), "disks": [], "volume_groups": []},
        "region_id": task.get("region_id"),
        "region_name": task.get("region_id"),
        "project_id": task.get("project_id"),
        "project_name": task.get("project_name"),
        "vm_template_id": task.get("vm_template_id"),
        "connected": record.get("connected"),
        "start_date": task.get("start_date"),
        "finish_date": record.get("state_action_time") if record.get("state") == "finished" else None,
        "remain_seconds": task.get("remain_seconds"),
        "total_time": 0,
        "clone_server": task.get("clone_server"),
        "sub_tasks": [
            {**_subtask(migration, number), "migrate_speed": task.get("migrate_speed"), "user_op": "start"}
            for number in range(len(migration.subtasks))
        ],
    }


def find_error(migration: Migration) -> str:
    """Return the text of the error of a server: mostly JSON, sometimes prose; empty if the server has none."""
    if migration.record.get("state") != "error":
        return ""
    cycle = str(migration.record.get("migration_cycle"))
    rng = migration.random("error", cycle)
    code, message = rng.choice(_ERRORS.get(cycle, _OTHER_ERRORS))
    kind = rng.random()
    if kind < 0.1:  # noqa: PLR2004 - a share
        return f"{message} ({code})"
    if kind < 0.15:  # noqa: PLR2004 - a share
        return message
    return json.dumps({"error_code": code, "error_msg": message, "error_param": []})


def build_error(migration: Migration) -> dict[str, Any]:
    """Return the row of `GET /v3/errors` of a failed server."""
    record = migration.record
    knows_host = migration.random("host").random() < 0.8  # noqa: PLR2004 - a share
    return {
        "error_json": find_error(migration),
        "host_name": f"{record.get('name')}.example.com" if knows_host else "",
        "name": record.get("name"),
        "source_id": record.get("id"),
        "source_ip": record.get("ip"),
        "target_ip": migration.address,
    }


def build_consistency_result(migration: Migration, shape: ConsistencyShape | None) -> dict[str, Any]:
    """Return the answer of `GET /v3/tasks/{id}/consistency-result`; without a shape, the task decides which one."""
    record, task_id = migration.record, migration.task.get("id")
    if not record.get("is_consistency_result_exist"):
        return {"task_id": task_id, "result_list": []}
    rng = migration.random("consistency", task_id)
    chosen = shape or rng.choice(SHAPES)
    directories = [_directory(rng, name) for name in _DIRECTORIES.get(str(record.get("os_type")), ("/",))]
    differs = any(directory["num_different_files"] for directory in directories)
    finished = (record.get("stage_action_time") or 0) + rng.randrange(1_000, 4_000)
    result = {
        "finished_time": min(finished, milliseconds(migration.moment)),
        "check_result": "different" if differs else "consistent",
        "consistency_result": directories,
    }
    if chosen == "single":
        return {name: result[name] for name in ("consistency_result", "finished_time")}
    return {"task_id": task_id, "result_list": [result if chosen == "objects" else json.dumps(result)]}


def _common(migration: Migration) -> dict[str, Any]:
    """Return what the list of tasks and the details of one task have in common."""
    record, task = migration.record, migration.task
    return {
        "id": task.get("id"),
        "name": task.get("name"),
        "type": task.get("type"),
        "os_type": record.get("os_type"),
        "state": task.get("state"),
        "estimate_complete_time": task.get("estimate_complete_time"),
        "create_date": task.get("start_date"),
        "priority": 1,
        "speed_limit": task.get("speed_limit"),
        "migrate_speed": task.get("migrate_speed"),
        "compress_rate": task.get("compress_rate"),
        "start_target_server": task.get("start_target_server"),
        "error_json": find_error(migration),
        "migration_ip": migration.address or None,
        "source_server": {
            name: record.get(name) for name in ("id", "ip", "name", "os_type", "os_version", "oem_system", "state")
        },
        "enterprise_project_id": str(record.get("enterprise_project_id", "0")),
        "network_check_info": _network_check(migration),
        **_load(migration),
        "need_migration_test": migration.random("drill").random() < 0.5,  # noqa: PLR2004 - a share
        "subtask_info": task.get("subtask_info"),
    }


def _target(migration: Migration) -> dict[str, Any]:
    record, task = migration.record, migration.task
    target = task.get("target_server") or {}
    return {
        "id": identifier(task.get("id"), "target") if target else None,
        "vm_id": target.get("vm_id"),
        "name": target.get("name"),
        "ip": migration.address or None,
        "os_type": record.get("os_type"),
        "os_version": record.get("os_version"),
    }


def _subtask(migration: Migration, number: int) -> dict[str, Any]:
    subtask = migration.subtasks[number]
    digest = hashlib.blake2b(f"{migration.task.get('id')}:{subtask.name}:{subtask.start}".encode(), digest_size=4)
    return {
        "id": int.from_bytes(digest.digest()) >> 1,
        "name": subtask.name,
        "progress": subtask.progress,
        "start_date": milliseconds(subtask.start),
        "end_date": None if subtask.end is None else milliseconds(subtask.end),
        "process_trace": f"{subtask.name} {subtask.progress}%" if subtask.name.startswith(("MIGRATE", "SYNC")) else "",
    }


def _load(migration: Migration) -> dict[str, float]:
    """Return the load of the source server and of its agent; the agent works while data is replicated."""
    fixed = migration.random("load")
    now = migration.random("load", migration.moment // _LOAD_SECONDS)
    moves = float(migration.task.get("migrate_speed") or 0.0)
    agent_cpu = 2.0 + (fixed.uniform(5, 35) if moves else 0.0) * now.uniform(0.8, 1.2)
    others_cpu = fixed.uniform(3, 50) * now.uniform(0.7, 1.3)
    memory = float(migration.record.get("memory") or 0) / 2**20
    agent_memory = fixed.uniform(60, 260) * now.uniform(0.95, 1.05)
    return {
        "total_cpu_usage": round(min(100.0, agent_cpu + others_cpu), 1),
        "agent_cpu_usage": round(agent_cpu, 1),
        "total_mem_usage": round(memory * fixed.uniform(0.3, 0.9) * now.uniform(0.95, 1.05), 1),
        "agent_mem_usage": round(agent_memory, 1),
        "total_disk_io": round(moves * 1.1 + fixed.uniform(1, 80) * now.uniform(0.5, 1.5), 1),
        "agent_disk_io": round(moves, 1),
    }


def _network_check(migration: Migration) -> dict[str, Any]:
    """Return the network between source and target; a few connections are bad."""
    rng = migration.random("network", migration.task.get("id"))
    bad = rng.random() < 0.08  # noqa: PLR2004 - a share
    return {
        "domain_connectivity": True,
        "destination_connectivity": rng.random() < 0.97,  # noqa: PLR2004 - a share
        "network_delay": round(rng.uniform(90, 260) if bad else rng.uniform(1, 45), 2),
        "network_jitter": round(rng.uniform(10, 60) if bad else rng.uniform(0.1, 5), 2),
        "migration_speed": round(rng.uniform(8, 40) if bad else rng.uniform(150, 900), 1),
        "loss_percentage": round(rng.uniform(1, 9), 2) if bad else 0.0,
        "cpu_usage": round(rng.uniform(2, 60), 1),
        "mem_usage": round(rng.uniform(20, 90), 1),
        "evaluation_result": "bad" if bad else "good",
    }


def _directory(rng: Random, name: str) -> dict[str, Any]:
    differs = rng.random() < 0.15  # noqa: PLR2004 - a share
    return {
        "dir_check": name,
        "num_total_files": rng.randrange(200, 90_000),
        "num_different_files": rng.randrange(1, 40) if differs else 0,
        "num_target_miss_files": rng.randrange(0, 10) if differs else 0,
        "num_target_more_files": rng.randrange(0, 5) if differs else 0,
    }
