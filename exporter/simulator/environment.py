"""The environment checks of a simulated server, in the order and with the names of real agents."""

from random import Random
from typing import Final, TypeAlias

Check: TypeAlias = dict[str, object]

WINDOWS_CHECKS: Final = (
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
)
LINUX_CHECKS: Final = (
    "OS_VERSION",
    "CPU",
    "MEMORY",
    "PARAVIRTUALIZATION",
    "FIRMWARE",
    "BOOT_LOADER",
    "RSYNC",
    "RAW_DEVICES",
    "DISK_INFO",
    "PARTITION_STYLE",
    "FILE_SYSTEM",
    "LINUX_BLOCK_SUPPORT",
)

# (check, error code): the migration continues after a warning; an error makes the server unavailable.
_WINDOWS_WARNINGS: Final = (("FREE_SPACE", "SMS.6543"), ("OEM_SYSTEM", "SMS.6559"))
_WINDOWS_ERRORS: Final = (
    ("OS_VERSION", "SMS.6504"),
    ("DRIVER_FILE", "SMS.6563"),
    ("SERVICE", "SMS.6533"),
    ("ACCOUNT_RIGHTS", "SMS.6509"),
)
_LINUX_WARNINGS: Final = (("LINUX_BLOCK_SUPPORT", "SMS.6617"), ("DISK_INFO", "SMS.6618"))
_LINUX_ERRORS: Final = (
    ("OS_VERSION", "SMS.6504"),
    ("RSYNC", "SMS.6512"),
    ("BOOT_LOADER", "SMS.6528"),
    ("FILE_SYSTEM", "SMS.6524"),
)
_WARNING_SHARE: Final = 0.12


def build_checks(rng: Random, *, windows: bool, index: int) -> tuple[list[Check], list[Check]]:
    """Return random checks twice: all passing, possibly with a warning, and with one that fails."""
    names = WINDOWS_CHECKS if windows else LINUX_CHECKS
    warned = rng.choice(_WINDOWS_WARNINGS if windows else _LINUX_WARNINGS)
    failed = rng.choice(_WINDOWS_ERRORS if windows else _LINUX_ERRORS)
    passing = [_passed(524_000 + index * len(names) + number, name) for number, name in enumerate(names)]
    if rng.random() < _WARNING_SHARE:
        passing = [_marked(check, "WARN", *warned) for check in passing]
    return passing, [_marked(check, "ERROR", *failed) for check in passing]


def _passed(number: int, name: str) -> Check:
    return {
        "id": number,
        "params": [""],
        "name": name,
        "result": "OK",
        "error_code": None,
        "error_params": "",
    }


def _marked(check: Check, result: str, name: str, code: str) -> Check:
    if check["name"] != name:
        return check
    return {**check, "result": result, "error_code": code, "error_or_warn": f"{name} check: {result}"}
