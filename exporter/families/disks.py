"""The collector `disks`: disks, partitions and LVM volumes of each source server. Many series per server."""

from typing import Final

from exporter.families.family import Collector, Rows, ValueFamily
from exporter.sms.model import Disk, SourceServer, VolumeGroup

_DISK: Final = "init_target_server.disks[]"
_VOLUME: Final = f"{_DISK}.physical_volumes[]"
_GROUP: Final = "init_target_server.volume_groups[]"
_LOGICAL: Final = f"{_GROUP}.logical_volumes[]"


def _get_disks(server: SourceServer) -> tuple[Disk, ...]:
    return (server.init_target_server.disks if server.init_target_server else None) or ()


def _get_groups(server: SourceServer) -> tuple[VolumeGroup, ...]:
    return (server.init_target_server.volume_groups if server.init_target_server else None) or ()


DISK_ROWS: Final = Rows(
    _DISK,
    {"device_use": f"{_DISK}.device_use", "disk": f"{_DISK}.name"},
    lambda server: [((disk.device_use or "", disk.name or ""), disk) for disk in _get_disks(server)],
)
VOLUME_ROWS: Final = Rows(
    _VOLUME,
    {
        "device_use": f"{_VOLUME}.device_use",
        "disk": f"{_DISK}.name",
        "file_system": f"{_VOLUME}.file_system",
        "mount_point": f"{_VOLUME}.mount_point",
        "volume": f"{_VOLUME}.name",
    },
    lambda server: [
        (
            (
                volume.device_use or "",
                disk.name or "",
                volume.file_system or "",
                volume.mount_point or "",
                volume.name or "",
            ),
            volume,
        )
        for disk in _get_disks(server)
        for volume in disk.physical_volumes or ()
    ],
)
GROUP_ROWS: Final = Rows(
    _GROUP,
    {"volume_group": f"{_GROUP}.name"},
    lambda server: [((group.name or "",), group) for group in _get_groups(server)],
)
LOGICAL_ROWS: Final = Rows(
    _LOGICAL,
    {
        "device_use": f"{_LOGICAL}.device_use",
        "file_system": f"{_LOGICAL}.file_system",
        "logical_volume": f"{_LOGICAL}.name",
        "mount_point": f"{_LOGICAL}.mount_point",
        "volume_group": f"{_GROUP}.name",
    },
    lambda server: [
        (
            (
                volume.device_use or "",
                volume.file_system or "",
                volume.name or "",
                volume.mount_point or "",
                group.name or "",
            ),
            volume,
        )
        for group in _get_groups(server)
        for volume in group.logical_volumes or ()
    ],
)


def _first_given(numbers: tuple[int | None, ...]) -> int | None:
    return next((number for number in numbers if number is not None), None)


DISKS: Final = Collector(
    "disks",
    (
        ValueFamily("source_server_disk_size_bytes", "Size of the disk.", "size", rows=DISK_ROWS),
        ValueFamily("source_server_disk_used_bytes", "Used space of the disk.", "used_size", rows=DISK_ROWS),
        ValueFamily("source_server_volume_size_bytes", "Size of the partition.", "size", rows=VOLUME_ROWS),
        ValueFamily("source_server_volume_used_bytes", "Used space of the partition.", "used_size", rows=VOLUME_ROWS),
        ValueFamily(
            "source_server_volume_inodes", "Number of inodes of the partition.", "inode_size", rows=VOLUME_ROWS
        ),
        ValueFamily("source_server_volume_group_size_bytes", "Size of the volume group.", "size", rows=GROUP_ROWS),
        ValueFamily(
            "source_server_volume_group_free_bytes", "Free space of the volume group.", "free_size", rows=GROUP_ROWS
        ),
        ValueFamily(
            "source_server_logical_volume_size_bytes", "Size of the logical volume.", "size", rows=LOGICAL_ROWS
        ),
        ValueFamily(
            "source_server_logical_volume_used_bytes",
            "Used space of the logical volume.",
            "used_size",
            rows=LOGICAL_ROWS,
        ),
        ValueFamily(
            "source_server_logical_volume_free_bytes",
            "Free space of the logical volume.",
            "free_size",
            rows=LOGICAL_ROWS,
        ),
        ValueFamily(
            "source_server_logical_volume_inodes",
            "Number of inodes of the logical volume.",
            ("inode_nums", "inode_size"),
            _first_given,
            LOGICAL_ROWS,
        ),
    ),
)
