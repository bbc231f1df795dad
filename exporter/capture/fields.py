"""Which values and names of the API are known to be harmless: an allow-list of fields, each with its values.

Every other value is private. A field is written `parent.key` if only the fields of that name in that object are meant.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from exporter.sms.details import SUBTASKS
from exporter.sms.model import (
    CHECK_RESULTS,
    CHECKS,
    CLONE_STATES,
    DEVICE_USES,
    LOG_COLLECT_STATUSES,
    MIGRATION_CYCLES,
    OS_TYPES,
    SOURCE_STATES,
    TASK_STATES,
    TASK_TYPES,
)


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})"


# Other models of the same service have these states and cycles, too.
_SOURCE_STATE: Final = _any_of((*SOURCE_STATES, "premiging", "init", "testing"))
_MIGRATION_CYCLE: Final = _any_of((*MIGRATION_CYCLES, "no_ready", "ready_for_test", "testing", "tested"))
_TASK_STATE: Final = _any_of(TASK_STATES)
_DEVICE_USE: Final = _any_of(DEVICE_USES)
_OS_FAMILY: Final = (
    "(?:ALIBABA|ALMALINUX|AMAZON|ANOLIS|CENTOS|COREOS|DEBIAN|EULEROS|FEDORA|HCE|KYLIN|NEOKYLIN|OPENEULER|OPENSUSE|ORACLE|"
    "ORACLELINUX|REDHAT|RHEL|ROCKY|ROCKYLINUX|SLES|SUSE|TENCENTOS|UBUNTU|UOS|WINDOWS)"
)
_OS_VERSION: Final = rf"{_OS_FAMILY}(?:_?\d{{1,4}}|_R2|_SP\d|_LTS)*(?:_(?:32|64)BIT)?"
_ERROR_CODE: Final = r"(?:SMS|APIGW|APIG|IAM)\.\d{4}"
_ACTION: Final = (
    "(?:sms:server:(?:list|queryServer|listErrors|listTask|getTask|getConsistencyCheckResult|overview)|"
    "sms:migproject:list)"
)
_REGION: Final = (
    r"(?:cn|ap|af|la|na|sa|eu|me|my|ru|tr)-"
    r"(?:north|south|east|west|southwest|southeast|northeast|northwest|kualalumpur|moscow)-\d{1,3}|\*"
)
_DEVICE: Final = r"/dev/(?:[hsv]d[a-z]{1,2}\d{0,3}|xvd[a-z]{1,2}\d{0,3}|nvme\d{1,2}n\d{1,2}(?:p\d{1,3})?)|Disk \d{1,3}"
_VOLUME: Final = rf"{_DEVICE}|[A-Z]:\\?|\(Reserved\)"
_STANDARD: Final = (
    "boot|boot/efi|data|etc|home|media|mnt|opt|root|srv|swap|tmp|usr|usr/local|var|var/lib|var/log|var/tmp"
)
_FILE_SYSTEM: Final = (
    "(?i:ext[234]|xfs|btrfs|jfs|reiserfs|zfs|swap|vfat|fat16|fat32|exfat|ntfs|refs|iso9660|tmpfs|LVM2_member)"
)
_NUMBER: Final = r"-?\d{1,40}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?"

_NUMBERS: Final = """
add_date agent_cpu_usage agent_disk_io agent_mem_usage block_count block_size compress_rate count cpu_quantity
cpu_usage create_date end_date estimate_complete_time finish_date finished_time free_size index inode_nums
inode_size last_visit_time limit log_expire log_upload_time loss_percentage mem_usage memory migrate_speed
migration_speed network_delay network_jitter num_different_files num_target_miss_files num_target_more_files
num_total_files offset priority progress remain_seconds replicatesize size speed_limit stage_action_time
start_date state_action_time total_cpu_usage total_disk_io total_mem_usage total_time totalsize used_size
"""

HARMLESS_ANYWHERE: Final = re.compile(rf"|true|True|false|False|null|-?0(?:\.0)?|{_ERROR_CODE}")
"""Values that are kept in every field: the empty text, booleans that are written as text, zero, and error codes."""

_PATTERNS: Final = {
    _SOURCE_STATE: ("source_servers.state", "source_server.state", "query.state"),
    _TASK_STATE: ("current_task.state", "tasks.state", ".state"),
    _any_of(TASK_TYPES): ("current_task.type", "tasks.type", "migprojects.type", ".type"),
    _any_of(CHECK_RESULTS): ("checks.result",),
    _any_of(CHECKS): ("checks.name",),
    _any_of(SUBTASKS): ("sub_tasks.name",),
    rf"{_any_of(SUBTASKS)}-\d{{1,3}}": ("subtask_info",),
    _any_of(OS_TYPES): ("os_type",),
    _OS_VERSION: ("os_version",),
    _MIGRATION_CYCLE: ("migration_cycle",),
    _any_of(LOG_COLLECT_STATUSES): ("log_collect_status",),
    _any_of(CLONE_STATES): ("clone_state",),
    rf"{_DEVICE_USE}(?:\|{_DEVICE_USE})*": ("device_use",),
    "MANUAL|AUTO": ("start_type",),
    r"\d{3}": ("error.code",),
    _REGION: ("migprojects.region", "region_id", "region_name"),
    _DEVICE: ("disks.name",),
    _VOLUME: ("physical_volumes.name",),
    rf"(?:{_DEVICE})(?:,(?:{_DEVICE}))*": ("components",),
    rf"/(?:{_STANDARD})?|[A-Z]:\\?": ("mount_point", "dir_check"),
    rf"(?:{_STANDARD})": ("logical_volumes.name",),
    _FILE_SYSTEM: ("file_system",),
    "default": ("enterprise_project",),
    "MigrationTask": ("current_task.name", "tasks.name"),
    _NUMBER: tuple(_NUMBERS.split()),
}

_KEPT: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {field: re.compile(pattern) for pattern, fields in _PATTERNS.items() for field in fields}
)

HEADERS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "content-type": re.compile(r"[a-z]+/[a-z+.-]+(?:; ?charset=[\w-]+)?", re.IGNORECASE),
        "content-encoding": re.compile(r"[a-z]+"),
        "date": re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"),
        "retry-after": re.compile(r"\d{1,6}|[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"),
        "server": re.compile(
            r"(?:api-gateway|APIG|CloudWAF|elb|envoy|istio-envoy|nginx|openresty|squid|Tengine)(?:/[\d.]{1,20})?",
            re.IGNORECASE,
        ),
        **dict.fromkeys(
            ("x-ratelimit-api", "x-ratelimit-user", "x-ratelimit-app", "x-ratelimit-client"),
            re.compile(r"(?:[a-z]{1,12}:\d{1,9}(?: [a-z]{1,9})?,? ?)+"),
        ),
        **dict.fromkeys(("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"), re.compile(r"\d{1,12}")),
    }
)
"""The headers of an answer that are kept, with the values that they may have."""

_NAMES: Final = """
Token add_date agent_cpu_usage agent_disk_io agent_mem_usage block_count block_size check_result checks clone_error
clone_server clone_state code components compress_rate config_key config_status config_value connected
consistency_result count cpu_quantity cpu_usage create_date current_task description destination_connectivity details
device_use dir_check disks domain_connectivity encoded_authorization_message end_date enterprise_project
enterprise_project_id error errorCode errorMsg error_code error_json error_msg error_or_warn error_param error_params
estimate_complete_time evaluation_result exist_server file_system finished_time free_size has_tc host_name id index
init_target_server inode_nums inode_size ip ipv6 is_consistency_result_exist isdefault last_visit_time limit
log_bucket log_collect_status log_expire log_share_url log_upload_time logical_volumes loss_percentage mem_usage
memory message migproject migprojects migrate_speed migration_cycle migration_errors migration_ip migration_speed
mount_point name need_migration_test network_check_info network_delay network_jitter num_different_files
num_target_miss_files num_target_more_files num_total_files oem_system offset os_type os_version params
physical_volumes priority process_trace progress project_id project_name region region_id remain_seconds replicatesize
request_id result result_list size source_id source_ip source_server source_servers special_config speed_limit
stage_action_time start_date start_network_check start_target_server start_type state state_action_time sub_tasks
subtask_info syncing target_ip target_server task_id tasks title total_cpu_usage total_disk_io total_mem_usage
total_time totalsize type use_public_ip used_size uuid vm_id vm_template_id volume_groups
"""
KNOWN_NAMES: Final = frozenset(_NAMES.split())
"""The names of fields that are documented or have been seen."""

FIELD_NAME: Final = re.compile(r"[A-Za-z_]{1,48}|ipv[46]|is_[a-z0-9_]{1,40}")
"""What the names of unknown fields look like that are kept, in documented objects only."""

_OBJECTS: Final = """
error current_task target_server clone_server init_target_server source_server network_check_info
source_servers[] tasks[] migration_errors[] migprojects[] checks[] disks[] physical_volumes[] volume_groups[]
logical_volumes[] sub_tasks[] special_config[] result_list[] consistency_result[] details[]
"""
DOCUMENTED_OBJECTS: Final = frozenset(_OBJECTS.split())
"""The fields whose value is an object, and with `[]` those whose value is a list of objects.

The keys of other objects can be data of the customer, for example the tags of a server.
"""

PATH_WORDS: Final = frozenset(
    {"", "v3", "sources", "overview", "tasks", "consistency-result", "errors", "migprojects", "speed-limit"}
)
"""The parts of a path that are not ids."""

CODES: Final = re.compile(rf"\b{_ERROR_CODE}\b|\b{_ACTION}\b")
"""Error codes and documented IAM actions, which are kept in private texts."""


def is_harmless(parent: str, key: str, text: str) -> bool:
    """Return whether a text, or a number as text, of the field `key` of an object in the field `parent` can be kept."""
    if is_harmless_anywhere(text):
        return True
    pattern = _KEPT.get(f"{parent}.{key}") or _KEPT.get(key)
    return pattern is not None and pattern.fullmatch(text) is not None


def is_harmless_anywhere(text: str) -> bool:
    """Return whether a text, or a number as text, can be kept in every field."""
    return HARMLESS_ANYWHERE.fullmatch(text) is not None
