"""What an answer other than 2xx means: the API's four shapes of error bodies, read as a `PollError`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault, Throttled
from exporter.http.transport import Response, read_http_date

_LONGEST_TEXT: Final = 300
_CLOCK_HINT: Final = "set this machine's clock (NTP): a signature is refused when it is 15 minutes off"
_LOCK_HINT: Final = "the access key is locked for 5 minutes after 5 refusals in a row: correct it, then wait"


def api_error(response: Response, *, now: float) -> PollError:
    """Name the failure that a response of status 400 and up tells of; `now` is seconds since the epoch."""
    code, text = _code_and_text(response.body)
    kind = _kind(response.status, code)
    status = f"{response.status} {_phrase(response.status)}".rstrip()
    said = f": {text}" if text else ""
    return kind(
        f"the API answered {status}{f' ({code})' if code else ''}{said}",
        hint=_hint(kind, text),
        status=response.status,
        code=code or None,
        request_id=response.headers.get("X-Request-Id"),
        retry_after=_retry_after(response.headers.get("Retry-After"), now),
    )


def _kind(status: int, code: str) -> type[PollError]:
    by_code: dict[str, type[PollError]] = {
        ".0301": AuthError,
        ".0307": AuthError,
        ".0302": PermissionDenied,
        ".0308": Throttled,
        "SMS.9004": PermissionDenied,
    }
    for suffix, kind in by_code.items():
        if code.endswith(suffix):
            return kind
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault
    by_status: dict[int, type[PollError]] = {
        HTTPStatus.UNAUTHORIZED: AuthError,
        HTTPStatus.FORBIDDEN: PermissionDenied,
        HTTPStatus.REQUEST_TIMEOUT: ServerFault,
        HTTPStatus.TOO_MANY_REQUESTS: Throttled,
    }
    return by_status.get(status, BadResponse)


def _hint(kind: type[PollError], text: str) -> str | None:
    if kind is not AuthError:
        return None
    words = text.lower()
    if "expired" in words and "sign" in words:
        return _CLOCK_HINT
    if "lock" in words or "reach the limit" in words:
        return _LOCK_HINT
    return None


def _code_and_text(body: bytes) -> tuple[str, str]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if isinstance(content, dict) and isinstance(content.get("error"), dict):
        content = content["error"]
    if not isinstance(content, dict):
        return "", ""
    return _first(content, "error_code", "errorCode", "code"), _first(content, "error_msg", "errorMsg", "message")


def _first(content: Mapping[str, object], *keys: str) -> str:
    for key in keys:
        value = content.get(key)
        if isinstance(value, str | int):
            return " ".join(str(value).split())[:_LONGEST_TEXT]
    return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _retry_after(value: str | None, now: float) -> float | None:
    """Read `Retry-After`, seconds or an HTTP date, as seconds from `now`; None where it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    date = read_http_date(value)
    return None if date is None else max(0.0, date - now)
