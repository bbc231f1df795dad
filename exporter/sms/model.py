"""The answer of `GET /v3/sources` as typed structs, and the enumerations that its reference documents.

Fields that are not exposed are not here, and so not decoded: `docs/fields.py` says why of each.
Every field but a server's `id` is optional: real answers leave out what the reference calls mandatory.
`None` means that the field was absent, null or unreadable. Fields have the API's own names and units:
sizes in bytes, dates in milliseconds since the epoch.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An Integer or Long of the reference, whose documented minimum is always 0."""

MOST: Final = 1e15
"""The largest number that is believed: sums and products of more could be infinite."""

Number: TypeAlias = Annotated[float, Meta(ge=0, le=MOST)]
"""A Double of the reference, whose documented minimum is always 0."""

SOURCE_STATES: Final = (
    "unavailable",
    "waiting",
    "initialize",
    "replicate",
    "syncing",
    "stopping",
    "stopped",
    "skipping",
    "deleting",
    "clearing",
    "cleared",
    "clearfailed",
    "premigready",
    "premiged",
    "premigfailed",
    "cloning",
    "cutovering",
    "finished",
    "error",
)
MIGRATION_CYCLES: Final = ("checking", "setting", "replicating", "syncing", "cutovering", "cutovered")
OS_TYPES: Final = ("WINDOWS", "LINUX")
TASK_TYPES: Final = ("MIGRATE_BLOCK", "MIGRATE_FILE")
# Not in the reference of the list; from the official SDK's models of the task.
TASK_STATES: Final = (
    "READY",
    "RUNNING",
    "SYNCING",
    "MIGRATE_SUCCESS",
    "SYNC_SUCCESS",
    "MIGRATE_FAIL",
    "SYNC_FAIL",
    "ABORTING",
    "ABORT",
    "SKIPPING",
    "DELETING",
    "RESETING",
    "SYNC_F_ROLLBACKING",
    "SYNC_F_ROLLBACK_SUCCESS",
)
LOG_COLLECT_STATUSES: Final = ("INIT", "UPLOADING", "UPLOAD_FAIL", "UPLOADED")
CLONE_STATES: Final = ("NOT_READY", "READY", "PREPARING", "CREATING", "ERROR", "FINISHED")
CHECK_RESULTS: Final = ("OK", "WARN", "ERROR")
FAILED_RESULTS: Final = ("WARN", "ERROR")


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """Base of all structs. They hold no cycles, so the garbage collector need not walk a fleet of them."""


class TargetServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 6, TargetServerById: where the server goes."""

    vm_id: str | None = None
    name: str | None = None


class CloneServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 7: a clone of the target server, made for a drill."""

    vm_id: str | None = None
    name: str | None = None
    clone_error: str | None = None
    clone_state: str | None = None


class Task(Record, frozen=True, kw_only=True, gc=False):
    """Table 5, TaskByServerSources: the migration task of a source server."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    state: str | None = None
    estimate_complete_time: Whole | None = None
    start_date: Whole | None = None
    speed_limit: Whole | None = None
    migrate_speed: Number | None = None
    compress_rate: Number | None = None
    start_target_server: bool | None = None
    vm_template_id: str | None = None
    region_id: str | None = None
    project_name: str | None = None
    project_id: str | None = None
    target_server: TargetServer | None = None
    log_collect_status: str | None = None
    exist_server: bool | None = None
    use_public_ip: bool | None = None
    clone_server: CloneServer | None = None
    remain_seconds: Whole | None = None
    log_upload_time: Whole | None = None
    subtask_info: str | None = None


NO_CLONE: Final = CloneServer()
NO_TASK: Final = Task()
"""What a server without one is read as: none of its fields is there."""


class EnvironmentCheck(Record, frozen=True, kw_only=True, gc=False):
    """Table 8: one check of the source server's environment."""

    name: str | None = None
    result: str | None = None
    error_code: str | None = None


class PhysicalVolume(Record, frozen=True, kw_only=True, gc=False):
    """Table 11: a partition of a disk."""

    device_use: str | None = None
    file_system: str | None = None
    mount_point: str | None = None
    name: str | None = None
    size: Whole | None = None
    inode_size: Whole | None = None
    used_size: Whole | None = None


class Disk(Record, frozen=True, kw_only=True, gc=False):
    """Table 10, DiskIntargetServer: a disk recommended for the target server."""

    name: str | None = None
    size: Whole | None = None
    device_use: str | None = None
    used_size: Whole | None = None
    physical_volumes: tuple[PhysicalVolume, ...] | None = None


class LogicalVolume(Record, frozen=True, kw_only=True, gc=False):
    """Table 13: a logical volume of a volume group."""

    file_system: str | None = None
    inode_size: Whole | None = None
    inode_nums: Whole | None = None
    device_use: str | None = None
    mount_point: str | None = None
    name: str | None = None
    size: Whole | None = None
    used_size: Whole | None = None
    free_size: Whole | None = None


class VolumeGroup(Record, frozen=True, kw_only=True, gc=False):
    """Table 12: an LVM volume group."""

    free_size: Whole | None = None
    logical_volumes: tuple[LogicalVolume, ...] | None = None
    name: str | None = None
    size: Whole | None = None


class InitTargetServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 9: the recommended configuration of the target server."""

    disks: tuple[Disk, ...] | None = None
    volume_groups: tuple[VolumeGroup, ...] | None = None


class SourceServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 4, SourceServersResponseBody: one source server."""

    id: str
    ip: str | None = None
    name: str | None = None
    enterprise_project_id: str | Whole | None = None
    """Documented as a string; real answers also have the number 0."""
    add_date: Whole | None = None
    os_type: str | None = None
    os_version: str | None = None
    oem_system: bool | None = None
    state: str | None = None
    connected: bool | None = None
    cpu_quantity: Whole | None = None
    memory: Whole | None = None
    current_task: Task | None = None
    checks: tuple[EnvironmentCheck, ...] | None = None
    init_target_server: InitTargetServer | None = None
    replicatesize: Whole | None = None
    stage_action_time: Whole | None = None
    totalsize: Whole | None = None
    last_visit_time: Whole | None = None
    migration_cycle: str | None = None
    state_action_time: Whole | None = None
    is_consistency_result_exist: bool | None = None
    has_tc: bool | None = None
