"""The requests of one collector that reads more than the list of source servers, for one account.

There is one request at a time, because the poller's requests come first.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal

from exporter.clock import Clock
from exporter.errors import PollError
from exporter.polling.lockout import Accept
from exporter.polling.poller import MAX_RETRIES
from exporter.sms.client import RetryBudget, SmsClient
from exporter.sms.decoding import Page, Records
from exporter.sms.endpoints import Endpoint
from exporter.sms.model import RecordT
from exporter.sms.paging import WHOLE_LIST, Listing, Narrowing, Pager
from exporter.sms.tolerant import Findings


@dataclass(frozen=True, slots=True)
class DetailReading:
    """What a collector read: its records by their id, and the error because of which some of them are older."""

    records: Mapping[str, Any]
    error: PollError | None = None


@dataclass(slots=True)
class LeftOut:
    """What responses had that is not exposed.

    `duplicates` records were in their list twice, `invalid` ones have no id. `unreadable` counts the values that could
    not be read, by the path of their field.
    """

    duplicates: int = 0
    invalid: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    def add_list(self, listing: Page[Any]) -> None:
        """Count what a list left out."""
        self.duplicates += listing.duplicates
        self.invalid += listing.invalid
        self.unreadable.update(listing.unreadable)

    def add_findings(self, findings: Findings) -> None:
        """Count the values of an object that could not be read."""
        self.unreadable.update(findings.unreadable)


class DetailClient:
    """Reads lists and objects of the API, within the retries and the time of one reading.

    `filters` are those of the account; a list is narrowed by the ones that it accepts. What a list shows about its
    paging holds for later readings.
    """

    def __init__(
        self, client: SmsClient, filters: Mapping[str, str], paging: Literal["auto", "records", "pages"], clock: Clock
    ) -> None:
        self._client = client
        self.filters = filters
        self._paging = paging
        self._clock = clock
        self._lists: dict[Endpoint[Any], _List[Any]] = {}
        self.left_out = LeftOut()
        """What has been left out since `take_left_out`."""
        self.has_answer: bool
        """Whether a request of the last reading succeeded."""
        self._budget: RetryBudget
        self._accept: Accept
        self._timeout: float
        self._deadline: float

    @contextlib.contextmanager
    def reading(self, accept: Accept, timeout: float) -> Iterator[None]:
        """Send the requests of one reading in the context, for at most `timeout` seconds.

        `accept` is called after each response.
        """
        self._budget = RetryBudget(MAX_RETRIES)
        self._accept, self.has_answer = accept, False
        self._timeout, self._deadline = timeout, self._clock.monotonic() + timeout
        try:
            yield
        finally:
            for each in self._lists.values():
                each.records.list_ended()

    @property
    def has_time(self) -> bool:
        """Whether at least half of the time of the reading is left: enough for a further request."""
        return 2 * self._time_left >= self._timeout

    @property
    def _time_left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def take_left_out(self) -> LeftOut:
        """Return what has been left out since the last call."""
        left_out, self.left_out = self.left_out, LeftOut()
        return left_out

    async def read_list(self, endpoint: Endpoint[RecordT], narrowing: Narrowing = WHOLE_LIST) -> Listing[RecordT]:
        """Return a complete list, or the part of it that `narrowing` selects. Raise a PollError if there is none."""
        if endpoint not in self._lists:
            self._lists[endpoint] = self._open_list(endpoint)
        pager: Pager[RecordT] = self._lists[endpoint].pager
        async with self._until_deadline(f"the list of {endpoint.noun}"):
            listing = await pager.read(narrowing)
        self.left_out.add_list(listing)
        return listing

    async def read_object(self, path: str, noun: str) -> bytes:
        """Return the body of the response to `GET {path}`. Raise a PollError if there is none."""
        async with self._until_deadline(noun):
            body = await self._client.fetch(path, {}, self._budget)
        self._accept_answer()
        return body

    def _accept_answer(self) -> None:
        self.has_answer = True
        self._accept()

    def _open_list(self, endpoint: Endpoint[RecordT]) -> "_List[RecordT]":
        client = self._client.for_list(endpoint, self.filters)
        records = Records(endpoint)

        async def fetch_page(offset: int, limit: int, narrowing: Narrowing) -> Page[RecordT]:
            body = await client.page(offset, limit, narrowing, self._budget)
            self._accept_answer()
            return await records.decode(body)

        return _List(Pager(endpoint, fetch_page, concurrency=1, paging=self._paging, filters=client.filters), records)

    @contextlib.asynccontextmanager
    async def _until_deadline(self, noun: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._time_left):
                yield
        except TimeoutError:
            raise self._budget.timed_out(noun, self._timeout) from None


@dataclass(frozen=True, slots=True)
class _List(Generic[RecordT]):
    pager: Pager[RecordT]
    records: Records[RecordT]
