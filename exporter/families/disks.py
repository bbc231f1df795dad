"""The collector `disks`: disks, volumes and volume groups of each source server. Many series a server."""

from collections.abc import Callable
from typing import Final

from exporter.families.family import Collector, Sample, ServerFamily
from exporter.sms.model import Disk, LogicalVolume, PhysicalVolume, SourceServer, VolumeGroup


def _disks(server: SourceServer) -> tuple[Disk, ...]:
    return (server.init_target_server.disks if server.init_target_server else None) or ()


def _groups(server: SourceServer) -> tuple[VolumeGroup, ...]:
    return (server.init_target_server.volume_groups if server.init_target_server else None) or ()


def _of_disk(name: str, text: str, field: str, value: Callable[[Disk], float | None]) -> ServerFamily:
    def samples(server: SourceServer) -> list[Sample]:
        return [
            (_labels(disk.device_use, disk.name), number)
            for disk in _disks(server)
            if (number := value(disk)) is not None
        ]

    source = f"init_target_server.disks[].{field}"
    return ServerFamily(f"source_server_disk_{name}", text, source, samples, ("device_use", "disk"))


def _of_volume(
    name: str,
    text: str,
    field: str,
    value: Callable[[PhysicalVolume], float | None],
) -> ServerFamily:
    def samples(server: SourceServer) -> list[Sample]:
        return [
            (_labels(volume.device_use, disk.name, volume.file_system, volume.mount_point, volume.name), number)
            for disk in _disks(server)
            for volume in disk.physical_volumes or ()
            if (number := value(volume)) is not None
        ]

    source = f"init_target_server.disks[].physical_volumes[].{field}"
    labels = ("device_use", "disk", "file_system", "mount_point", "volume")
    return ServerFamily(f"source_server_volume_{name}", text, source, samples, labels)


def _of_group(name: str, text: str, field: str, value: Callable[[VolumeGroup], float | None]) -> ServerFamily:
    def samples(server: SourceServer) -> list[Sample]:
        return [(_labels(group.name), number) for group in _groups(server) if (number := value(group)) is not None]

    source = f"init_target_server.volume_groups[].{field}"
    return ServerFamily(f"source_server_volume_group_{name}", text, source, samples, ("volume_group",))


def _of_logical(
    name: str,
    text: str,
    field: str,
    value: Callable[[LogicalVolume], float | None],
) -> ServerFamily:
    def samples(server: SourceServer) -> list[Sample]:
        return [
            (_labels(volume.device_use, volume.file_system, volume.name, volume.mount_point, group.name), number)
            for group in _groups(server)
            for volume in group.logical_volumes or ()
            if (number := value(volume)) is not None
        ]

    source = f"init_target_server.volume_groups[].logical_volumes[].{field}"
    labels = ("device_use", "file_system", "logical_volume", "mount_point", "volume_group")
    return ServerFamily(f"source_server_logical_volume_{name}", text, source, samples, labels)


def _labels(*values: str | None) -> tuple[str, ...]:
    return tuple(value or "" for value in values)


DISKS: Final = Collector(
    "disks",
    (
        _of_disk("size_bytes", "Size of a disk.", "size", lambda disk: disk.size),
        _of_disk("used_bytes", "Used space of a disk.", "used_size", lambda disk: disk.used_size),
        _of_volume("size_bytes", "Size of a partition.", "size", lambda volume: volume.size),
        _of_volume("used_bytes", "Used space of a partition.", "used_size", lambda volume: volume.used_size),
        _of_volume("inodes", "Inodes of a partition.", "inode_size", lambda volume: volume.inode_size),
        _of_group("size_bytes", "Size of a volume group.", "size", lambda group: group.size),
        _of_group("free_bytes", "Free space of a volume group.", "free_size", lambda group: group.free_size),
        _of_logical("size_bytes", "Size of a logical volume.", "size", lambda volume: volume.size),
        _of_logical("used_bytes", "Used space of a logical volume.", "used_size", lambda volume: volume.used_size),
        _of_logical("free_bytes", "Free space of a logical volume.", "free_size", lambda volume: volume.free_size),
        _of_logical(
            "inodes",
            "Inodes of a logical volume.",
            "inode_nums, else .inode_size",
            lambda volume: volume.inode_size if volume.inode_nums is None else volume.inode_nums,
        ),
    ),
)
