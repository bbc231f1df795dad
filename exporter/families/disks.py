"""The collector `disks`: disks, partitions and LVM volumes of each source server. Many series per server."""

from typing import Final

from exporter.families.family import Collector, LabelFamily, Rows, Sample, ValueFamily
from exporter.sms.model import Disk, SourceServer, VolumeGroup

_DISK: Final = "init_target_server.disks[]"
_VOLUME: Final = f"{_DISK}.physical_volumes[]"
_GROUP: Final = "init_target_server.volume_groups[]"
_LOGICAL: Final = f"{_GROUP}.logical_volumes[]"


def _get_disks(server: SourceServer) -> tuple[Disk, ...]:
    return (server.init_target_server.disks if server.init_target_server else None) or ()


def _get_groups(server: SourceServer) -> tuple[VolumeGroup, ...]:
    return (server.init_target_server.volume_groups if server.init_target_server else None) or ()


def _texts(*values: str | None) -> tuple[str, ...]:
    return tuple([value or "" for value in values])


DISK_ROWS: Final = Rows(
    _DISK,
    {"device_use": f"{_DISK}.device_use", "disk": f"{_DISK}.name"},
    lambda server: [(_texts(disk.device_use, disk.name), disk) for disk in _get_disks(server)],
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
        (_texts(volume.device_use, disk.name, volume.file_system, volume.mount_point, volume.name), volume)
        for disk in _get_disks(server)
        for volume in disk.physical_volumes or ()
    ],
)
GROUP_ROWS: Final = Rows(
    _GROUP,
    {"volume_group": f"{_GROUP}.name"},
    lambda server: [(_texts(group.name), group) for group in _get_groups(server)],
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
        (_texts(volume.device_use, volume.file_system, volume.name, volume.mount_point, group.name), volume)
        for group in _get_groups(server)
        for volume in group.logical_volumes or ()
    ],
)


def _logical_inodes(server: SourceServer) -> list[Sample]:
    return [
        (labels, inodes)
        for labels, volume in LOGICAL_ROWS.read(server)
        if (inodes := volume.inode_size if volume.inode_nums is None else volume.inode_nums) is not None
    ]


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
        LabelFamily(
            "source_server_logical_volume_inodes",
            "Number of inodes of the logical volume.",
            _logical_inodes,
            LOGICAL_ROWS.labels,
            values=(f"{_LOGICAL}.inode_nums", f"{_LOGICAL}.inode_size"),
        ),
    ),
)
