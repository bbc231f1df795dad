"""The migration task of a simulated server (Table 5 of the reference)."""

from collections.abc import Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Final

from exporter.simulator.inventory import Identity, identifier
from exporter.simulator.subtasks import SubTask, list_subtasks, name_subtasks
from exporter.simulator.timeline import BYTES_PER_MEGABIT, Plan, Position

_STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "initialize": "READY",
        "replicate": "RUNNING",
        "syncing": "SYNCING",
        "stopping": "ABORTING",
        "stopped": "ABORT",
        "skipping": "SKIPPING",
        "deleting": "DELETING",
        "clearing": "RESETING",
        "clearfailed": "SYNC_SUCCESS",
        "cleared": "SYNC_SUCCESS",
        "cloning": "SYNC_SUCCESS",
        "premigready": "SYNC_SUCCESS",
        "premiged": "SYNC_SUCCESS",
        "premigfailed": "SYNC_SUCCESS",
        "cutovering": "SYNC_SUCCESS",
        "finished": "MIGRATE_SUCCESS",
    },
)
# The state of the clone in each state of a migration drill.
_CLONES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cloning": "CREATING",
        "premigready": "READY",
        "premiged": "FINISHED",
        "premigfailed": "ERROR",
        "clearing": "FINISHED",
        "clearfailed": "FINISHED",
        "cleared": "NOT_READY",
    },
)
_PREPARING_SHARE: Final = 0.3
_CLONE_ERROR: Final = "SMS.3205"
_CLONE_MESSAGE: Final = "The clone could not be created: the volume quota is exhausted."
_REGION: Final = "cn-north-4"
_LOG_EXPIRY: Final = 3600


class TaskBuilder:
    """Builds the task of one server; its ids are derived from `seed` and differ in each run."""

    def __init__(self, rng: Random, identity: Identity, *, seed: int, speed_limit: int) -> None:
        self._identity = identity
        self._seed = seed
        self._type = "MIGRATE_FILE" if not identity.windows and rng.random() < 0.6 else "MIGRATE_BLOCK"  # noqa: PLR2004 - a share
        self._uploads_logs = rng.random() < 0.5  # noqa: PLR2004 - a share
        self._subtasks = name_subtasks(self._type, windows=identity.windows)
        project = rng.choice(("", "_migration"))
        self._fixed: dict[str, Any] = {
            "name": "MigrationTask",
            "type": self._type,
            "speed_limit": speed_limit,
            "compress_rate": round(rng.uniform(1.0, 3.0), 2),
            "start_target_server": rng.random() < 0.8,  # noqa: PLR2004 - a share
            "vm_template_id": self._id("template"),
            "region_id": _REGION,
            "project_name": _REGION + project,
            "project_id": identifier(seed, "project", project).replace("-", ""),
            "exist_server": rng.random() < 0.25,  # noqa: PLR2004 - a share
            "use_public_ip": rng.random() < 0.6,  # noqa: PLR2004 - a share
        }

    def subtasks(self, plan: Plan, position: Position) -> list[SubTask]:
        """Return the subtasks that have started, oldest first."""
        phases = plan.phases(position.phase.run)
        return list_subtasks(self._subtasks, phases, position.elapsed, position.replicated / max(plan.size, 1))

    def at(self, plan: Plan, position: Position, moment: float) -> dict[str, Any] | None:
        """Return the task at a moment (seconds since the epoch), None if the server has none."""
        phase = position.phase
        if phase.task_start is None:
            return None
        state = phase.leg.state
        run = (position.lap, phase.run)
        remaining = _remaining(position)
        return {
            "id": self._id("task", *run),
            **self._fixed,
            "state": _task_state(position),
            "start_date": milliseconds(position.origin + phase.task_start),
            "migrate_speed": position.speed,
            "remain_seconds": None if remaining is None else round(remaining),
            "estimate_complete_time": None if remaining is None else milliseconds(moment + remaining),
            "target_server": None if state == "initialize" else self._target(run),
            "clone_server": self._clone(position, run),
            "subtask_info": _describe(self.subtasks(plan, position)),
            **self._logs(position, run),
        }

    def _id(self, *parts: object) -> str:
        return identifier(self._seed, self._identity.index, *parts)

    def _target(self, run: tuple[int, int]) -> dict[str, str]:
        return {"vm_id": self._id("target", *run), "name": f"{self._identity.name}-cloud"}

    def _clone(self, position: Position, run: tuple[int, int]) -> dict[str, Any] | None:
        state = _CLONES.get(position.phase.leg.state)
        if state is None:
            return None
        if state == "CREATING" and position.progress < _PREPARING_SHARE:
            state = "PREPARING"
        failed = state == "ERROR"
        return {
            "vm_id": self._id("clone", *run),
            "name": f"{self._identity.name}-drill",
            "clone_error": _CLONE_ERROR if failed else None,
            "clone_state": state,
            "error_msg": _CLONE_MESSAGE if failed else None,
        }

    def _logs(self, position: Position, run: tuple[int, int]) -> dict[str, Any]:
        """Return the state of the logs; those of a finished or failed task are shared by a secret link."""
        if position.phase.leg.state not in {"error", "finished"} or not self._uploads_logs:
            return {"log_collect_status": "INIT"}
        if position.progress < 0.2:  # noqa: PLR2004 - a share
            return {"log_collect_status": "UPLOADING"}
        if self._identity.index % 5 == 0:
            return {"log_collect_status": "UPLOAD_FAIL"}
        key = self._id("logs", *run)
        return {
            "log_collect_status": "UPLOADED",
            "log_bucket": "sms-simulator-logs",
            "log_expire": _LOG_EXPIRY,
            "log_upload_time": milliseconds(position.origin + position.phase.start),
            "log_share_url": f"https://sms-simulator-logs.obs.example/{key}.zip?Signature={key}",
        }


def milliseconds(moment: float) -> int:
    """Format seconds since the epoch as the API does, as whole seconds; times before the epoch become 0."""
    return max(0, int(moment)) * 1000


def _remaining(position: Position) -> float | None:
    """Return the seconds until all data is replicated at the current speed; None while nothing is replicated."""
    if not position.speed:
        return None
    left = position.phase.total - position.replicated
    return left / (position.speed * BYTES_PER_MEGABIT)


def _task_state(position: Position) -> str:
    leg = position.phase.leg
    # Also for a server that failed in continuous synchronization.
    return "MIGRATE_FAIL" if leg.state == "error" else _STATES[leg.state]


def _describe(subtasks: Sequence[SubTask]) -> str | None:
    """Return the current subtask with its percentage, such as `MIGRATE_LINUX_FILE-42`."""
    return f"{subtasks[-1].name}-{subtasks[-1].progress}" if subtasks else None
