"""Listening sockets: TCP addresses, unix sockets, and the sockets passed by systemd."""

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from exporter.errors import ListenError
from exporter.settings.quantities import ListenAddress, UnixAddress

UNIX_SOCKET_MODE: Final = 0o660
"""The exporter's user and group may connect to a unix socket."""
BACKLOG: Final = 1024
"""Connections that the kernel accepts before the exporter does."""
_FIRST_DESCRIPTOR: Final = 3


Endpoint = ListenAddress | UnixAddress | socket.socket
"""An address to listen on, or a socket that already listens."""


@contextlib.asynccontextmanager
async def listen(endpoint: Endpoint) -> AsyncIterator[Sequence[socket.socket]]:
    """Open the listening sockets of an endpoint, closed at the end of the context. Raises ListenError."""
    try:
        sockets = await _open(endpoint)
    except OSError as error:
        reason = error.strerror or error
        raise ListenError(f"--web.listen-address: cannot listen on {endpoint}: {reason}") from error
    inode = endpoint.path.stat().st_ino if isinstance(endpoint, UnixAddress) else 0
    try:
        yield sockets
    finally:
        for listener in sockets:
            listener.close()
        if isinstance(endpoint, UnixAddress):
            _unlink(endpoint.path, inode)


async def _open(endpoint: Endpoint) -> Sequence[socket.socket]:
    if isinstance(endpoint, ListenAddress):
        return await _listen_on_address(endpoint)
    listener = _bind_unix(endpoint.path) if isinstance(endpoint, UnixAddress) else endpoint
    listener.listen(BACKLOG)
    return [listener]


async def _listen_on_address(address: ListenAddress) -> Sequence[socket.socket]:
    """Listen on all addresses of a host name, or on all interfaces. Raises OSError."""
    loop = asyncio.get_running_loop()
    # asyncio resolves and binds; accepting is ours.
    server = await loop.create_server(
        asyncio.Protocol, host=address.host, port=address.port, backlog=BACKLOG, start_serving=False
    )
    sockets = [listener.dup() for listener in server.sockets]
    server.close()
    try:
        for listener in sockets:
            listener.listen(BACKLOG)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _bind_unix(path: Path) -> socket.socket:
    """Bind a unix socket, replacing one that no process listens on any more. Raises OSError."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            path.unlink()
        bound.bind(str(path))
        # Nobody can connect before it listens, so nobody can before this.
        path.chmod(UNIX_SOCKET_MODE)
    except BaseException:
        bound.close()
        raise
    return bound


def _unlink(path: Path, inode: int) -> None:
    """Remove our socket, but not one that another process has created at the same path since."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _is_stale(path: Path) -> bool:
    """Return whether `path` is a socket that no process listens on. Any other file makes the bind fail."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
    except FileNotFoundError:
        return False
    except ConnectionRefusedError:
        return True
    return False


def inherited_sockets(environ: Mapping[str, str], process: int) -> Sequence[socket.socket]:
    """Return the sockets that systemd passed to this `process`; see sd_listen_fds(3). Raises ListenError."""
    number = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(process) or not number.isdecimal() or int(number) < 1:
        raise ListenError(
            "--web.systemd-socket: no socket was passed by systemd (LISTEN_PID, LISTEN_FDS); start the .socket unit",
        )
    passed = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(number)):
        try:
            listener = socket.socket(fileno=descriptor)
            listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise ListenError(f"--web.systemd-socket: descriptor {descriptor}: {error.strerror}") from error
        if listener.type != socket.SOCK_STREAM or not listening:
            raise ListenError(f"--web.systemd-socket: descriptor {descriptor} is not a listening stream socket")
        listener.set_inheritable(False)
        passed.append(listener)
    return passed


def socket_url(listener: socket.socket, *, tls: bool) -> str:
    """Return the URL that reaches a socket from this machine; a unix socket as the option spells it."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    local = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http{'s' if tls else ''}://{f'[{local}]' if ':' in local else local}:{port}"
