"""Files that the configuration names."""

import os
import socket
from pathlib import Path

import pytest

from exporter.settings.files import UnusableFile, check_directory, check_regular_file, read_regular_file


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("size", [0, 5, 6])
def test_a_file_is_read_up_to_the_maximum_size(size: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * size)
    if size <= 5:
        assert read_regular_file(file, 5) == b"x" * size
    else:
        with pytest.raises(UnusableFile, match="it is larger than 5 bytes"):
            read_regular_file(file, 5)


@pytest.mark.parametrize(
    ("make", "kind"), [(Path.mkdir, "a directory"), (os.mkfifo, "a FIFO"), (make_socket, "a socket")]
)
def test_something_else_in_place_of_a_file_is_named(make: object, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "path"
    make(path)  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"^cannot be read: it is {kind}, not a regular file$"):
        check_regular_file(path)
    # A socket cannot even be opened.
    with pytest.raises(OSError, match=f"it is {kind}|No such device"):
        read_regular_file(path, 5)


def test_a_device_is_no_regular_file() -> None:
    with pytest.raises(UnusableFile, match="it is a device, not a regular file"):
        read_regular_file(Path("/dev/null"), 5)


def test_a_file_that_exists_is_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_regular_file(tmp_path / "file") == tmp_path / "file"
    with pytest.raises(ValueError, match=r"^cannot be read: No such file or directory$"):
        check_regular_file(tmp_path / "missing")


def test_reading_files_leaves_none_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 9)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        read_regular_file(tmp_path / "file", 9)
        for path, most in ((tmp_path, 9), (tmp_path / "file", 8)):
            with pytest.raises(UnusableFile):
                read_regular_file(path, most)
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_a_directory_may_be_missing_but_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_directory(tmp_path) == tmp_path
    assert check_directory(tmp_path / "missing") == tmp_path / "missing"
    with pytest.raises(ValueError, match=r"^is not a directory$"):
        check_directory(tmp_path / "file")
