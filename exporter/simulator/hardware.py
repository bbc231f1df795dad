"""The disks and volumes of a simulated server. All sizes are in bytes and add up to the migrated size."""

from random import Random
from typing import Final, TypeAlias

Part: TypeAlias = dict[str, object]

_GIBIBYTE: Final = 1 << 30
_BLOCK: Final = 4096
_BOOT: Final = 512 << 20
_LVM_SHARE: Final = 0.35
_BOTH_USES: Final = 3
"""One system volume in so many is reported as `BOOT|OS`."""
_INODE_BYTES: Final = 16_384
_PLAIN_SHARE: Final = 0.2
"""Share of servers whose agent reports only name, size and use of a disk, as in the example of the reference."""


def build_target(rng: Random, *, windows: bool, used: int) -> Part:
    """Return random recommended disks and volume groups for `used` bytes of data."""
    data_disk = rng.random() < 0.4  # noqa: PLR2004 - a share
    system_used = int(used * rng.uniform(0.2, 0.6)) if data_disk else used
    contents = [(system_used, True)] + ([(used - system_used, False)] if data_disk else [])
    if rng.random() < _PLAIN_SHARE:
        return {"disks": [_disk(windows, number, *content) for number, content in enumerate(contents)]}
    if windows:
        return {"disks": [_windows_disk(rng, number, *content) for number, content in enumerate(contents)]}
    lvm = rng.random() < _LVM_SHARE
    disks = [
        _linux_disk(rng, number, *content, lvm=lvm and number == len(contents) - 1)
        for number, content in enumerate(contents)
    ]
    groups = [_volume_group(contents[-1], disks[-1])] if lvm else []
    return {"disks": disks, "volume_groups": groups}


def _disk(windows: bool, number: int, used: int, system: bool) -> Part:
    name = f"Disk {number}" if windows else f"/dev/vd{'abcd'[number]}"
    use = ("OS" if windows else "BOOT") if system else "NORMAL"
    return {"name": name, "size": _disk_size(used), "device_use": use}


def _disk_size(used: int) -> int:
    """Return the size of a disk, a multiple of 10 GiB, that is about 60 % full with `used` bytes."""
    return -(-int(used * 1.6 + _GIBIBYTE) // (10 * _GIBIBYTE)) * 10 * _GIBIBYTE


def _size(disk: Part) -> int:
    return int(str(disk["size"]))


def _windows_disk(rng: Random, number: int, used: int, system: bool) -> Part:
    disk = _disk(True, number, used, system)
    size = _size(disk)
    letter = "CDE"[number]
    volumes = [
        _volume(rng, 1, f"{letter}:", size - _BOOT, used, file_system="NTFS", use="OS" if system else "NORMAL"),
    ]
    if system:
        volumes.insert(0, _volume(rng, 0, "(Reserved)", _BOOT, 0, file_system="NTFS", use="BOOT"))
    return {**disk, "used_size": used, "physical_volumes": volumes}


def _linux_disk(rng: Random, number: int, used: int, system: bool, *, lvm: bool) -> Part:
    disk = _disk(False, number, used, system)
    size = _size(disk)
    name = str(disk["name"])
    if lvm:
        volumes = [
            _volume(rng, 0, f"{name}1", size, used, file_system="LVM2_member", use="VOLUME_GROUP"),
        ]
    else:
        file_system = rng.choice(("ext4", "xfs"))
        mount = "/" if system else rng.choice(("/data", "/var/lib/pgsql", "/srv", "/home"))
        # Some agents report both uses of the only volume of a system disk.
        use = ("BOOT|OS" if used % _BOTH_USES == 0 else "OS") if system else "NORMAL"
        volumes = [
            {
                **_volume(rng, 0, f"{name}1", size, used, file_system=file_system, use=use),
                "mount_point": mount,
                "inode_size": size // _INODE_BYTES,
            },
        ]
    return {**disk, "used_size": used, "physical_volumes": volumes}


def _volume(
    rng: Random,
    index: int,
    name: str,
    size: int,
    used: int,
    *,
    file_system: str,
    use: str,
) -> Part:
    return {
        "device_use": use,
        "file_system": file_system,
        "index": index,
        "mount_point": name if name.endswith(":") else "",
        "name": name,
        "size": size,
        "used_size": used,
        "uuid": f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}",
    }


def _volume_group(content: tuple[int, bool], disk: Part) -> Part:
    """Return the group on the last disk: a volume for the system or the data, and one for logs."""
    used, system = content
    size = _size(disk)
    logs_used = used // 10
    volumes = [
        _logical_volume("root" if system else "data", "/" if system else "/data", size * 3 // 4, used - logs_used),
        _logical_volume("logs", "/var/log", size // 8, logs_used),
    ]
    return {
        "components": f"{disk['name']}1",
        "free_size": size - size * 3 // 4 - size // 8,
        "logical_volumes": volumes,
        "name": "vg0" if system else "vg_data",
        "size": size,
    }


def _logical_volume(name: str, mount: str, size: int, used: int) -> Part:
    return {
        "block_count": size // _BLOCK,
        "block_size": _BLOCK,
        "file_system": "xfs",
        "inode_size": 512,
        "inode_nums": size // _INODE_BYTES,
        "device_use": "OS" if mount == "/" else "NORMAL",
        "mount_point": mount,
        "name": name,
        "size": size,
        "used_size": used,
        "free_size": size - used,
    }
