"""Verification of `SDK-HMAC-SHA256` signatures over the path and the query exactly as they were received."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn
from urllib.parse import quote, unquote

from exporter.simulator.errors import bad_authentication

ALGORITHM: Final = "SDK-HMAC-SHA256"
MAX_SKEW_SECONDS: Final = 15 * 60.0
"""Maximum difference between the clocks of client and API."""
MAX_REFUSALS: Final = 5
"""A key is locked after more consecutive refusals than this."""
LOCK_SECONDS: Final = 5 * 60.0
"""How long a key stays locked."""

_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM} Access=(?P<ak>[^,]+), ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>\w+)",
)
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; a temporary one has a security token and expires (seconds since the epoch)."""

    ak: str
    sk: str
    security_token: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The signed parts of a request: `target` is path and query as received, `headers` are case-insensitive."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Record:
    key: AccessKey
    refusals: int = 0
    locked_until: float = 0.0


class AccessKeys:
    """The known access keys, with their consecutive refusals."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def add(self, key: AccessKey) -> None:
        """Accept signatures of a key from now on."""
        self._records[key.ak] = _Record(key)

    def issue_temporary(self, *, expires_at: float) -> AccessKey:
        """Return a new temporary key."""
        key = AccessKey(
            ak=f"HST{secrets.token_hex(9).upper()}",
            sk=secrets.token_urlsafe(30),
            security_token=secrets.token_urlsafe(96),
            expires_at=expires_at,
        )
        self.add(key)
        return key

    def verify(self, request: SignedRequest, now: float) -> None:
        """Check the `Authorization` of a request received `now` (seconds since the epoch).

        Raise ErrorResponse, with different texts for a bad signature, an unknown key, an expired signature and a
        locked key.
        """
        match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if match is None:
            raise bad_authentication("Authorization format error")
        record = self._records.get(match["ak"])
        if record is None:
            raise bad_authentication(f"Get secretKey failed,ak:{match['ak']},err:ak not exist")
        if now < record.locked_until:
            raise bad_authentication("AK access failed to reach the limit,forbidden.")
        self._check(record, request, match, now)
        record.refusals = 0

    def _check(self, record: _Record, request: SignedRequest, match: re.Match[str], now: float) -> None:
        key = record.key
        names = match["headers"].split(";")
        signed_at = _read_date(request.headers.get("X-Sdk-Date", ""))
        if signed_at is None or "x-sdk-date" not in names:
            self._refuse(record, now, "verify aksk signature fail, X-Sdk-Date is missing or malformed")
        if abs(now - signed_at) > MAX_SKEW_SECONDS:
            self._refuse(record, now, "verify aksk signature fail, signature expired")
        expected = sign(key.sk, request, names)
        if not hmac.compare_digest(expected, match["signature"]):
            self._refuse(record, now, "verify aksk signature fail")
        if key.expires_at is not None and key.expires_at <= now:
            self._refuse(record, now, "the security token has expired")
        if request.headers.get("X-Security-Token") != key.security_token:
            self._refuse(record, now, "the security token does not belong to the access key")

    def _refuse(self, record: _Record, now: float, reason: str) -> NoReturn:
        record.refusals += 1
        if record.refusals > MAX_REFUSALS:
            record.refusals = 0
            record.locked_until = now + LOCK_SECONDS
        raise bad_authentication(reason)


def sign(sk: str, request: SignedRequest, names: list[str]) -> str:
    """Return the signature of a request with the named headers, in hexadecimal."""
    path, _, query = request.target.partition("?")
    canonical = "\n".join(
        (
            request.method.upper(),
            _canonical_path(path),
            _canonical_query(query),
            *(f"{name}:{request.headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        ),
    )
    text = "\n".join((ALGORITHM, request.headers.get("X-Sdk-Date", ""), _sha256(canonical)))
    return hmac.new(sk.encode(), text.encode(), hashlib.sha256).hexdigest()


def _sha256(text: str) -> str:
    # Header bytes that are not UTF-8 arrive as lone surrogates; the original bytes are signed.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _canonical_path(path: str) -> str:
    quoted = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    return quoted if quoted.endswith("/") else f"{quoted}/"


def _canonical_query(query: str) -> str:
    """Sort by key, then value, and normalize the percent-encoding; a `+` is a literal plus."""
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    decoded = sorted((unquote(key), unquote(value)) for key, value in pairs)
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in decoded)


def _read_date(text: str) -> float | None:
    try:
        return datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
