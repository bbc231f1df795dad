"""The keys of the web configuration file, with their defaults and checks."""

import re
import ssl
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

import bcrypt
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from exporter.settings.document import PlainText
from exporter.settings.quantities import Group

VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = MappingProxyType(
    {
        "TLS10": ssl.TLSVersion.TLSv1,
        "TLS11": ssl.TLSVersion.TLSv1_1,
        "TLS12": ssl.TLSVersion.TLSv1_2,
        "TLS13": ssl.TLSVersion.TLSv1_3,
    },
)
"""From the oldest to the newest."""

ALWAYS_ON: Final = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
"""The suites of TLS 1.3: neither Go nor Python's ssl can turn them off."""

CIPHER_SUITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    },
)
"""The suites up to TLS 1.2 that Go considers secure, and their names in OpenSSL."""

CURVES: Final[Mapping[str, str]] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"},
)


HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that can be set, and their allowed values; an empty tuple allows any value."""

_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_BOOLS: Final = dict.fromkeys(("y", "yes", "true", "on"), True) | dict.fromkeys(("n", "no", "false", "off"), False)
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|µs|ns)")


def _is_unset(value: object) -> bool:
    return value is None or (isinstance(value, PlainText) and not value)


def _blank_is_unset(value: object) -> object:
    return None if value == "" else value


def _parse_bool(value: object) -> bool:
    """Return a switch as YAML in Go reads it: a word without quotes."""
    if isinstance(value, PlainText) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    if not isinstance(value, bool):
        msg = "write true or false, without quotes"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports ValueError only
    return value


def _parse_count(value: object) -> int:
    """Return a number that is written without quotes."""
    if isinstance(value, PlainText) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if not isinstance(value, int):
        msg = "write a whole number of 0 or more, without quotes"
        raise ValueError(msg)  # noqa: TRY004 - as above
    return value


def _is_usable(hashed: str) -> bool:
    """Return whether bcrypt can use a hash: it refuses some salts that match the pattern.

    The check replaces the cost, which is a part of the hash, by the lowest one.
    """
    if not _BCRYPT.fullmatch(hashed):
        return False
    try:
        bcrypt.checkpw(b"", f"{hashed[:4]}04{hashed[6:]}".encode())
    except ValueError:
        return False
    return True


def _go_duration(value: object) -> float:
    """Return a duration in the notation of Go (`1s`, `1.5s`, `1m30s`), or 0, in seconds."""
    if value in (0, "0"):
        return 0.0
    spans = _SPAN.findall(value) if isinstance(value, str) else []
    if not spans or "".join(number + unit for number, unit in spans) != value:
        msg = "write a duration with its unit, such as 100ms, 1s or 1m30s; 0 for no limit"
        raise ValueError(msg)
    return sum(float(number) * _SECONDS[unit] for number, unit in spans)


Text = Annotated[str | None, BeforeValidator(_blank_is_unset)]
File = Annotated[Path | None, BeforeValidator(_blank_is_unset)]
Secret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset)]

Switch = Annotated[bool, BeforeValidator(_parse_bool)]

Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

_CLIENT_AUTH: Final = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")


def _refuse_unknown(given: Iterable[str], known: Collection[str]) -> None:
    if unknown := [name for name in given if name not in known]:
        msg = f"{', '.join(unknown)} is not one of {', '.join(known)}"
        raise ValueError(msg)


class Section(Group):
    """A section of the file. As in Go, a key without a value is unset."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, given: object) -> object:
        if not isinstance(given, dict):
            return {} if _is_unset(given) else given
        return {key: value for key, value in given.items() if key not in cls.model_fields or not _is_unset(value)}


class TlsServerConfig(Section):
    """The certificate of the server, and which clients are accepted; an empty section means no TLS."""

    cert: Text = None
    key: Secret = None
    client_ca: Text = None
    cert_file: File = None
    key_file: File = None
    client_auth_type: str = "NoClientCert"
    client_ca_file: File = None
    client_allowed_sans: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: Switch = True
    curve_preferences: tuple[str, ...] = ()

    @property
    def verifies_clients(self) -> bool:
        """Whether certificates of clients are verified."""
        return self.client_auth_type in {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}

    @field_validator("client_auth_type")
    @classmethod
    def _check_client_auth(cls, kind: str) -> str:
        # Python's ssl either requests no certificate or verifies it.
        if kind in _UNVERIFIED:
            msg = (
                "Python's ssl cannot accept a client certificate without verifying it; "
                "use RequireAndVerifyClientCert, VerifyClientCertIfGiven or NoClientCert"
            )
            raise ValueError(msg)
        _refuse_unknown([kind] if kind else [], _CLIENT_AUTH)
        return kind

    @field_validator("cipher_suites")
    @classmethod
    def _check_suites(cls, suites: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_unknown(suites, [*CIPHER_SUITES, *sorted(ALWAYS_ON)])
        return suites

    @field_validator("curve_preferences")
    @classmethod
    def _check_curves(cls, curves: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_unknown(curves, CURVES)
        return curves

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        for name in ("cert", "key", "client_ca"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                msg = f"{name} and {name}_file are both set: keep one"
                raise ValueError(msg)
        for name in ("cert", "key"):
            if not getattr(self, name) and not getattr(self, f"{name}_file"):
                msg = f"{name}_file or {name} is required"
                raise ValueError(msg)
        if (self.client_ca or self.client_ca_file) and not self.verifies_clients:
            msg = "client_ca_file requires client_auth_type RequireAndVerifyClientCert or VerifyClientCertIfGiven"
            raise ValueError(msg)
        if self.client_allowed_sans and not self.verifies_clients:
            msg = "client_allowed_sans requires client_auth_type RequireAndVerifyClientCert"
            raise ValueError(msg)
        if VERSIONS[self.max_version] < VERSIONS[self.min_version]:
            msg = f"max_version {self.max_version} is below min_version {self.min_version}"
            raise ValueError(msg)
        if self.cipher_suites and ALWAYS_ON.issuperset(self.cipher_suites):
            msg = "cipher_suites lists only suites of TLS 1.3, which are always on: write min_version: TLS13 instead"
            raise ValueError(msg)
        return self


class HttpServerConfig(Section):
    """Options of HTTP."""

    http2: Switch = True
    """Accepted without effect: the server speaks HTTP/1.1."""
    headers: dict[str, str] = Field(default_factory=dict)

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name not in HEADERS:
                msg = f"{name} cannot be set; the headers that can be set are {', '.join(HEADERS)}"
                raise ValueError(msg)
            if value and HEADERS[name] and value not in HEADERS[name]:
                msg = f"{name} is {value!r} and must be {' or '.join(HEADERS[name])}"
                raise ValueError(msg)
            if not value.isascii() or (value and not value.isprintable()):
                msg = f"{name} must be one line of printable ASCII"
                raise ValueError(msg)
        return headers


class RateLimit(Section):
    """A token bucket for all requests together; no limit if `interval` is 0."""

    interval: Annotated[float, BeforeValidator(_go_duration)] = 0.0
    """Seconds after which one token is added."""
    burst: Annotated[int, BeforeValidator(_parse_count)] = 0

    @model_validator(mode="after")
    def _check_burst(self) -> Self:
        if self.interval and not self.burst:
            msg = "burst must be 1 or more: with 0 every request would be refused"
            raise ValueError(msg)
        return self


def _check_user_name(name: str) -> str:
    if ":" in name:
        msg = "the name of a user cannot contain a colon; is the space after the colon missing?"
        raise ValueError(msg)
    return name


def _check_hash(hashed: SecretStr) -> SecretStr:
    if not _is_usable(hashed.get_secret_value()):
        msg = "the password of this user is not a bcrypt hash; create one with: htpasswd -nBC 10 USER"
        raise ValueError(msg)
    return hashed


UserName = Annotated[str, AfterValidator(_check_user_name)]
Hash = Annotated[SecretStr, AfterValidator(_check_hash)]


class WebConfig(Section):
    """The whole file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[UserName, Hash] = Field(default_factory=dict)
    rate_limit: RateLimit = RateLimit()

    @field_validator("tls_server_config", mode="before")
    @classmethod
    def _drop_empty_tls(cls, given: object) -> object:
        return given or None
