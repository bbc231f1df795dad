"""`python -m exporter.healthcheck [ADDRESS]`: asks the exporter on this machine whether it is healthy.

For the health check of a container, every half a minute: it imports the standard library alone, a tenth of what the
exporter's options would cost. The address is the argument, else that of the variable, else the default. It has no
password and no certificate: whoever asks for one has answered.
"""

import contextlib
import http.client
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Final

DEFAULT: Final = ":10058"
VARIABLE: Final = "SMS_EXPORTER_WEB_LISTEN_ADDRESS"
TIMEOUT: Final = 4.0
"""Seconds in which each answer must be here."""

_UNIX: Final = "unix:"
_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
_FAILED: Final = 500
_ENDED: Final = (ConnectionError, http.client.BadStatusLine, ssl.SSLError)


def main(arguments: Sequence[str]) -> int:
    """Give 0 where the exporter answers that it is healthy, else 1 and a line that says what it did."""
    # As the option is split.
    address = (arguments or os.environ.get(VARIABLE, DEFAULT).replace(",", " ").split() or [""])[0].strip()
    try:
        status = asked(address)
    except (ValueError, OverflowError):
        return _fail(f"{address!r} is no address: write HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH")
    except (OSError, http.client.HTTPException) as error:
        return _fail(f"{address}: {error}")
    return 0 if status is None or status < _FAILED else _fail(f"{address}: status {status}")


def asked(address: str) -> int | None:
    """Give the status of the answer, None where the connection was ended instead, as by who wants a certificate.

    An exporter that hangs does neither. Raises OSError or HTTPException where there is none.
    """
    with _connected(address) as plain, contextlib.suppress(*_ENDED):
        return _status(plain)
    # One that ends it without a word wants TLS. Who it is needs no proof: it is this machine.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _connected(address) as plain, contextlib.suppress(*_ENDED), context.wrap_socket(plain) as secure:
        return _status(secure)
    return None


def _connected(address: str) -> socket.socket:
    if address.startswith(_UNIX):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT)
        connection.connect(address.removeprefix(_UNIX))
        return connection
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return socket.create_connection((_LOOPBACK.get(host, host), int(port)), TIMEOUT)


def _status(connected: socket.socket) -> int:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connected
    connection.request("GET", "/-/healthy", headers={"Connection": "close"})
    return connection.getresponse().status


def _fail(line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
