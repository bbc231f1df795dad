"""One poll of an account whose answers are recorded, and the capture that they become."""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import UNSET
from yarl import URL

from exporter import __version__
from exporter.capture.anonymizer import Anonymizer, keep_headers
from exporter.capture.file import MAX_BODY_BYTES, Capture, Exchange
from exporter.clock import Clock
from exporter.errors import PollError
from exporter.http.transport import Api, Request, Response
from exporter.polling.account import open_account
from exporter.polling.connections import Runtime
from exporter.polling.detail_client import LeftOut
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.settings import AccountSettings, DetailSettings
from exporter.settings.account import REGION_ENDPOINTS
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from exporter.sms.tolerant import UNDECODABLE

MAX_EXCHANGES: Final = 3000
"""Maximum number of answers in a capture."""
MAX_DIGITS: Final = 4300
"""Python raises an error for an integer with more digits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A request and its answer as they were received, with everything private. Times are in seconds."""

    url: URL
    sent_after: float
    seconds: float
    response: Response | None


@dataclass(slots=True)
class Recorder:
    """Keeps what the SMS API answers, within the limits of a capture; `left_out` counts the answers above them."""

    clock: Clock
    answers: list[Answer] = field(default_factory=list)
    errors: dict[str, PollError] = field(default_factory=dict)
    """What failed, by the name of the list or collector."""
    left_out: int = 0
    _started_at: float = field(init=False)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    def request_ended(self, api: Api, request: Request, code: str, seconds: float, response: Response | None) -> None:
        """Keep the answer of the SMS API; those of IAM and the metadata service are secret."""
        del code
        if api != "sms":
            return
        self._bytes += len(response.body) if response else 0
        if len(self.answers) >= MAX_EXCHANGES or self._bytes > MAX_BODY_BYTES:
            self.left_out += 1
            return
        sent_after = self.clock.monotonic() - seconds - self._started_at
        self.answers.append(Answer(request.url, max(0.0, sent_after), seconds, response))

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Do nothing: the times of the requests show it."""

    def throttled(self, seconds: float) -> None:
        """Do nothing: the times of the requests show it."""

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Do nothing: the snapshot is not served."""

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Keep the error of the poll."""
        del account, listing
        if poll.error is not None:
            self.errors["source servers"] = poll.error

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, left_out: LeftOut
    ) -> None:
        """Keep the error of a collector."""
        del account, left_out
        if error is not None:
            self.errors[collector] = error


async def record_answers(settings: AccountSettings, details: DetailSettings, runtime: Runtime) -> Recorder:
    """Poll an account once, let its collectors read once, and return what was answered.

    Raise ConfigurationError if there are no credentials.
    """
    recorder = Recorder(runtime.clock)
    runner = await open_account(settings, recorder, recorder, runtime, details=details)
    try:
        await runner.poller.poll()
        for reader in runner.readers:
            await reader.read()
    finally:
        await runner.close()
    return recorder


def build_capture(
    recorder: Recorder, settings: AccountSettings, collectors: Sequence[str], taken_at: float, anonymizer: Anonymizer
) -> Capture:
    """Return the capture of the recorded answers; `taken_at` is in seconds since the epoch."""
    base = URL(settings.api.url).path.rstrip("/")
    filters = settings.filter.query()
    region = settings.api.region
    return Capture(
        exporter=__version__,
        taken_at=taken_at,
        region=region if region in REGION_ENDPOINTS and settings.api.endpoint is None else None,
        collectors=tuple(collectors),
        left_out=recorder.left_out,
        exchanges=tuple(_build_exchange(answer, base, filters, anonymizer) for answer in recorder.answers),
    )


def _build_exchange(answer: Answer, base: str, filters: dict[str, str], anonymizer: Anonymizer) -> Exchange:
    # Without the account's filters, so that the capture answers an exporter without them.
    query = {name: value for name, value in answer.url.query.items() if filters.get(name) != value}
    response = answer.response
    content = UNSET if response is None else _decode(response.body)
    return Exchange(
        path=anonymizer.replace_path(answer.url.path.removeprefix(base)),
        query=anonymizer.replace_query(query),
        status=response.status if response else 0,
        headers=keep_headers(response.headers) if response else {},
        sent_after=round(answer.sent_after, 3),
        seconds=round(answer.seconds, 3),
        body_bytes=len(response.body) if response else 0,
        body=content if content is UNSET else anonymizer.replace_json(content),
    )


def _decode(body: bytes) -> object:
    """Return the JSON of a body, UNSET if it is none.

    Bytes that are not UTF-8, lone surrogates and enormous numbers are read: a poll reads the records around them.
    """
    with contextlib.suppress(*UNDECODABLE):
        return msgspec.json.decode(body)
    try:
        return json.loads(body.decode("utf-8", "replace"), parse_int=_parse_int)
    except (ValueError, RecursionError):
        return UNSET


def _parse_int(digits: str) -> float:
    """Return an integer, or infinity instead of one with more digits than Python accepts."""
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf
