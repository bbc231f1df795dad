"""Targets: what the API sends."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any, Literal

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from exporter.clock import SystemClock
from exporter.errors import BadResponse, PollError, ServerFault
from exporter.http.api_errors import MAX_RETRY_AFTER_SECONDS, api_error
from exporter.http.failures import Limits
from exporter.http.foreign_text import clean_text
from exporter.http.proxies import Proxies
from exporter.http.transport import Api, Request, Response, Transport
from exporter.sms.decoding import MAX_ROWS, Page, Records
from exporter.sms.endpoints import MIGRATION_ERRORS, MIGRATION_TASKS, SOURCE_SERVERS, Endpoint
from exporter.sms.model import MAX_INT64, MAX_TEXT_CHARACTERS, SourceServer
from exporter.sms.paging import MAX_PAGES, MAX_READINGS, Narrowing, Pager
from fuzz.checks import MARK, SECRET, WRITTEN_FORMS, check_line
from fuzz.choices import Choices
from support import NOW

ENDPOINTS: tuple[Endpoint[Any], ...] = (SOURCE_SERVERS, MIGRATION_ERRORS, MIGRATION_TASKS)
API_URL = URL("http://127.0.0.1:9/v3/sources")
APIS: tuple[Api, ...] = ("sms", "iam", "metadata")
LIMITS = Limits(connect_timeout=1.0, read_timeout=1.0, max_response_size=2**16)


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of all targets: a new one for each input would take longer than the input."""
    return asyncio.new_event_loop()


def pages(data: bytes) -> None:
    """Decode a page of a list. A page that the json module can read must be read in the same way."""
    endpoint = ENDPOINTS[data[0] % len(ENDPOINTS)] if data else SOURCE_SERVERS
    body = data[1:]
    records = get_records(endpoint)
    try:
        page = records.page(body)
    except BadResponse as error:
        check_line(error.message)
        assert read_rows(body, endpoint.envelope_key) is None, "a page was refused"
        return
    assert page.rows <= MAX_ROWS
    ids = [record.id for record in page.records]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for record in page.records:
        msgspec.json.encode(record)
    if (expected := read_rows(body, endpoint.envelope_key)) is not None:
        count, rows = expected
        assert (page.count, page.rows) == (count, len(rows))
        given = {identity for row in rows if (identity := get_text(row, "id"))}
        assert given <= set(ids), "a record with an id is missing"
    records.list_ended()
    again = records.page(body)
    assert (again.rows, again.unreadable, again.unknown) == (page.rows, page.unreadable, page.unknown)
    records.list_ended()
    records.list_ended()
    if not page.duplicates:
        assert all(new is old for new, old in zip(again.records, page.records, strict=True)), "a record was not reused"


@cache
def get_records(endpoint: Endpoint[Any]) -> Records[Any]:
    """Return the decoder of an endpoint, which takes longer to build than to use."""
    return Records(endpoint)


def read_rows(body: bytes, key: str) -> tuple[int, list[Any]] | None:
    """Return the count and the rows of a page as documented; None if it is not one."""
    try:
        content = json.loads(body, parse_constant=_refuse, parse_int=_parse_int)
    except (ValueError, RecursionError):
        return None
    # The same key twice, or a key with escapes, has no documented meaning.
    if not isinstance(content, dict) or b"\\" in body or body.count(b'"count"') > 1 or body.count(key.encode()) > 1:
        return None
    count, rows = content.get("count"), content.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_INT64:
        return None
    return (count, rows) if isinstance(rows, list) and len(rows) <= MAX_ROWS else None


def get_text(row: object, key: str) -> str | None:
    """Return a text of a decoded record; None if it has none, or one that is too long to be read."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, str) and len(value) <= MAX_TEXT_CHARACTERS else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _parse_int(digits: str) -> object:
    return int(digits) if len(digits) <= 20 else None


def paging(data: bytes) -> None:
    """Read a complete list from a server that may answer anything. An honest server's list must be read exactly."""
    choices = Choices(data)
    server = PageServer(choices)
    settings: tuple[Literal["auto", "records", "pages"], ...] = ("auto", "records", "pages")
    setting = choices.one_of(settings)
    pager = Pager(SOURCE_SERVERS, server.fetch, concurrency=choices.number(7) + 1, paging=setting)
    # What a list has proved must also be right for the next one.
    for _ in range(choices.number(1) + 1):
        server.requests = 0
        try:
            listing = event_loop().run_until_complete(pager.read())
        except PollError as error:
            check_line(error.message)
            assert not server.is_honest or setting not in {"auto", server.addressing}, "an honest list was not read"
        else:
            ids = [record.id for record in listing.records]
            assert len(set(ids)) == len(ids)
            assert listing.rows == listing.count
            assert server.sent.issuperset(ids)
            if server.is_honest:
                assert ids == server.ids
        # A list that is split by the state and the stage has as many parts as these have values.
        parts = math.prod(len(values) + 1 for values in SOURCE_SERVERS.splits.values())
        assert server.requests <= 2 * MAX_READINGS * MAX_PAGES * parts


MAX_SERVERS = 450
"""Enough for three pages as the API sends them, so that a list can prove what offsets count."""


class PageServer:
    """A list of servers, and an API that answers its pages as the choices say."""

    def __init__(self, choices: Choices) -> None:
        self.ids = [str(number) for number in range(choices.number(MAX_SERVERS))]
        self.addressing = choices.one_of(("records", "pages"))
        self.max_rows = choices.one_of((200, 7, 50, 100, 1000))
        self.distortions = choices.number(3)
        self.is_honest = self.distortions == 0
        self.requests = 0
        self.sent: set[str] = set()
        self._choices = choices
        # An API that sends fewer rows than requested is honest if offsets count records.
        if self.max_rows != 200 and self.addressing == "pages":
            self.is_honest = False

    async def fetch(self, offset: int, limit: int, _: Narrowing) -> Page[SourceServer]:
        """Return a page, or raise the error of a request."""
        assert offset >= 0
        assert 0 < limit <= SOURCE_SERVERS.max_page_rows
        self.requests += 1
        await asyncio.sleep(0)
        rows = min(limit, self.max_rows)
        start = offset if self.addressing == "records" else offset * rows
        ids, count = self.ids[start : start + rows], len(self.ids)
        if self.distortions and self._choices.number(3) == 0:
            ids, count = self._distort(ids, count, start, rows)
        self.sent.update(ids)
        distinct = tuple(SourceServer(id=each) for each in dict.fromkeys(ids))
        return Page(distinct, count, duplicates=len(ids) - len(distinct))

    def _distort(self, ids: list[str], count: int, start: int, rows: int) -> tuple[list[str], int]:
        if (kind := self._choices.number(8)) == 0:
            raise ServerFault("the request failed")
        counts = (0, 1, count + 1, count * 2, 65_736, 10**6, MAX_INT64)
        distorted: list[tuple[list[str], int]] = [
            (ids[: self._choices.number(max(len(ids), 1))], count),
            (ids, self._choices.one_of(counts)),
            (ids + ids[:1], count),
            (self.ids[start + 1 : start + rows + 1], count),
            (self.ids[:rows], count),
            ([], count),
            (self.ids, count),
            ([f"new-{self._choices.number(99)}", *ids], count + 1),
        ]
        return distorted[kind - 1]


def errors(data: bytes) -> None:
    """Read the error in a response. What is shown is one line without the secret."""
    choices = Choices(data)
    status = choices.one_of((400, 401, 403, 404, 408, 429, 500, 503, 200, 999, 100 + choices.number(899)))
    api = choices.one_of(APIS)
    form = choices.one_of(WRITTEN_FORMS)
    body = choices.rest().replace(MARK, form.encode())
    response = Response(status, {}, body, NOW, api, (SECRET,))
    error = api_error(response, now=NOW)
    check_line(error.message)
    check_line(error.hint)
    check_line(error.code or "")
    assert error.status == status


def headers(data: bytes) -> None:
    """Read a response with any headers: date, pause, request ID and the target of a redirect."""
    choices = Choices(data)
    status = choices.one_of((200, 302, 429, 503))
    lines = choices.rest().decode("latin-1").replace(MARK.decode(), SECRET).split("\n")
    names = ("Date", "Retry-After", "Location", "X-Request-Id")
    given = CIMultiDictProxy(CIMultiDict(zip(names, lines, strict=False)))
    observer = RequestObserver()
    transport = Transport(
        FakeSession(status, given),  # type: ignore[arg-type]
        "sms",
        LIMITS,
        SystemClock(),
        observer,
        proxies=Proxies(None, {}),
    )
    request = Request("GET", API_URL, {"X-Auth-Token": SECRET})
    try:
        response = event_loop().run_until_complete(transport.send(request))
    except PollError as error:
        assert status == 302
        check_error(error)
        return
    assert response.clock_skew is None or math.isfinite(response.clock_skew)
    check_error(api_error(response, now=NOW))
    seconds = given.get("Retry-After", "").strip(" \t")
    if seconds.isascii() and seconds.isdecimal() and len(seconds) < 16:
        assert api_error(response, now=NOW).retry_after == min(int(seconds), MAX_RETRY_AFTER_SECONDS)


def check_error(error: PollError) -> None:
    """Check everything that an error shows, and the pause that it asks for."""
    check_line(error.message)
    check_line(error.hint)
    check_line(error.request_id or "")
    assert error.retry_after is None or (error.retry_after >= 0 and math.isfinite(error.retry_after))


class RequestObserver:
    """Ignores the requests."""

    def request_ended(self, api: Api, request: Request, code: str, seconds: float, response: Response | None) -> None:
        """Do nothing."""


class FakeSession:
    """Answers every request with one response, without a connection."""

    def __init__(self, status: int, given: Mapping[str, str]) -> None:
        self.status = status
        self.headers = given
        self.content = self
        self.url = API_URL

    @contextlib.asynccontextmanager
    async def request(self, *_: object, **__: object) -> AsyncIterator["FakeSession"]:
        """Return the response."""
        yield self

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        """Return the body."""
        yield b"{}"


def texts(data: bytes) -> None:
    """Clean a text that may have the secret in any form, cut anywhere."""
    choices = Choices(data)
    form = choices.one_of(WRITTEN_FORMS)
    maximum = choices.number(400) + 1
    text = choices.rest().decode("utf-8", "replace").replace(MARK.decode(), form)
    cleaned = clean_text(text, (SECRET,), maximum)
    check_line(cleaned)
    assert len(cleaned) <= maximum
    assert cleaned == cleaned.strip()
