"""The records of the lists beside the list of source servers, which optional collectors read.

As in `exporter/sms/model.py`, a struct has the fields that are exposed, and every field except the `id` is optional.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from exporter.sms.model import ListedRecord, NonNegativeFloat, NonNegativeInt, Percentage, Record, Text

UNKNOWN_ERROR: Final = "unknown"
"""Stands for the code of an error whose text has none."""

_ERROR_CODE: Final = re.compile(r"SMS\.[0-9]{4}(?![0-9])")

SUBTASKS: Final = (
    "CREATE_CLOUD_SERVER",
    "SSL_CONFIG",
    "ATTACH_AGENT_IMAGE",
    "DETTACH_AGENT_IMAGE",
    "FORMAT_DISK_LINUX",
    "FORMAT_DISK_LINUX_FILE",
    "FORMAT_DISK_LINUX_BLOCK",
    "FORMAT_DISK_WINDOWS",
    "MIGRATE_LINUX_FILE",
    "MIGRATE_LINUX_BLOCK",
    "MIGRATE_WINDOWS_BLOCK",
    "CLONE_VM",
    "SYNC_LINUX_FILE",
    "SYNC_LINUX_BLOCK",
    "SYNC_WINDOWS_BLOCK",
    "CONFIGURE_LINUX",
    "CONFIGURE_LINUX_BLOCK",
    "CONFIGURE_LINUX_FILE",
    "CONFIGURE_WINDOWS",
)
"""The documented names of subtasks."""

# As in `exporter/sms/model.py`: other names are text, too, and are counted.
if TYPE_CHECKING:
    SubtaskName: TypeAlias = str
else:
    SubtaskName = Literal[SUBTASKS]


def find_error_code(text: str | None) -> str:
    """Return the first error code in a text, such as `SMS.0515`; UNKNOWN_ERROR if there is none."""
    found = _ERROR_CODE.search(text or "")
    return found[0] if found else UNKNOWN_ERROR


class MigrationError(ListedRecord, frozen=True, kw_only=True, gc=False):
    """The error of one source server, in the answer of `GET /v3/errors`. The `id` is that of the server."""

    id: Text = msgspec.field(name="source_id")
    error_json: Text | None = None
    """JSON as text. Its members are not documented; the code can be anywhere in it."""

    @property
    def code(self) -> str:
        """The first error code in the text, such as `SMS.0515`."""
        return find_error_code(self.error_json)

    @property
    def completeness(self) -> int:
        """A record with a code says more than one without."""
        return int(self.code != UNKNOWN_ERROR)


class SubTask(Record, frozen=True, kw_only=True, gc=False):
    """One step of a task."""

    name: SubtaskName | None = None
    progress: Percentage | None = None
    start_date: NonNegativeInt | None = None
    end_date: NonNegativeInt | None = None


class NetworkCheck(Record, frozen=True, kw_only=True, gc=False):
    """The network between source and target server, as the agent measured it."""

    domain_connectivity: bool | None = None
    destination_connectivity: bool | None = None
    network_delay: NonNegativeFloat | None = None
    network_jitter: NonNegativeFloat | None = None
    migration_speed: NonNegativeFloat | None = None
    loss_percentage: Percentage | None = None


class TaskSource(Record, frozen=True, kw_only=True, gc=False):
    """The source server of a task."""

    id: Text | None = None


class TaskTarget(Record, frozen=True, kw_only=True, gc=False):
    """The target server of a task."""

    ip: Text | None = None


class MigrationTask(ListedRecord, frozen=True, kw_only=True, gc=False):
    """A task in the answer of `GET /v3/tasks`: what the list of source servers does not have of it."""

    create_date: NonNegativeInt | None = None
    error_json: Text | None = None
    migration_ip: Text | None = None
    sub_tasks: tuple[SubTask, ...] | None = None
    source_server: TaskSource | None = None
    target_server: TaskTarget | None = None
    syncing: bool | None = None
    network_check_info: NetworkCheck | None = None
    total_cpu_usage: Percentage | None = None
    agent_cpu_usage: Percentage | None = None
    total_mem_usage: NonNegativeFloat | None = None
    agent_mem_usage: NonNegativeFloat | None = None
    total_disk_io: NonNegativeFloat | None = None
    agent_disk_io: NonNegativeFloat | None = None

    @property
    def code(self) -> str | None:
        """The first error code in the error text; None if there is no error."""
        text = (self.error_json or "").strip()
        return find_error_code(text) if text not in NO_ERROR else None


class MigrationProject(ListedRecord, frozen=True, kw_only=True, gc=False):
    """A migration project, in the answer of `GET /v3/migprojects`."""

    name: Text | None = None
    isdefault: bool | None = None
    region: Text | None = None
    speed_limit: NonNegativeInt | None = None
    exist_server: bool | None = None
    type: Text | None = None
    enterprise_project: Text | None = None
    """A name, not an id."""


class ProjectServer(ListedRecord, frozen=True, kw_only=True, gc=False):
    """A source server in the list of one migration project, of which only the id is read."""


NO_ERROR: Final = ("", "null", "{}", "[]", '""')
"""The error text of a task without an error."""


def index_errors(errors: Iterable[MigrationError]) -> Mapping[str, MigrationError]:
    """Return the errors by the id of the server."""
    return {error.id: error for error in errors}


def index_tasks(tasks: Iterable[MigrationTask]) -> Mapping[str, MigrationTask]:
    """Return the newest task of each server, by the id of the server."""
    oldest_first = sorted(tasks, key=lambda task: task.create_date or 0)
    return {task.source_server.id: task for task in oldest_first if task.source_server and task.source_server.id}
