import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from exporter.polling import state_directory
from exporter.polling.state_directory import DirectoryInUse, StateDirectory, SystemFiles

PREVIOUS, NEXT = b"previous", b"next " * 1000


class Interrupted(BaseException):
    """Stands for the end of the process: nothing after it runs."""


class FailingFiles(SystemFiles):
    """A file system in which one operation fails: the write after some bytes, a sync, or the rename."""

    def __init__(self, failing: int, failure: BaseException) -> None:
        self.operations = 0
        self._failing = failing
        self._failure = failure

    def write(self, descriptor: int, data: memoryview) -> int:
        self._count()
        return os.write(descriptor, data[:1000])

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self._failing:
            raise self._failure


def directory_with_a_file(path: Path) -> StateDirectory:
    directory = StateDirectory(path)
    directory.lock()
    directory.write("a.state", PREVIOUS)
    directory.close()
    return directory


def operations_of_a_write(path: Path) -> int:
    counting = FailingFiles(0, Interrupted())
    StateDirectory(path, counting).write("a.state", NEXT)
    return counting.operations


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), Interrupted()], ids=["error", "kill"])
def test_a_write_that_is_interrupted_anywhere_leaves_the_previous_or_the_next_content(
    tmp_path: Path, failure: BaseException
) -> None:
    directory = directory_with_a_file(tmp_path)
    operations = operations_of_a_write(tmp_path)
    assert operations == len(NEXT) // 1000 + 3  # The writes, two syncs and the rename.
    for failing in range(1, operations + 1):
        directory.write("a.state", PREVIOUS)
        with pytest.raises(type(failure)):
            StateDirectory(tmp_path, FailingFiles(failing, failure)).write("a.state", NEXT)
        # The last operation makes the rename permanent, which has been done by then.
        assert directory.read("a.state") == (NEXT if failing == operations else PREVIOUS)


def test_a_write_after_an_interrupted_one_succeeds(tmp_path: Path) -> None:
    directory = directory_with_a_file(tmp_path)
    with pytest.raises(Interrupted):
        StateDirectory(tmp_path, FailingFiles(3, Interrupted())).write("a.state", NEXT)
    directory.write("a.state", NEXT)
    assert directory.read("a.state") == NEXT
    assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", "a.state"]


def test_a_failed_write_leaves_no_other_file(tmp_path: Path) -> None:
    directory_with_a_file(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        StateDirectory(tmp_path, FailingFiles(3, OSError(errno.ENOSPC, "No space left on device"))).write(
            "a.state", NEXT
        )
    assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", "a.state"]


def test_only_the_user_can_read_the_directory_and_its_files(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        directory_with_a_file(tmp_path / "state")
    finally:
        os.umask(previous)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {".lock": 0o600, "a.state": 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_process_cannot_lock_a_directory(tmp_path: Path) -> None:
    # Locks belong to open files, so that two in one process are like those of two processes.
    first, second = StateDirectory(tmp_path), StateDirectory(tmp_path)
    first.lock()
    first.lock()
    with pytest.raises(DirectoryInUse, match="another exporter uses this directory"):
        second.lock()
    first.close()
    second.lock()


def count_open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_neither_a_write_nor_a_lock_that_another_process_has_leaves_a_file_open(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.lock()
    opened = count_open_files()
    for _ in range(3):
        directory.write("a.state", NEXT)
        with pytest.raises(DirectoryInUse):
            StateDirectory(tmp_path).lock()
    assert count_open_files() == opened


def test_what_cannot_be_written_to_a_disk_is_an_error() -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            SystemFiles().sync(writer)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"kept")
    state = tmp_path / "state"
    state.mkdir()
    (state / "a.state.tmp").symlink_to(outside)
    directory = StateDirectory(state)
    directory.lock()
    directory.write("a.state", NEXT)
    assert outside.read_bytes() == b"kept"
    assert not (state / "a.state").is_symlink()


def test_a_file_that_is_too_large_is_neither_written_nor_read(tmp_path: Path) -> None:
    directory = directory_with_a_file(tmp_path)
    with (tmp_path / "large.state").open("wb") as file:
        file.truncate(state_directory.MAX_FILE_BYTES + 1)
    with pytest.raises(OSError, match="larger than"):
        directory.read("large.state")


class EndlessFiles(SystemFiles):
    """A file system that has room for everything, and keeps nothing."""

    def write(self, descriptor: int, data: memoryview) -> int:
        del descriptor
        return len(data)


def test_a_file_of_the_maximum_size_is_written_and_a_larger_one_is_an_error(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path, EndlessFiles())
    directory.write("a.state", bytes(state_directory.MAX_FILE_BYTES))
    with pytest.raises(OSError, match="would be larger than"):
        directory.write("a.state", bytes(state_directory.MAX_FILE_BYTES + 1))


def test_a_directory_whose_parent_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StateDirectory(tmp_path / "missing" / "state").lock()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_used_is_kept_aside(tmp_path: Path) -> None:
    directory = directory_with_a_file(tmp_path)
    directory.keep_aside("a.state")
    assert directory.read("a.state") is None
    assert (tmp_path / "a.state.unused").read_bytes() == PREVIOUS


def test_a_directory_that_was_removed_is_created_and_locked_again(tmp_path: Path) -> None:
    directory = directory_with_a_file(tmp_path / "state")
    directory.lock()
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(FileNotFoundError):
        directory.write("a.state", NEXT)
    directory.lock()
    directory.write("a.state", NEXT)
    assert directory.read("a.state") == NEXT
    with pytest.raises(DirectoryInUse):
        StateDirectory(tmp_path / "state").lock()
