"""Files that the configuration names, read with bounds."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnusableFile(OSError):
    """A path leads to something else than a regular file, or to one that is too large."""


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raise UnusableFile if it is not a regular file or larger than `max_bytes`, and OSError if it cannot be read.
    """
    # Without O_NONBLOCK, opening a FIFO blocks until another process writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_mode(os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise UnusableFile(errno.EFBIG, f"it is larger than {max_bytes} bytes")
    return content


def check_regular_file(path: Path) -> Path:
    """Return the path. Raise ValueError unless it is that of a regular file."""
    try:
        _check_mode(path.stat().st_mode)
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ValueError(msg) from None
    return path


def check_directory(path: Path) -> Path:
    """Return the path of a directory, which need not exist. Raise ValueError if something else has this path."""
    with contextlib.suppress(OSError):  # The exporter reports it when it starts to use the directory.
        if not stat.S_ISDIR(path.stat().st_mode):
            msg = "is not a directory"
            raise ValueError(msg)
    return path


def _check_mode(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "a special file")
        raise UnusableFile(errno.EINVAL, f"it is {kind}, not a regular file")
