"""What a response other than 2xx means: the API's four shapes of error bodies, read as a `PollError`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault, Throttled
from exporter.http.foreign_text import clean_text
from exporter.http.transport import SERVICES, Response, read_http_date
from exporter.language import Translatable

MAX_CODE_CHARACTERS: Final = 64

MAX_RETRY_AFTER_SECONDS: Final = 1e9
"""A longer pause is read as this one, because a number with hundreds of digits would be infinite."""

MAX_ERROR_BODY_BYTES: Final = 16_384
"""Size limit of a body that is searched for an error."""

_CLOCK_HINT: Final = Translatable("set this machine's clock (NTP): a signature is refused when it is 15 minutes off")
_LOCK_HINT: Final = Translatable(
    "more than 5 refusals in a row lock the access key for 5 minutes: correct it, then wait"
)
_ERROR_IN_200_HINT: Final = Translatable("if this lasts, open a ticket with the code and the request ID")
_REJECTED_HINT: Final = Translatable("check the options filter.*: the API rejected a value of the request")

_BY_CODE: Final[Mapping[str, type[PollError]]] = {
    ".0301": AuthError,
    ".0307": AuthError,
    ".0302": PermissionDenied,
    ".0308": Throttled,
    "SMS.9004": PermissionDenied,
}
"""By the end of the code: gateways have different prefixes."""

_BY_STATUS: Final[Mapping[int, type[PollError]]] = {
    HTTPStatus.UNAUTHORIZED: AuthError,
    HTTPStatus.FORBIDDEN: PermissionDenied,
    HTTPStatus.REQUEST_TIMEOUT: ServerFault,
    HTTPStatus.TOO_MANY_REQUESTS: Throttled,
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The code and the text of an error body, cleaned; empty if it has none."""

    code: str
    text: str


def api_error(response: Response, *, now: float) -> PollError:
    """Return the error that a response reports, by its code or else its status; `now` is seconds since the epoch."""
    body = read_error_body(response)
    kind = _kind(_reported_status(response.status, body.code), body.code)
    name, wrong_service_hint = SERVICES[response.api]
    status = f"{response.status} {_phrase(response.status)}".rstrip()
    code, text = (f" ({body.code})" if body.code else ""), (f": {body.text}" if body.text else "")
    hint = _hint(kind, response, body)
    if kind is BadResponse and hint is None:
        hint = wrong_service_hint
    return kind(
        f"{name} answered {status}{code}{text}",
        hint=hint,
        status=response.status,
        code=body.code or None,
        request_id=response.clean_header("X-Request-Id"),
        retry_after=_retry_after(response.headers.get("Retry-After"), now),
    )


def read_error_body(response: Response) -> ErrorBody:
    """Return the code and text of the body, whatever its status."""
    if len(response.body) > MAX_ERROR_BODY_BYTES:
        return ErrorBody("", "")
    try:
        # Unlike msgspec's, this decoder accepts text that is not valid Unicode, which is cleaned below.
        content = json.loads(response.body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ErrorBody("", "")
    if isinstance(content, dict) and isinstance(content.get("error"), dict):
        content = content["error"]
    if not isinstance(content, dict):
        return ErrorBody("", "")
    return ErrorBody(
        clean_text(_first(content, "error_code", "errorCode", "code"), response.secrets, MAX_CODE_CHARACTERS),
        clean_text(_first(content, "error_msg", "errorMsg", "message"), response.secrets),
    )


def is_error_body(response: Response) -> bool:
    """Return whether the body reports an error, whatever its status."""
    return bool(read_error_body(response).code)


def _reported_status(status: int, code: str) -> int:
    """Return the status that an error in a 200 response reports as its code, as IAM's errors do; else `status`."""
    is_status = status == HTTPStatus.OK and re.fullmatch(r"[45][0-9]{2}", code)
    return int(code) if is_status else status


def _kind(status: int, code: str) -> type[PollError]:
    for suffix, kind in _BY_CODE.items():
        if code.endswith(suffix):
            return kind
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault
    return _BY_STATUS.get(status, BadResponse)


def _hint(kind: type[PollError], response: Response, body: ErrorBody) -> Translatable | None:
    """Return what to do about an error; None for what is usual for its kind."""
    words = body.text.lower()
    if kind is AuthError:
        if "expired" in words and "sign" in words:
            return _CLOCK_HINT
        if "lock" in words or "reach the limit" in words:
            return _LOCK_HINT
    if response.api == "iam" and kind is not ServerFault:
        return Translatable("check auth.user-name, auth.domain-name, auth.project-name and auth.project-id")
    if response.status == HTTPStatus.BAD_REQUEST and body.code:
        return _REJECTED_HINT
    if response.status == HTTPStatus.OK and kind is BadResponse:
        return _ERROR_IN_200_HINT
    return None


def _first(content: Mapping[str, object], *keys: str) -> str:
    for key in keys:
        value = content.get(key)
        if isinstance(value, str | int):
            return str(value)
    return ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _retry_after(value: str | None, now: float) -> float | None:
    """Return `Retry-After`, seconds or an HTTP date, as seconds from `now`; None if it is neither."""
    if value is None:
        return None
    seconds = value.strip(" \t")
    if seconds.isascii() and seconds.isdecimal():
        return min(float(seconds), MAX_RETRY_AFTER_SECONDS)
    date = read_http_date(value)
    return None if date is None else max(0.0, date - now)
