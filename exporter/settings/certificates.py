"""Files of CA certificates, in PEM with any text around the certificates, or in DER."""

import re
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final

from exporter.settings.files import read_regular_file

MAX_CA_FILE_BYTES: Final = 16 * 2**20

MAX_CACHED_BUNDLES: Final = 4
"""CA bundles that are kept checked: checking one takes 20 ms, and as a rule all accounts have the same one."""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----.+?-----END \1-----", re.DOTALL)
_DER_SEQUENCE: Final = b"\x30"


@lru_cache(MAX_CACHED_BUNDLES)
def parse_ca_certificates(content: bytes) -> str | bytes:
    """Return the certificates of a file as `cadata` of ssl. Raise ValueError if there are none.

    OpenSSL itself would refuse comments that are not ASCII, and ignore a certificate behind a byte order mark.
    """
    if not content.strip():
        msg = "is empty"
        raise ValueError(msg)
    blocks = [found.group() for found in _CERTIFICATE.finditer(content)]
    certificates = b"\n".join(blocks).decode("ascii", "replace") if blocks else content
    if not blocks and not content.startswith(_DER_SEQUENCE):
        what = "contains a private key, but" if b"PRIVATE KEY-----" in content else "contains"
        msg = f"{what} no certificate in PEM or DER"
        raise ValueError(msg)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError):
        msg = "contains a certificate that is damaged"
        raise ValueError(msg) from None
    return certificates


def check_ca_file(path: Path) -> Path:
    """Return the path. Raise ValueError if the file contains no usable CA certificates."""
    try:
        parse_ca_certificates(read_regular_file(path, MAX_CA_FILE_BYTES))
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ValueError(msg) from None
    return path
