"""Reads another list of the API for one account: beside its poller, at an interval of its own.

Such a list never delays a poll and never fails one. What it had is part of the account's snapshot until it is stale.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

import structlog

from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, RequestTimeout
from exporter.polling.events import log_collector, log_server_errors
from exporter.polling.lockout import Accept, CredentialsGuard, backoff
from exporter.polling.poller import MAX_RETRIES, ReadPage
from exporter.polling.schedule import Schedule
from exporter.polling.snapshot import Details, Snapshot
from exporter.polling.state import Account, CollectorState
from exporter.sms.client import RetryBudget
from exporter.sms.decoding import Page, Records
from exporter.sms.details import index_errors, index_tasks
from exporter.sms.endpoints import MIGRATION_ERRORS, MIGRATION_TASKS, Endpoint
from exporter.sms.paging import Listing, Narrowing, Pager

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DetailList:
    """The list that a collector reads, and the IAM action that it needs.

    `index` returns its records by the id of the server. `log_news` logs what a new snapshot has of it; its second
    argument remembers what has been logged.
    """

    endpoint: Endpoint[Any]
    action: str
    index: Callable[[Iterable[Any]], Mapping[str, Any]]
    log_news: Callable[[Snapshot, set[tuple[str, str]]], None] = lambda _, __: None

    def hint(self, collector: str) -> str:
        """Return what to do if the permission is missing."""
        return (
            f"grant the IAM action {self.action} (with roles: sms:server:queryServer) to this user, or turn off "
            f"collector.{collector.replace('_', '-')}"
        )


DETAIL_LISTS: Final[Mapping[str, DetailList]] = MappingProxyType(
    {
        "errors": DetailList(MIGRATION_ERRORS, "sms:server:listErrors", index_errors, log_server_errors),
        "task_details": DetailList(MIGRATION_TASKS, "sms:server:listTask", index_tasks),
    }
)
"""The lists by the name of the collector that reads them."""


class DetailListener(Protocol):
    """Is notified of the readings of all collectors that read other lists."""

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Prepare a snapshot before it is served."""

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, listing: Listing[Any] | None
    ) -> None:
        """Count a reading that has been recorded in the account's state; `listing` is None if it failed."""


class DetailReader:
    """Reads the list of one collector for one account.

    `shift` moves the readings after the first one by some seconds; it can be negative.
    """

    def __init__(
        self,
        account: Account,
        collector: str,
        read_page: ReadPage,
        clock: Clock,
        listener: DetailListener,
        guard: CredentialsGuard,
        *,
        shift: float = 0.0,
    ) -> None:
        self.collector = collector
        self._account = account
        self._list = DETAIL_LISTS[collector]
        self._read_page = read_page
        self._clock = clock
        self._listener = listener
        self._guard = guard
        self._schedule = Schedule(account.details_interval, due=clock.monotonic(), shift=shift)
        self._sleeping: asyncio.Future[None] | None = None
        self._records = Records(self._list.endpoint)
        # One page at a time: the poller's requests come first.
        self._pager = Pager(self._list.endpoint, self._fetch_page, concurrency=1, paging=account.settings.api.paging)
        self._budget = RetryBudget(MAX_RETRIES)
        self._accept: Accept = lambda: None
        self._refusals = 0
        self._logged: set[tuple[str, str]] = set()

    async def run(self, first_poll: asyncio.Event) -> None:
        """Read from the end of the first poll until cancelled."""
        # It shows whether the credentials are accepted, and details without servers are of no use.
        await first_poll.wait()
        self._schedule = self._schedule.due_at(max(self._schedule.due, self._clock.monotonic()))
        while True:
            await self._wait_until_due()
            await self.read()

    def follow(self, account: Account) -> None:
        """Continue with `account`: the same list, other settings. A reading in progress is not interrupted."""
        if account is not self._account:
            self._account = account
            self._schedule = self._schedule.with_interval(account.details_interval, self._clock.monotonic())
            if self._sleeping is not None:
                self._sleeping.cancel()

    async def read(self) -> None:
        """Read the list once. Any error, including a defect of the exporter, is a failed reading."""
        # Context variables are local to this task: its log lines, including those of retries, have both.
        structlog.contextvars.bind_contextvars(account=self._account.name, collector=self.collector)
        started_at = self._clock.time()
        try:
            listing = await self._read_list()
        except PollError as error:
            await self._end(error, None, None)
        except Exception as defect:
            log.exception("collector failed because of a defect of the exporter", account=self._account.name)
            await self.fail(defect)
        else:
            details = Details(started_at, self._list.index(listing.records))
            await self._end(None, listing, details)

    async def fail(self, defect: BaseException) -> None:
        """Count a defect of the exporter as a failed reading."""
        message = f"the list of {self._list.endpoint.noun} could not be processed: {type(defect).__name__}"
        hint = "this is a defect of the exporter: please report it with the traceback from the log"
        await self._end(BadResponse(message, hint=hint), None, None)

    async def _read_list(self) -> Listing[Any]:
        timeout = self._account.settings.poll.timeout
        self._budget = RetryBudget(MAX_RETRIES)
        try:
            async with self._guard.attempt() as self._accept:
                try:
                    async with asyncio.timeout(timeout):
                        return await self._pager.read()
                except TimeoutError:
                    message = f"the list of {self._list.endpoint.noun} was not complete after {timeout:g} seconds"
                    raise RequestTimeout(message) from None
        finally:
            self._records.list_ended()

    async def _fetch_page(self, offset: int, limit: int, narrowing: Narrowing) -> Page[Any]:
        body = await self._read_page(offset, limit, narrowing, self._budget)
        self._accept()
        return await self._records.decode(body)

    async def _end(self, error: PollError | None, listing: Listing[Any] | None, details: Details | None) -> None:
        state = self._account.state
        previous = self._account.collector_state(self.collector)
        self._back_off(error)
        state.collectors[self.collector] = CollectorState(details or previous.details, error)
        self._schedule = self._schedule.after_poll(error, self._clock.monotonic())
        log_collector(self._account, self.collector, error, previous)
        await self._publish()
        if details is not None and state.snapshot is not None:
            self._list.log_news(state.snapshot, self._logged)
        await self._listener.collector_read(self._account, self.collector, error, listing)

    def _back_off(self, error: PollError | None) -> None:
        """Lengthen the pause after a refusal, which as a rule lasts until somebody changes a policy."""
        if error is None:
            self._refusals = 0
            return
        # The frames and causes of an error refer to whole pages, which would be kept with it.
        error.__cause__ = error.__context__ = error.__traceback__ = None
        if isinstance(error, PermissionDenied):
            error.hint = self._list.hint(self.collector)
        if isinstance(error, PermissionDenied | AuthError):
            self._refusals += 1
            error.retry_after = max(error.retry_after or 0.0, backoff(self._refusals))

    async def _publish(self) -> None:
        """Serve the account's snapshot with what is known now, if that differs from what it has."""
        state = self._account.state
        async with state.publishing:
            details = self._account.served_details(self._clock.time())
            if state.snapshot is not None and state.snapshot.details != details:
                snapshot = replace(state.snapshot, details=details)
                await self._listener.snapshot_read(snapshot)
                state.snapshot = snapshot

    async def _wait_until_due(self) -> None:
        while (remaining := self._schedule.due - self._clock.monotonic()) > 0:
            self._sleeping = asyncio.ensure_future(self._clock.sleep(remaining))
            try:
                await asyncio.wait([self._sleeping])
            finally:
                self._sleeping.cancel()
