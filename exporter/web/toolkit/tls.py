"""The TLS context of the web configuration; what Python's ssl cannot do is an error."""

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from exporter.logs import get_logger
from exporter.settings.certificates import parse_ca_certificates
from exporter.settings.faults import show
from exporter.web.toolkit.model import ALWAYS_ON, CIPHER_SUITES, CURVES, VERSIONS, TlsServerConfig
from exporter.web.toolkit.reading import read_file

log = get_logger(__name__)

_BOM: Final = b"\xef\xbb\xbf"


class TlsProblem(Exception):
    """A key of `tls_server_config` cannot be used."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Certificates:
    """Certificate, key and client CAs in PEM, from files or from the configuration itself."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None


def read_certificates(config: TlsServerConfig, folder: Path) -> Certificates:
    """Read the files that the configuration names, relative to `folder`. Raise TlsProblem."""

    def pem(name: str, file: Path | None, inline: str | None) -> bytes | None:
        if file is None:
            return None if inline is None else inline.encode()
        try:
            return read_file(folder / file).removeprefix(_BOM)
        except OSError as error:
            raise TlsProblem(f"{name}_file", f"given {show(folder / file)}: cannot be read: {error.strerror}") from None

    key = config.key.get_secret_value() if config.key else None
    return Certificates(
        cert=pem("cert", config.cert_file, config.cert) or b"",
        key=pem("key", config.key_file, key) or b"",
        client_ca=pem("client_ca", config.client_ca_file, config.client_ca),
    )


def build_context(config: TlsServerConfig, certificates: Certificates) -> ssl.SSLContext:
    """Build the TLS context of the server. Raise TlsProblem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # As in Go: a client could otherwise request the expensive part of the handshake repeatedly.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_versions(context, config)
    _set_ciphers(context, config)
    _set_curves(context, config)
    _load_certificate(context, config, certificates)
    if config.verifies_clients:
        _load_client_ca(context, config, certificates)
        required = config.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.sslobject_class = _build_connection_class(config.client_allowed_sans)
    return context


class CurrentContext(ssl.SSLContext):
    """A context for `create_server` that starts each connection with the context that is current then.

    The current context is complete, so no handshake waits for a file or sees a half-written one. New connections use
    all of it, including versions, ciphers and client CAs, which a callback for the server name could not change.
    TLS tickets of a previous context are not accepted.
    """

    current: ssl.SSLContext

    @classmethod
    def of(cls, context: ssl.SSLContext) -> "CurrentContext":
        """Return one whose current context is `context`."""
        created = cls(ssl.PROTOCOL_TLS_SERVER)
        created.current = context
        return created

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - as inherited
        """Start a connection with the current context."""
        return self.current.wrap_bio(*args, **kwargs)


def alternative_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the DNS names, addresses, e-mails and URIs of a certificate of `getpeercert`."""
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "email", "URI"}:
            yield value
        elif kind == "IP Address":
            with suppress(ValueError):  # An address of an impossible length.
                yield str(ipaddress.ip_address(value))


def _build_connection_class(allowed: Collection[str] | None) -> type[ssl.SSLObject]:
    """Return a class of connections whose handshake fails unless the client has one of the `allowed` names.

    A client without a certificate has no names.
    """

    class Connection(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
                if allowed is not None and not set(alternative_names(self.getpeercert() or {})) & set(allowed):
                    raise ssl.SSLCertVerificationError("the certificate of the client has none of client_allowed_sans")
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                # An error that this class raises has no attribute `reason`.
                log.debug("TLS handshake failed", reason=getattr(error, "reason", None) or str(error))
                raise

    return Connection


def _set_versions(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    for name, version in (("min_version", config.min_version), ("max_version", config.max_version)):
        # Since OpenSSL 3 only level 0 allows the hashes that these versions sign with.
        if version in {"TLS10", "TLS11"} and context.security_level > 0:
            level = f"the level on this machine is {context.security_level}"
            raise TlsProblem(name, f"{version} requires security level 0 of OpenSSL, but {level}; use TLS12 or TLS13")
    context.minimum_version = VERSIONS[config.min_version]
    context.maximum_version = VERSIONS[config.max_version]


def _set_ciphers(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    chosen = [CIPHER_SUITES[suite] for suite in config.cipher_suites if suite not in ALWAYS_ON]
    if not chosen:
        return
    try:
        context.set_ciphers(":".join(chosen))
    except ssl.SSLError:
        raise TlsProblem("cipher_suites", "OpenSSL on this machine supports none of them") from None
    supported = {cipher["name"] for cipher in context.get_ciphers()}
    if missing := [suite for suite in config.cipher_suites if CIPHER_SUITES.get(suite, "") not in supported | {""}]:
        raise TlsProblem("cipher_suites", f"OpenSSL on this machine does not support {', '.join(missing)}")


def _set_curves(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    curves = [CURVES[curve] for curve in config.curve_preferences]
    # Python 3.15 and newer.
    set_groups: Callable[[str], None] | None = getattr(context, "set_groups", None)
    if set_groups is not None and curves:
        set_groups(":".join(curves))
    elif len(curves) > 1:
        raise TlsProblem(
            "curve_preferences", "ssl of this Python version accepts only one curve: set one, or none to allow all"
        )
    elif curves:
        context.set_ecdh_curve(curves[0])


def _load_certificate(context: ssl.SSLContext, config: TlsServerConfig, certificates: Certificates) -> None:
    cert_key, key_key = (name if getattr(config, name) else f"{name}_file" for name in ("cert", "key"))

    def encrypted() -> NoReturn:
        # Without this callback OpenSSL would ask for a passphrase at the terminal.
        raise TlsProblem(key_key, "the key is encrypted: use one without a passphrase")

    if b"-----BEGIN CERTIFICATE-----" not in certificates.cert:
        raise TlsProblem(cert_key, "contains no certificate in PEM")
    if b"PRIVATE KEY-----" not in certificates.key:
        raise TlsProblem(key_key, "contains no private key in PEM")
    with _as_file(certificates.cert) as cert, _as_file(certificates.key) as key:
        try:
            context.load_cert_chain(cert, key, password=encrypted)
        except ssl.SSLError as error:
            message = _LOAD_ERRORS.get(error.reason or "", f"OpenSSL cannot use it with its key ({error.reason})")
            raise TlsProblem(cert_key, message) from None


_LOAD_ERRORS: Final[Mapping[str, str]] = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "EE_KEY_TOO_SMALL": "the key is too short for OpenSSL on this machine: create one with 2048 bits or more",
    "CA_KEY_TOO_SMALL": "a certificate of the chain has a key that is too short for OpenSSL on this machine",
    "CA_MD_TOO_WEAK": "the certificate is signed with a hash that is too weak for OpenSSL on this machine",
}
"""Messages by the reason of OpenSSL."""


def _load_client_ca(context: ssl.SSLContext, config: TlsServerConfig, certificates: Certificates) -> None:
    if certificates.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=parse_ca_certificates(certificates.client_ca))
    except ValueError as error:
        raise TlsProblem("client_ca" if config.client_ca else "client_ca_file", str(error)) from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield a path from which OpenSSL can read `content`: in memory if the system supports it, else an unnamed file."""
    with _open_unnamed() as file:
        file.write(content)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _open_unnamed() -> Any:  # noqa: ANN401 - a raw file, or tempfile's wrapper of one
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pem"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
