"""What is listened on: addresses, unix sockets, and the sockets that systemd passes."""

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from exporter.settings.quantities import ListenAddress, UnixAddress

UNIX_MODE: Final = 0o660
"""Who may connect to a unix socket: the exporter's user and group."""
HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds that a client has for a handshake of TLS, and for its good-bye."""
_FIRST_DESCRIPTOR: Final = 3


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why."""


Place = ListenAddress | UnixAddress | socket.socket
"""Where to listen: an address, or a socket that listens already."""


@contextlib.asynccontextmanager
async def listening(
    place: Place,
    protocol: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None,
) -> AsyncIterator[Sequence[socket.socket]]:
    """Accept connections while the context lasts, and give the sockets. Raises ListenError."""
    loop = asyncio.get_running_loop()
    patience = HANDSHAKE_TIMEOUT if tls else None
    accept = partial(
        loop.create_server,
        protocol,
        ssl=tls,
        ssl_handshake_timeout=patience,
        ssl_shutdown_timeout=patience,
    )
    try:
        if isinstance(place, ListenAddress):
            server = await accept(host=place.host, port=place.port)
        else:
            server = await accept(sock=_bound_unix(place.path) if isinstance(place, UnixAddress) else place)
    except OSError as error:
        reason = error.strerror or error
        raise ListenError(f"--web.listen-address: cannot listen on {place}: {reason}") from error
    inode = place.path.stat().st_ino if isinstance(place, UnixAddress) else 0
    try:
        yield server.sockets
    finally:
        server.close()
        if isinstance(place, UnixAddress):
            _unlink(place.path, inode)


def _bound_unix(path: Path) -> socket.socket:
    """Bind a unix socket, in the place of one that nobody listens on any more; raises OSError."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            path.unlink()
        bound.bind(str(path))
        # Nobody can connect before it listens, so nobody can before this.
        path.chmod(UNIX_MODE)
    except BaseException:
        bound.close()
        raise
    return bound


def _unlink(path: Path, inode: int) -> None:
    """Remove our socket, and none that another process has put there since."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _is_stale(path: Path) -> bool:
    """Tell whether there is a socket that nobody listens on; any other file is left to be in the way."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.connect(str(path))
    except FileNotFoundError:
        return False
    except ConnectionRefusedError:
        return True
    return False


def inherited(environ: Mapping[str, str], process: int) -> Sequence[socket.socket]:
    """Give the sockets that systemd passed to this `process`, as sd_listen_fds(3) tells. Raises ListenError."""
    number = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(process) or not number.isdecimal() or int(number) < 1:
        raise ListenError(
            "--web.systemd-socket: no socket was passed (LISTEN_PID, LISTEN_FDS): start the exporter's .socket unit",
        )
    passed = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(number)):
        try:
            given = socket.socket(fileno=descriptor)
            listening = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise ListenError(f"--web.systemd-socket: descriptor {descriptor}: {error.strerror}") from error
        if given.type != socket.SOCK_STREAM or not listening:
            raise ListenError(f"--web.systemd-socket: descriptor {descriptor} listens for no connections")
        given.set_inheritable(False)
        passed.append(given)
    return passed


def url(listening: socket.socket, *, tls: bool) -> str:
    """Tell how a socket is reached from this machine; a unix socket in the notation of the option."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    local = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http{'s' if tls else ''}://{f'[{local}]' if ':' in local else local}:{port}"
