"""A directory that one process at a time writes, and files in it that are replaced as a whole or not at all."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from exporter.settings.files import read_regular_file

MAX_FILE_BYTES: Final = 256 * 2**20
"""Maximum size of a file: about a hundred times that of the state of 10,000 servers."""

LOCK_NAME: Final = ".lock"


class DirectoryInUse(OSError):
    """Another process has locked the directory."""

    def __init__(self) -> None:
        super().__init__(errno.EWOULDBLOCK, "another exporter uses this directory")


class FileSystem(Protocol):
    """The operations that make a new content permanent; tests let them fail one by one."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write the beginning of `data`, and return how many bytes were written."""

    def sync(self, descriptor: int) -> None:
        """Wait until a file or a directory is on the disk."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file, in place of another one."""


class SystemFiles:
    """The file system of the machine."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write the beginning of `data`, and return how many bytes were written."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Wait until a file or a directory is on the disk."""
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file, in place of another one."""
        source.replace(target)


class StateDirectory:
    """A directory of files with the mode 0600. All methods block, and raise OSError if they fail."""

    def __init__(self, path: Path, files: FileSystem | None = None) -> None:
        self.path = path
        self._files = files or SystemFiles()
        self._lock: int | None = None

    def lock(self) -> None:
        """Create the directory if necessary, and lock it until `close` or the end of the process.

        Raise DirectoryInUse if another process has locked it. Do nothing if this one has.
        """
        if self._lock is not None:
            return
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path / LOCK_NAME, flags, 0o600)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DirectoryInUse from None
            on_failure.pop_all()
        self._lock = descriptor

    def close(self) -> None:
        """Unlock the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        try:
            return read_regular_file(self.path / name, MAX_FILE_BYTES)
        except FileNotFoundError:
            return None

    def keep_aside(self, name: str) -> None:
        """Rename a file that cannot be used to NAME.unused, in place of an earlier one."""
        self._files.replace(self.path / name, self.path / f"{name}.unused")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file. Whatever interrupts this, the file then has the previous or the next content."""
        if len(content) > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"it would be larger than {MAX_FILE_BYTES} bytes")
        # Only the process with the lock writes, so that one name is enough.
        temporary = self.path / f"{name}.tmp"
        try:
            temporary.unlink(missing_ok=True)
            self._write_new(temporary, content)
            self._files.replace(temporary, self.path / name)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                # The directory was removed, and the lock with it: the next attempt creates and locks it again.
                self.close()
            # On a full disk, what has been written would keep others from writing.
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._sync_directory()

    def _write_new(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            remaining = memoryview(content)
            while remaining:
                remaining = remaining[self._files.write(descriptor, remaining) :]
            self._files.sync(descriptor)
        finally:
            os.close(descriptor)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._files.sync(descriptor)
        finally:
            os.close(descriptor)
