"""The file of a capture: what the API answered to each request of the exporter."""

import contextlib
import os
import stat
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

FORMAT: Final = "huaweicloud-sms-exporter capture"
VERSION: Final = 1
MAX_FILE_BYTES: Final = 256 * 2**20
MAX_BODY_BYTES: Final = 64 * 2**20
"""Maximum size of all answers together."""

FIRST_PATH: Final = "/v3/sources"
"""The path of the first request of every capture."""

_MODE: Final = 0o600
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class BadCapture(ValueError):
    """A file is not a capture that can be read; the message says why."""


Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class Exchange(Struct, frozen=True, kw_only=True):
    """A request and its answer.

    `sent_after` is the time from the start of the capture to the request, `seconds` the time until the answer was
    complete. `body` is the JSON of the answer; it is missing if the answer had no JSON, and `body_bytes` is the size of
    the answer in any case. `status` is 0 if there was no answer.
    """

    path: str
    query: dict[str, str]
    status: Annotated[int, Meta(ge=0, le=599)]
    headers: dict[str, str]
    sent_after: Seconds
    seconds: Seconds
    body_bytes: Annotated[int, Meta(ge=0, le=MAX_BODY_BYTES)]
    body: Any | UnsetType = UNSET


class Capture(Struct, frozen=True, kw_only=True):
    """The answers that one account got, in the order of their arrival.

    `taken_at` is in seconds since the epoch. `left_out` is the number of answers above the limits of a capture.
    """

    format: str = FORMAT
    version: int = VERSION
    exporter: str
    taken_at: float
    region: str | None
    collectors: tuple[str, ...]
    left_out: Annotated[int, Meta(ge=0)]
    exchanges: tuple[Exchange, ...]


def encode_capture(capture: Capture) -> bytes:
    """Return the content of the file: JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(capture), indent=1) + b"\n"


def decode_capture(content: bytes) -> Capture:
    """Read the content of a file. Raise BadCapture."""
    try:
        head = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        fields = {name: msgspec.json.decode(head[name]) for name in ("format", "version") if name in head}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadCapture("it is not the JSON of a capture") from None
    if fields.get("format") != FORMAT:
        raise BadCapture(f'it is not a capture: its field "format" is not "{FORMAT}"')
    if fields.get("version") != VERSION:
        raise BadCapture(f"it has the version {fields.get('version')!r}, and this exporter reads version {VERSION}")
    try:
        capture = msgspec.json.decode(content, type=Capture)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadCapture(f"it is damaged: {error}") from None
    if problem := _find_problem(capture):
        raise BadCapture(f"it cannot be replayed: {problem}")
    return capture


def _find_problem(capture: Capture) -> str | None:
    """Return why a capture cannot be replayed; None if it can."""
    for number, exchange in enumerate(capture.exchanges):
        where = f"in $.exchanges[{number}]"
        if exchange.status and exchange.status < HTTPStatus.OK:
            return f"the status {exchange.status} {where} is not 0 (no answer) or 200 to 599"
        if exchange.status in _WITHOUT_BODY and (exchange.body_bytes or exchange.body is not UNSET):
            return f"an answer with the status {exchange.status} has no body, but there is one {where}"
        if not exchange.path.startswith("/v3/"):
            return f"the path {exchange.path!r} {where} does not start with /v3/"
    if not any(exchange.path == FIRST_PATH for exchange in capture.exchanges):
        return f"it has no answer to GET {FIRST_PATH}, the first request of an exporter"
    return None


def read_capture(path: Path) -> Capture:
    """Read a capture. Raise BadCapture, or OSError if the file cannot be read."""
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise BadCapture(f"it is larger than {MAX_FILE_BYTES} bytes")
    return decode_capture(content)


def write_capture(path: Path, content: bytes) -> None:
    """Create a file that only its owner can read. Raise OSError, also if the path exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IWUSR)
            file.write(content)
    except BaseException:
        # A torn file would look like a capture.
        with contextlib.suppress(OSError):
            path.unlink()
        raise
