"""`python -m exporter.healthcheck [ADDRESS]`: check whether the exporter on this machine is healthy.

The health check of a container runs every 30 seconds, so it imports little more than the standard library: a tenth of
the time that the options of the exporter take. The address is the argument, else that of the variable, else the
default. The check has no password and no certificate: an exporter that asks for one is healthy.
"""

import contextlib
import http.client
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Final

from exporter.errors import mask_credentials

DEFAULT_ADDRESS: Final = ":10058"
VARIABLE: Final = "SMS_EXPORTER_WEB_LISTEN_ADDRESS"
TIMEOUT_SECONDS: Final = 4.0

_UNIX: Final = "unix:"
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - connected to, not bound
_MIN_FAILURE_STATUS: Final = 500
_REFUSED: Final = (ConnectionError, http.client.BadStatusLine, ssl.SSLError)


def main(arguments: Sequence[str]) -> int:
    """Return 0 if the exporter is healthy, else print one line and return 1."""
    # Split like the option.
    addresses = arguments or (os.environ.get(VARIABLE) or DEFAULT_ADDRESS).replace(",", " ").split() or [""]
    address = addresses[0].strip()
    shown = mask_credentials(address)
    try:
        status = get_status(address)
    except (ValueError, OverflowError):
        return _fail(f"{shown!r} is not an address: write HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH")
    except (OSError, http.client.HTTPException) as error:
        return _fail(f"{shown}: {error}")
    return 0 if status is None or status < _MIN_FAILURE_STATUS else _fail(f"{shown}: status {status}")


def get_status(address: str) -> int | None:
    """Return the HTTP status; None if the connection was refused, as by an exporter that requires a certificate.

    Raise OSError or HTTPException if there is no response, as from an exporter that hangs.
    """
    with _connect(address) as plain, contextlib.suppress(*_REFUSED):
        return _request(plain)
    # The exporter may require TLS. Its certificate need not be verified on the same machine.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _connect(address) as plain, contextlib.suppress(*_REFUSED), context.wrap_socket(plain) as secure:
        return _request(secure)
    return None


def _connect(address: str) -> socket.socket:
    if address.startswith(_UNIX):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(address.removeprefix(_UNIX))
        return connection
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return socket.create_connection((_LOOPBACK.get(host, host), int(port)), TIMEOUT_SECONDS)


def _request(connected: socket.socket) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connected
    connection.request("GET", "/-/healthy", headers={"Connection": "close"})
    return connection.getresponse().status


def _fail(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
