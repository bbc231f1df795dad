"""Files and variables with secrets that are not as they should be."""

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.auth.secret import MAX_SECRET_BYTES, Secret, SecretFile
from exporter.errors import AuthError
from exporter.simulator import Simulator
from support import FakeClock, exporting, next_poll, scrape


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


def write_utf_16(path: Path) -> None:
    path.write_text("secret", encoding="utf-16")


UNUSABLE_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (os.mkfifo, "it is a FIFO, not a regular file"),
    "a directory": (Path.mkdir, "it is a directory, not a regular file"),
    "a socket": (bind_socket, "cannot be read"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a regular file"),
    "missing": (lambda _: None, "No such file or directory"),
    "a loop of links": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "below a file": (lambda path: path.symlink_to("/etc/passwd/token"), "Not a directory"),
    "huge": (lambda path: path.write_bytes(b"x" * (MAX_SECRET_BYTES + 1)), "is larger than 65536 bytes"),
    "empty": (lambda path: path.write_text(" \n"), "is empty"),
    "two lines": (lambda path: path.write_text("sec\nret\n"), "has a line break inside"),
    "UTF-16": (write_utf_16, "is not UTF-8 text"),
    "UTF-16 without a mark": (lambda path: path.write_bytes("secret".encode("utf-16-le")), "cannot be printed"),
    "binary": (lambda path: path.write_bytes(b"sec\0ret"), "cannot be printed"),
}


@pytest.mark.parametrize("kind", UNUSABLE_FILES)
async def test_an_unusable_file_is_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    create, problem = UNUSABLE_FILES[kind]
    path = tmp_path / "token"
    create(path)
    with pytest.raises(AuthError) as caught:
        await Secret(f"auth.token-file {path}", SecretFile("auth.token-file", path)).read()
    assert problem in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "sec" not in caught.value.message.replace(str(path), "")


@pytest.mark.parametrize("kind", UNUSABLE_FILES)
async def test_an_unusable_file_fails_the_poll_with_reason_auth_and_is_not_sent(
    kind: str, clock: FakeClock, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    async with Simulator(servers=3, clock=clock) as simulator:
        path.write_text(simulator.token)
        async with exporting(simulator, clock, auth={"token_file": str(path)}) as service:
            requests = len(simulator.requests)
            path.unlink()
            UNUSABLE_FILES[kind][0](path)
            await next_poll(clock)
            seen = await scrape(service.urls[0])
        assert len(simulator.requests) == requests
    assert seen.value("exporter_poll_failures_total", reason="auth") == 1


@pytest.mark.parametrize("before", ["", " \t", "\ufeff", "\ufeff\n"])
@pytest.mark.parametrize("after", ["", "\n", "\r\n", "  \n\n"])
@pytest.mark.parametrize("kind", ["file", "variable"])
async def test_white_space_and_a_byte_order_mark_around_a_secret_are_ignored(
    kind: str, before: str, after: str, tmp_path: Path
) -> None:
    text = f"{before}p@ss wörd{after}"
    (tmp_path / "secret").write_text(text, encoding="utf-8", newline="")
    secret = Secret("name", SecretFile("name", tmp_path / "secret") if kind == "file" else text)
    assert await secret.read() == "p@ss wörd"


@pytest.mark.parametrize("value", ["to\nken", "to\0ken", "to\udcffken", "\ufeff"])
async def test_an_unusable_variable_fails_the_poll_with_its_name_and_is_not_sent(value: str, clock: FakeClock) -> None:
    async with (
        Simulator(servers=3, clock=clock) as simulator,
        exporting(simulator, clock, auth={}, environ={"HW_AUTH_TOKEN": value}) as service,
    ):
        seen = await scrape(service.urls[0])
        (account,) = service.accounts
        assert [request for request in simulator.requests if request.api == "sms"] == []
    assert seen.value("exporter_poll_failures_total", reason="auth") == 1
    assert account.state.last_poll is not None
    assert account.state.last_poll.error is not None
    assert account.state.last_poll.error.message.startswith("HW_AUTH_TOKEN ")


@contextlib.contextmanager
def file_system_that_never_answers(folder: Path) -> Iterator[None]:
    """Mount a file system whose server never answers, as a network file system with a dead server."""
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    if libc.mount(b"hung", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
        os.close(server)
        pytest.skip(f"no file system can be mounted: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(server)
        libc.umount2(os.fsencode(folder), 2)


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no file system can be mounted")
async def test_a_file_on_a_file_system_that_hangs_is_an_error_that_delays_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    file = SecretFile("auth.token-file", folder / "token", timeout=0.05)
    with file_system_that_never_answers(folder):
        for _ in range(3):
            with pytest.raises(AuthError, match=r"mount/token could not be read within 0\.05 seconds"):
                await file.read()
