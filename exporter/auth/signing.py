"""Signatures `SDK-HMAC-SHA256`: pure functions from a request and a key to the headers that sign it."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from exporter.http.transport import Request

ALGORITHM: Final = "SDK-HMAC-SHA256"
DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; a temporary one has a security token. Only the ID may be shown."""

    id: str
    secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def sign(request: Request, key: AccessKey, now: float, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the headers that authenticate `request`; `now` is seconds since the epoch.

    They include the `extra` headers, which are signed too. The headers that the request already has are not
    signed, because a proxy may change them.
    """
    signed = {
        "Host": request.url.raw_authority.rpartition("@")[2],
        "X-Sdk-Date": datetime.fromtimestamp(now, UTC).strftime(DATE_FORMAT),
        **(extra or {}),
    }
    if key.security_token:
        signed["X-Security-Token"] = key.security_token
    names = sorted(name.lower() for name in signed)
    text = f"{ALGORITHM}\n{signed['X-Sdk-Date']}\n{_sha256(canonical_request(request, signed).encode())}"
    signature = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    authorization = f"{ALGORITHM} Access={key.id}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**signed, "Authorization": authorization}


def canonical_request(request: Request, signed: Mapping[str, str]) -> str:
    """Return the text that is signed: method, path, query, headers, their names, and the hash of the body."""
    headers = sorted((name.lower(), value.strip()) for name, value in signed.items())
    return "\n".join(
        (
            request.method.upper(),
            _canonical_path(request.url.raw_path),
            _canonical_query(request.url.raw_query_string),
            *(f"{name}:{value}" for name, value in headers),
            "",
            ";".join(name for name, _ in headers),
            _sha256(request.body),
        ),
    )


def _canonical_path(raw_path: str) -> str:
    """Quote each segment, and end the path with a slash even if the request does not."""
    path = "/".join(_quoted(segment) for segment in unquote(raw_path).split("/"))
    return path if path.endswith("/") else f"{path}/"


def _canonical_query(raw_query: str) -> str:
    pairs = (pair.partition("=")[::2] for pair in raw_query.split("&") if pair)
    return "&".join(
        f"{_quoted(name)}={_quoted(value)}" for name, value in sorted((unquote(k), unquote(v)) for k, v in pairs)
    )


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
