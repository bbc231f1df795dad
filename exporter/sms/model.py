"""The records of the SMS API as typed structs, and the values that its reference documents.

A struct has the fields that are exposed, and no others: `docs/fields.md` gives the reason for each that is left out.
Every field except the `id` of a listed record is optional, because real responses leave out fields that the reference
calls mandatory. `None` means that the field was absent, null or unreadable. Fields have the API's own names and units:
sizes in bytes, dates in milliseconds since the epoch.
"""

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct

MAX_INT64: Final = 2**63 - 1

NonNegativeInt: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INT64)]
"""An Integer or Long of the reference, whose documented minimum is always 0."""

MAX_NUMBER: Final = 1e15
"""The largest number that is accepted: sums and products of larger ones could be infinite."""

NonNegativeFloat: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
"""A Double of the reference, whose documented minimum is always 0."""

Percentage: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
"""A share of something in percent; a larger number is unreadable."""

MAX_TEXT_CHARACTERS: Final = 4096
"""The longest text that is accepted: the reference allows at most 1,024 characters in the fields that are read."""

Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT_CHARACTERS)]

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
# From the official SDK's model of a task: the reference of the list does not have them.
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
CHECKS: Final = (
    "OS_VERSION",
    "FIRMWARE",
    "CPU",
    "MEMORY",
    "SYSTEM_ROOT",
    "PARTITION_STYLE",
    "FILE_SYSTEM",
    "FREE_SPACE",
    "OEM_SYSTEM",
    "DRIVER_FILE",
    "SERVICE",
    "ACCOUNT_RIGHTS",
    "PARAVIRTUALIZATION",
    "BOOT_LOADER",
    "RSYNC",
    "RAW_DEVICES",
    "DISK_INFO",
    "LINUX_BLOCK_SUPPORT",
    "DISK_USED_SIZE",
    "DISK_PERFORMANCES",
)
"""The documented names of the checks of a source server."""

DEVICE_USES: Final = ("BOOT", "OS", "NORMAL", "VOLUME_GROUP", "BTRFS")
"""What a disk or volume is used for; the API joins several by `|`."""

CHECK_RESULTS: Final = ("OK", "WARN", "ERROR")
FAILED_RESULTS: Final = ("WARN", "ERROR")

# msgspec accepts the documented values only, so that the rare record with another one is noticed at no cost; it is then
# read field by field. Everywhere else these fields are text, because any value can occur.
if TYPE_CHECKING:
    SourceState: TypeAlias = str
    MigrationCycle: TypeAlias = str
    OsType: TypeAlias = str
    TaskType: TypeAlias = str
    TaskState: TypeAlias = str
    LogCollectStatus: TypeAlias = str
    CloneState: TypeAlias = str
    CheckResult: TypeAlias = str
else:
    SourceState = Literal[SOURCE_STATES]
    MigrationCycle = Literal[MIGRATION_CYCLES]
    OsType = Literal[OS_TYPES]
    TaskType = Literal[TASK_TYPES]
    TaskState = Literal[TASK_STATES]
    LogCollectStatus = Literal[LOG_COLLECT_STATUSES]
    CloneState = Literal[CLONE_STATES]
    CheckResult = Literal[CHECK_RESULTS]


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """Base class of all structs. They hold no cycles, so the garbage collector need not visit them."""


class ListedRecord(Record, frozen=True, kw_only=True, gc=False):
    """A record of a list. Its `id` is unique in the list and not empty."""

    id: Text

    @property
    def completeness(self) -> int:
        """Of several records with the same id, the first one with the highest number counts."""
        return 0


RecordT = TypeVar("RecordT", bound=ListedRecord)


class TargetServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 6, TargetServerById: the server that is migrated to."""

    vm_id: Text | None = None
    name: Text | None = None


class CloneServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 7: a clone of the target server, created for a migration drill."""

    vm_id: Text | None = None
    name: Text | None = None
    clone_error: Text | None = None
    clone_state: CloneState | None = None


class Task(Record, frozen=True, kw_only=True, gc=False):
    """Table 5, TaskByServerSources: the migration task of a source server."""

    id: Text | None = None
    name: Text | None = None
    type: TaskType | None = None
    state: TaskState | None = None
    estimate_complete_time: NonNegativeInt | None = None
    start_date: NonNegativeInt | None = None
    speed_limit: NonNegativeInt | None = None
    migrate_speed: NonNegativeFloat | None = None
    compress_rate: NonNegativeFloat | None = None
    start_target_server: bool | None = None
    vm_template_id: Text | None = None
    region_id: Text | None = None
    project_name: Text | None = None
    project_id: Text | None = None
    target_server: TargetServer | None = None
    log_collect_status: LogCollectStatus | None = None
    exist_server: bool | None = None
    use_public_ip: bool | None = None
    clone_server: CloneServer | None = None
    remain_seconds: NonNegativeInt | None = None
    log_upload_time: NonNegativeInt | None = None
    subtask_info: Text | None = None


NO_CLONE: Final = CloneServer()
NO_TASK: Final = Task()
"""The task of a server that has none: all its fields are absent."""


class EnvironmentCheck(Record, frozen=True, kw_only=True, gc=False):
    """Table 8: one check of the source server's environment."""

    name: Text | None = None
    result: CheckResult | None = None
    error_code: Text | None = None


class PhysicalVolume(Record, frozen=True, kw_only=True, gc=False):
    """Table 11: a partition of a disk."""

    device_use: Text | None = None
    file_system: Text | None = None
    mount_point: Text | None = None
    name: Text | None = None
    size: NonNegativeInt | None = None
    inode_size: NonNegativeInt | None = None
    used_size: NonNegativeInt | None = None


class Disk(Record, frozen=True, kw_only=True, gc=False):
    """Table 10, DiskIntargetServer: a disk recommended for the target server."""

    name: Text | None = None
    size: NonNegativeInt | None = None
    device_use: Text | None = None
    used_size: NonNegativeInt | None = None
    physical_volumes: tuple[PhysicalVolume, ...] | None = None


class LogicalVolume(Record, frozen=True, kw_only=True, gc=False):
    """Table 13: a logical volume of a volume group."""

    file_system: Text | None = None
    inode_size: NonNegativeInt | None = None
    inode_nums: NonNegativeInt | None = None
    device_use: Text | None = None
    mount_point: Text | None = None
    name: Text | None = None
    size: NonNegativeInt | None = None
    used_size: NonNegativeInt | None = None
    free_size: NonNegativeInt | None = None


class VolumeGroup(Record, frozen=True, kw_only=True, gc=False):
    """Table 12: an LVM volume group."""

    free_size: NonNegativeInt | None = None
    logical_volumes: tuple[LogicalVolume, ...] | None = None
    name: Text | None = None
    size: NonNegativeInt | None = None


class InitTargetServer(Record, frozen=True, kw_only=True, gc=False):
    """Table 9: the recommended configuration of the target server."""

    disks: tuple[Disk, ...] | None = None
    volume_groups: tuple[VolumeGroup, ...] | None = None


class SourceServer(ListedRecord, frozen=True, kw_only=True, gc=False):
    """Table 4, SourceServersResponseBody: one source server."""

    ip: Text | None = None
    name: Text | None = None
    enterprise_project_id: Text | NonNegativeInt | None = None
    """Documented as a string; real responses also have the number 0."""
    add_date: NonNegativeInt | None = None
    os_type: OsType | None = None
    os_version: Text | None = None
    oem_system: bool | None = None
    state: SourceState | None = None
    connected: bool | None = None
    cpu_quantity: NonNegativeInt | None = None
    memory: NonNegativeInt | None = None
    current_task: Task | None = None
    checks: tuple[EnvironmentCheck, ...] | None = None
    init_target_server: InitTargetServer | None = None
    replicatesize: NonNegativeInt | None = None
    stage_action_time: NonNegativeInt | None = None
    totalsize: NonNegativeInt | None = None
    last_visit_time: NonNegativeInt | None = None
    migration_cycle: MigrationCycle | None = None
    state_action_time: NonNegativeInt | None = None
    is_consistency_result_exist: bool | None = None
    has_tc: bool | None = None
