"""Which texts of the API are known to be harmless: an allow-list of fields, each with the texts that it may have.

Every other text is private. A field is written `parent.key` if only the fields of that name in that object are meant.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_WORDS: Final = r"[A-Za-z][A-Za-z_]{0,39}(?:\|[A-Za-z_]{1,40})*"
_CODE: Final = r"[A-Z][A-Za-z]{1,9}\.\d{4,8}"
_REGION: Final = r"[a-z]{2,4}-[a-z]{2,12}-\d{1,2}|\*"
_DEVICE: Final = r"/dev/(?:[hsv]d[a-z]{1,2}\d{0,3}|xvd[a-z]{1,2}\d{0,3}|nvme\d{1,2}n\d{1,2}(?:p\d{1,3})?)|Disk \d{1,3}"
_VOLUME: Final = rf"{_DEVICE}|[A-Z]:\\?|\(Reserved\)"
_STANDARD: Final = (
    "boot|boot/efi|data|etc|home|media|mnt|opt|root|srv|swap|tmp|usr|usr/local|var|var/lib|var/log|var/tmp"
)
_PERCENT: Final = r"[A-Z][A-Z_]{0,59}-\d{1,3}"
_NUMBER: Final = r"-?\d{1,19}(?:\.\d{1,9})?"

HARMLESS_ANYWHERE: Final = re.compile(r"|true|True|false|False|null")
"""Texts that are kept in every field: the empty one, and booleans that are written as text."""

_PATTERNS: Final = {
    _WORDS: (
        "source_servers.state",
        "current_task.state",
        "tasks.state",
        "source_server.state",
        ".state",
        "query.state",
        "current_task.type",
        "tasks.type",
        "migprojects.type",
        ".type",
        "checks.result",
        "result_list.check_result",
        ".check_result",
        "network_check_info.evaluation_result",
        "special_config.config_key",
        "special_config.config_status",
        "os_type",
        "migration_cycle",
        "log_collect_status",
        "clone_state",
        "device_use",
        "partition_style",
        "start_type",
        "firmware",
        "query.connected",
        "query.is_consistency_result_exist",
    ),
    r"[A-Z][A-Z0-9_]{0,59}": ("checks.name", "sub_tasks.name"),
    r"[A-Z][A-Z0-9_.]{0,79}": ("os_version",),
    _CODE: ("error_code", "errorCode", ".code", "error.code", "clone_error"),
    _REGION: ("migprojects.region", "region_id", "region_name"),
    _PERCENT: ("subtask_info",),
    _DEVICE: ("disks.name", "relation_name"),
    _VOLUME: ("physical_volumes.name",),
    rf"(?:{_DEVICE})(?:,(?:{_DEVICE}))*": ("components",),
    rf"/(?:{_STANDARD})?|[A-Z]:\\?": ("mount_point", "dir_check", "system_dir"),
    rf"(?:{_STANDARD})": ("logical_volumes.name",),
    r"[A-Za-z][A-Za-z0-9_]{1,15}": ("file_system",),
    r"\d{1,3}": ("index", "disk_index"),
    "0": ("enterprise_project_id",),
    "default": ("enterprise_project",),
    "MigrationTask": ("current_task.name", "tasks.name"),
    _NUMBER: (
        "limit",
        "offset",
        "count",
        "memory",
        "cpu_quantity",
        "size",
        "used_size",
        "free_size",
        "totalsize",
        "replicatesize",
        "migrate_speed",
        "speed_limit",
        "compress_rate",
        "remain_seconds",
        "progress",
        "priority",
        "add_date",
        "start_date",
        "end_date",
        "create_date",
        "finish_date",
        "finished_time",
        "estimate_complete_time",
        "last_visit_time",
        "state_action_time",
        "stage_action_time",
        "log_upload_time",
        "log_expire",
    ),
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
14 14 14 14 14 16: 16: 16: 16: 16: 1: 1: 1: 1: 1: 1: 1: 1: 1: 1: 1: 1: 1: 2: 3: 3: add_date agent_cpu_usage
agent_disk_io agent_mem_usage block_count block_size body/count body/source_servers check_result checks clone_error
clone_server clone_state code components compress_rate config_key config_status config_value connected
consistency_result count cpu_quantity cpu_usage create_date current_task description destination_connectivity
details device_use dir_check disks domain_connectivity encoded_authorization_message end_date enterprise_project
enterprise_project_id error error_code error_json error_msg error_or_warn error_param error_params errorCode
errorMsg errors/details errors/encoded_authorization_message errors/error_code errors/error_msg errors/error_param
estimate_complete_time evaluation_result exist_server file_system finished_time free_size has_tc headers/X-Auth-
Token host_name id index init_target_server inode_nums inode_size ip ipv6 is_consistency_result_exist isdefault
last_visit_time log_bucket log_collect_status log_expire log_share_url log_upload_time logical_volumes
loss_percentage mem_usage memory message migprojects migrate_speed migration_cycle migration_errors migration_ip
migration_speed mount_point name need_migration_test network_check_info network_delay network_jitter
num_different_files num_target_miss_files num_target_more_files num_total_files oem_system os_type os_version
parameters/connected parameters/enterprise_project_id parameters/id parameters/ip parameters/ipv6
parameters/is_consistency_result_exist parameters/limit parameters/migproject parameters/migration_cycle
parameters/name parameters/offset parameters/state parameters/vm_id params physical_volumes priority process_trace
progress project_id project_name query query query query query query query query query query query query query
region region_id remain_seconds replicatesize request request_id response response result result_list size source_id
source_ip source_server source_servers special_config speed_limit stage_action_time start_date start_network_check
start_target_server start_type state state_action_time sub_tasks subtask_info syncing Table Table Table Table Table
Table Table Table Table Table Table Table Table Table Table Table Tables Tables Tables Tables Tables target_ip
target_server task_id tasks title to to to to to total_cpu_usage total_disk_io total_mem_usage total_time totalsize
type use_public_ip used_size uuid vm_id vm_template_id volume_groups
"""
KNOWN_NAMES: Final = frozenset(_NAMES.split())
"""The names of fields that are documented or have been seen."""

FIELD_NAME: Final = re.compile(r"[A-Za-z_]{1,48}|ipv[46]|is_[a-z0-9_]{1,40}")
"""What the names of fields look like that are not known; other keys of objects are private."""

PATH_WORDS: Final = frozenset(
    {"", "v3", "sources", "overview", "tasks", "consistency-result", "errors", "migprojects", "speed-limit"}
)
"""The parts of a path that are not ids."""

CODES: Final = re.compile(r"\b(?:SMS|APIGW|APIG)\.\d{4}\b|\bsms:[a-z]{2,20}:[A-Za-z]{2,40}\b")
"""Error codes and IAM actions, which are kept in private texts."""


def is_harmless(parent: str, key: str, text: str) -> bool:
    """Return whether a text of the field `key` of an object in the field `parent` can be kept."""
    if HARMLESS_ANYWHERE.fullmatch(text):
        return True
    pattern = _KEPT.get(f"{parent}.{key}") or _KEPT.get(key)
    return pattern is not None and pattern.fullmatch(text) is not None
