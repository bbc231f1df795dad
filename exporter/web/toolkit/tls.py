"""TLS as the file asks for it, in what Python's ssl can do; what it cannot do is an error."""

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from exporter.errors import ConfigurationError
from exporter.web.toolkit.model import ALWAYS_ON, CIPHER_SUITES, CURVES, VERSIONS, TlsServerConfig
from exporter.web.toolkit.reading import OPTION, read_file, shown

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Material:
    """Certificates and key in PEM, wherever they came from."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None


def read_material(config: TlsServerConfig, folder: Path) -> Material:
    """Read the files that the configuration names, relative ones from `folder`. Raises ConfigurationError."""

    def pem(name: str, file: Path | None, inline: str | None) -> bytes | None:
        if file is None:
            return None if inline is None else inline.encode()
        try:
            return read_file(folder / file)
        except OSError as error:
            given = shown(folder / file)
            raise _fault(f"{name}_file", f"{given} cannot be read: {error.strerror}".lstrip()) from None

    key = config.key.get_secret_value() if config.key else None
    return Material(
        cert=pem("cert", config.cert_file, config.cert) or b"",
        key=pem("key", config.key_file, key) or b"",
        client_ca=pem("client_ca", config.client_ca_file, config.client_ca),
    )


def make_context(config: TlsServerConfig, material: Material) -> ssl.SSLContext:
    """Make the context of a server. Raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Go's servers do not renegotiate either: a client could have them do the dear part again and again.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _set_versions(context, config)
    _set_ciphers(context, config)
    _set_curves(context, config)
    _load_certificate(context, material)
    if config.verifies:
        _load_client_ca(context, material)
        required = config.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.sslobject_class = _vetting(config.client_allowed_sans)
    return context


class CurrentContext(ssl.SSLContext):
    """Stands where a server's context is given once, and makes each connection with the one then in force.

    The context in force was made whole before, so no handshake waits for a file or fails for a
    half-written one, and a new connection gets all of it: versions, ciphers and client CAs too, which the
    callback for a server's name could not change. A ticket of the one before resumes nothing.
    """

    current: ssl.SSLContext

    @classmethod
    def of(cls, context: ssl.SSLContext) -> "CurrentContext":
        """Make one that begins with `context`."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made.current = context
        return made

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - as inherited
        """Begin a connection with the context in force."""
        return self.current.wrap_bio(*args, **kwargs)


def alternative_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Give the DNS names, addresses, e-mails and URIs of a certificate, as `getpeercert` gives it."""
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "email", "URI"}:
            yield value
        elif kind == "IP Address":
            yield str(ipaddress.ip_address(value))


def _vetting(allowed: Collection[str] | None) -> type[ssl.SSLObject]:
    """Give the class of connections whose handshake fails where the client has none of the `allowed` names.

    A client without a certificate has none.
    """

    class Vetted(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
                if allowed is not None and not set(alternative_names(self.getpeercert() or {})) & set(allowed):
                    raise ssl.SSLCertVerificationError("the client has none of client_allowed_sans")
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                log.debug("TLS handshake failed", reason=error.reason or str(error))
                raise

    return Vetted


def _set_versions(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    for name, version in (("min_version", config.min_version), ("max_version", config.max_version)):
        # Since OpenSSL 3 the level 0 alone has the hashes that these versions sign with.
        if version in {"TLS10", "TLS11"} and context.security_level > 0:
            level = f"this machine's OpenSSL is set to {context.security_level}"
            raise _fault(name, f"{version} needs OpenSSL's security level 0, and {level}; TLS12 is the least")
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
        raise _fault("cipher_suites", "this machine's OpenSSL has none of them") from None
    had = {cipher["name"] for cipher in context.get_ciphers()}
    if missing := [suite for suite in config.cipher_suites if CIPHER_SUITES.get(suite, "") not in had | {""}]:
        raise _fault("cipher_suites", f"this machine's OpenSSL has no {', '.join(missing)}")


def _set_curves(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    curves = [CURVES[curve] for curve in config.curve_preferences]
    # Python 3.15 and newer.
    set_groups: Callable[[str], None] | None = getattr(context, "set_groups", None)
    if set_groups is not None and curves:
        set_groups(":".join(curves))
    elif len(curves) > 1:
        raise _fault("curve_preferences", "this Python's ssl takes one curve: name one, or none for all")
    elif curves:
        context.set_ecdh_curve(curves[0])


def _load_certificate(context: ssl.SSLContext, material: Material) -> None:
    def encrypted() -> NoReturn:
        # Without this, OpenSSL would ask at the terminal.
        raise ConfigurationError([_text("key_file", "the key is encrypted: give one without a passphrase")])

    with _as_file(material.cert) as cert, _as_file(material.key) as key:
        try:
            context.load_cert_chain(cert, key, password=encrypted)
        except ssl.SSLError as error:
            raise _fault("cert_file, key_file", _PAIRING.get(error.reason or "", _UNREADABLE)) from None


_UNREADABLE: Final = "they hold no certificate and its private key in PEM"
_PAIRING: Final[Mapping[str, str]] = {"KEY_VALUES_MISMATCH": "the key is not that of the certificate"}


def _load_client_ca(context: ssl.SSLContext, material: Material) -> None:
    if material.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=material.client_ca.decode("ascii", "replace"))
    except ssl.SSLError:
        raise _fault("client_ca_file", "it holds no certificate in PEM") from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Give a path that OpenSSL can read `content` from: in memory where the system has that, and never by a name."""
    with _unnamed() as file:
        file.write(content)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _unnamed() -> Any:  # noqa: ANN401 - a raw file, or tempfile's wrapper of one
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pem"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _fault(key: str, text: str) -> ConfigurationError:
    return ConfigurationError([_text(key, text)])


def _text(key: str, text: str) -> str:
    return f"{OPTION}: tls_server_config.{key}: {text}"
