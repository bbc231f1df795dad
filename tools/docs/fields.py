"""Where every field of the API reference goes: to a metric, to an option, or nowhere and why.

Paths are those of `GET /v3/sources`; `[]` stands for each element of a list. A metric is named without the
prefix; behind a `:` stands the label that has the value.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SERVER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # Table 4, SourceServersResponseBody
        "id": ("source_server_info:server_id",),
        "ip": ("source_server_info:ip",),
        "name": ("source_server_info:name",),
        "enterprise_project_id": ("source_server_info:enterprise_project_id",),
        "add_date": ("source_server_registered_timestamp_seconds",),
        "os_type": ("source_server_info:os_type", "source_servers_by_os:os_type"),
        "os_version": ("source_server_info:os_version",),
        "oem_system": ("source_server_oem_system",),
        "state": ("source_server_state:state", "source_servers:state"),
        "connected": ("source_server_connected", "source_servers_by_connection:connected"),
        "cpu_quantity": ("source_server_cpus",),
        "memory": ("source_server_memory_bytes",),
        "replicatesize": ("source_server_replicated_bytes", "source_servers_replicated_bytes"),
        "stage_action_time": ("source_server_migration_cycle_changed_timestamp_seconds",),
        "totalsize": ("source_server_size_bytes", "source_servers_size_bytes"),
        "last_visit_time": ("source_server_last_visit_timestamp_seconds",),
        "migration_cycle": (
            "source_server_migration_cycle:migration_cycle",
            "source_servers_by_migration_cycle:migration_cycle",
        ),
        "state_action_time": ("source_server_state_changed_timestamp_seconds",),
        "is_consistency_result_exist": ("source_server_consistency_result",),
        "has_tc": ("source_server_has_tc",),
        # Table 5, TaskByServerSources
        "current_task.id": ("task_info:task_id",),
        "current_task.name": ("task_info:task_name",),
        "current_task.type": ("task_info:task_type",),
        "current_task.state": ("task_state:state",),
        "current_task.estimate_complete_time": ("task_estimated_completion_timestamp_seconds",),
        "current_task.start_date": ("task_started_timestamp_seconds",),
        "current_task.speed_limit": ("task_speed_limit_bytes_per_second",),
        "current_task.migrate_speed": (
            "task_migrate_speed_bytes_per_second",
            "source_servers_migrate_speed_bytes_per_second",
        ),
        "current_task.compress_rate": ("task_compress_rate",),
        "current_task.start_target_server": ("task_start_target_server",),
        "current_task.vm_template_id": ("task_info:template_id",),
        "current_task.region_id": ("task_info:target_region",),
        "current_task.project_name": ("task_info:target_project",),
        "current_task.project_id": ("task_info:target_project_id",),
        "current_task.log_collect_status": ("task_log_collect_status:status",),
        "current_task.exist_server": ("task_existing_server",),
        "current_task.use_public_ip": ("task_public_ip",),
        "current_task.remain_seconds": ("task_remaining_seconds",),
        "current_task.log_upload_time": ("task_log_upload_timestamp_seconds",),
        "current_task.subtask_info": ("task_subtask_info:subtask", "task_subtask_progress_ratio"),
        # Table 6, TargetServerById
        "current_task.target_server.vm_id": ("task_info:target_server_id",),
        "current_task.target_server.name": ("task_info:target_server_name",),
        # Table 7, CloneServer
        "current_task.clone_server.vm_id": ("task_clone_info:clone_id",),
        "current_task.clone_server.name": ("task_clone_info:clone_name",),
        "current_task.clone_server.clone_error": ("task_clone_state:clone_error",),
        "current_task.clone_server.clone_state": ("task_clone_state:clone_state",),
        # Table 8, EnvironmentCheck
        "checks[].name": ("source_server_check_failed:check", "source_servers_failed_checks:check"),
        "checks[].result": ("source_server_check_failed:result", "source_server_checks:result"),
        "checks[].error_code": ("source_server_check_failed:error_code",),
        # Tables 9 and 10, InitTargetServer and DiskIntargetServer
        "init_target_server.disks[].name": ("source_server_disk_size_bytes:disk",),
        "init_target_server.disks[].size": ("source_server_disk_size_bytes",),
        "init_target_server.disks[].device_use": ("source_server_disk_size_bytes:device_use",),
        "init_target_server.disks[].used_size": ("source_server_disk_used_bytes",),
        # Table 11, PhysicalVolumes
        "init_target_server.disks[].physical_volumes[].device_use": ("source_server_volume_size_bytes:device_use",),
        "init_target_server.disks[].physical_volumes[].file_system": ("source_server_volume_size_bytes:file_system",),
        "init_target_server.disks[].physical_volumes[].mount_point": ("source_server_volume_size_bytes:mount_point",),
        "init_target_server.disks[].physical_volumes[].name": ("source_server_volume_size_bytes:volume",),
        "init_target_server.disks[].physical_volumes[].size": ("source_server_volume_size_bytes",),
        "init_target_server.disks[].physical_volumes[].inode_size": ("source_server_volume_inodes",),
        "init_target_server.disks[].physical_volumes[].used_size": ("source_server_volume_used_bytes",),
        # Table 12, VolumeGroups
        "init_target_server.volume_groups[].free_size": ("source_server_volume_group_free_bytes",),
        "init_target_server.volume_groups[].name": ("source_server_volume_group_size_bytes:volume_group",),
        "init_target_server.volume_groups[].size": ("source_server_volume_group_size_bytes",),
        # Table 13, LogicalVolumes
        "init_target_server.volume_groups[].logical_volumes[].file_system": (
            "source_server_logical_volume_size_bytes:file_system",
        ),
        "init_target_server.volume_groups[].logical_volumes[].inode_size": ("source_server_logical_volume_inodes",),
        "init_target_server.volume_groups[].logical_volumes[].inode_nums": ("source_server_logical_volume_inodes",),
        "init_target_server.volume_groups[].logical_volumes[].device_use": (
            "source_server_logical_volume_size_bytes:device_use",
        ),
        "init_target_server.volume_groups[].logical_volumes[].mount_point": (
            "source_server_logical_volume_size_bytes:mount_point",
        ),
        "init_target_server.volume_groups[].logical_volumes[].name": (
            "source_server_logical_volume_size_bytes:logical_volume",
        ),
        "init_target_server.volume_groups[].logical_volumes[].size": ("source_server_logical_volume_size_bytes",),
        "init_target_server.volume_groups[].logical_volumes[].used_size": ("source_server_logical_volume_used_bytes",),
        "init_target_server.volume_groups[].logical_volumes[].free_size": ("source_server_logical_volume_free_bytes",),
    },
)
"""The fields of a source server that are exposed, with the metrics that have them."""

LEFT_OUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "current_task.log_bucket": "where logs are is for those who may read them",
        "current_task.log_share_url": "who has the link has the logs: it is a secret",
        "current_task.log_expire": "how long that link is valid, of no use without it",
        "current_task.clone_server.error_msg": "free text is unbounded; clone_error has the code",
        "checks[].id": "a number of the check that says nothing to a person",
        "checks[].params": "free text is unbounded",
        "checks[].error_or_warn": "free text is unbounded; result and error_code say it",
        "checks[].error_params": "free text is unbounded",
        "init_target_server.disks[].physical_volumes[].index": "the place in the list says nothing of the volume",
        "init_target_server.disks[].physical_volumes[].uuid": "an identifier that nothing else is joined by",
        "init_target_server.volume_groups[].components": "free text is unbounded; disks have the volumes",
        "init_target_server.volume_groups[].logical_volumes[].block_count": "times block_size it is the size again",
        "init_target_server.volume_groups[].logical_volumes[].block_size": "times block_count it is the size again",
    },
)
"""The fields of a source server that are not exposed, with the reason."""

ELSEWHERE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Table 1: query parameters": MappingProxyType(
            {
                "state": "option `filter.state`",
                "name": "option `filter.name`",
                "id": "option `filter.id`",
                "ip": "option `filter.ip`",
                "ipv6": "option `filter.ipv6`",
                "migproject": "option `filter.migproject`",
                "limit": "always 200, the most that the API gives",
                "offset": "moved through the list; see option `api.paging`",
                "migration_cycle": "option `filter.migration_cycle`",
                "connected": "option `filter.connected`",
                "enterprise_project_id": "option `filter.enterprise_project_id`",
                "is_consistency_result_exist": "option `filter.is_consistency_result_exist`",
                "vm_id": "option `filter.vm_id`",
            },
        ),
        "Table 2: request headers": MappingProxyType({"X-Auth-Token": "options `auth.*`"}),
        "Table 3: response body": MappingProxyType(
            {"count": "`api_source_servers`", "source_servers": "`snapshot_source_servers` and all below"},
        ),
        "Tables 14 to 16: errors": MappingProxyType(
            {
                "error_code": "the log line of the failed poll; chooses its `reason`",
                "error_msg": "the log line of the failed poll",
                "encoded_authorization_message": "left out: it may tell of policies",
                "error_param": "left out: it repeats error_msg",
                "details[].error_code": "left out: it repeats error_code",
                "details[].error_msg": "left out: it repeats error_msg",
            },
        ),
    },
)
"""The fields of the reference that are of no server."""
