"""Polls one account: reads its list, updates its state and waits until the next poll is due."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse, PollError
from exporter.language import Translatable
from exporter.logs import bind_contextvars, get_logger
from exporter.polling.events import log_poll, log_transitions, log_undocumented_values
from exporter.polling.lockout import Accept, CredentialsGuard
from exporter.polling.migrations import record_migrations
from exporter.polling.schedule import Schedule
from exporter.polling.snapshot import Snapshot, next_snapshot
from exporter.polling.state import Account, PageRead, Poll
from exporter.polling.waiting import Waiting
from exporter.sms.client import RetryBudget
from exporter.sms.decoding import Page, Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing, Narrowing, Pager

MAX_RETRIES: Final = 20
"""Maximum number of retries per poll, for all pages together."""

ReadPage: TypeAlias = Callable[[int, int, Narrowing, RetryBudget], Awaitable[bytes]]
"""Returns the body of one page, from offset, limit, further filters and retry budget."""

log = get_logger(__name__)


class PollListener(Protocol):
    """Is notified of the polls of all accounts."""

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Prepare a snapshot before it is served.

        If this raises, the poll fails and the previous snapshot is still served.
        """

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll that has been recorded in the account's state.

        `listing` is the complete list, or None if the poll failed.
        """


class _PageReads:
    """The page requests of one poll."""

    def __init__(self, read_page: ReadPage, records: Records[SourceServer], clock: Clock) -> None:
        self._read_page = read_page
        self._records = records
        self._clock = clock
        self._started = clock.monotonic()
        self._reads: list[PageRead] = []
        self._pages = 0
        self.budget = RetryBudget(MAX_RETRIES)
        """The retries of the poll."""
        self.started_at = clock.time()
        """In seconds since the epoch."""
        self.accept: Accept = lambda: None
        """Called after each page response: the API has accepted the credentials."""

    async def read(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        """Read and decode one page, and record how long it took."""
        self._pages += 1
        started = self._clock.monotonic()
        rows = failure = None
        try:
            body = await self._read_page(offset, limit, narrowing, self.budget)
            self.accept()
            page = await self._records.decode(body)
            rows = page.rows
        except PollError as error:
            failure = error.reason
            raise
        finally:
            query = "&".join(f"{name}={value}" for name, value in narrowing.items())
            self._reads.append(PageRead(offset, limit, query, self._clock.monotonic() - started, rows, failure))
        return page

    def poll(self, error: PollError | None) -> Poll:
        """Return the result of the poll, with the current time as its end."""
        return Poll(self.started_at, self._clock.monotonic() - self._started, self._pages, error, tuple(self._reads))


class Poller:
    """Polls one account immediately, then at every interval.

    `shift` moves the regular polls by some seconds; it can be negative.
    """

    def __init__(
        self,
        account: Account,
        read_page: ReadPage,
        clock: Clock,
        listener: PollListener,
        guard: CredentialsGuard,
        worker: Worker,
        *,
        shift: float = 0.0,
    ) -> None:
        self._account = account
        self._read_page = read_page
        self._clock = clock
        self._listener = listener
        self._guard = guard
        self._worker = worker
        self.polled = asyncio.Event()
        """Set once the first poll has ended. If it succeeded, its snapshot can be scraped."""
        self._schedule = Schedule(account.settings.poll.interval, due=clock.monotonic(), shift=shift)
        self._waiting = Waiting(clock, guard)
        self._records = Records(SOURCE_SERVERS)
        self._reads = self._start_reads()
        self._pager = Pager(
            SOURCE_SERVERS,
            self._fetch_page,
            concurrency=account.settings.api.concurrency,
            paging=account.settings.api.paging,
            filters=account.settings.filter.query(),
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        if not self.polled.is_set():
            self._schedule = self._schedule.due_at(self._clock.monotonic())
        while True:
            await self._wait_until_due()
            await self.poll()

    def follow(self, account: Account) -> None:
        """Use the settings of `account` from now on; its list is the same. A poll in progress is not interrupted."""
        if account is not self._account:
            self._account = account
            self._set_schedule(self._schedule.with_interval(account.settings.poll.interval, self._clock.monotonic()))
            self._waiting.look_again()

    async def poll(self) -> Poll:
        """Poll once and return the result. Any error, including a defect of the exporter, is a failed poll."""
        # Context variables are local to this task: every log line of the poll, including retries, has the account.
        bind_contextvars(account=self._account.name)
        self._reads = self._start_reads()
        try:
            return await self._poll()
        except Exception as error:
            log.exception("poll failed because of a defect of the exporter", account=self._account.name)
            return await self.fail(error)

    async def fail(self, defect: BaseException) -> Poll:
        """Count a defect of the exporter as a failed poll."""
        error = BadResponse(
            f"the list could not be processed: {type(defect).__name__}",
            hint=Translatable("this is a defect of the exporter: please report it with the traceback from the log"),
        )
        return await self._end(self._reads.poll(error), None)

    async def _fetch_page(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        return await self._reads.read(offset, limit, narrowing)

    def _start_reads(self) -> _PageReads:
        return _PageReads(self._read_page, self._records, self._clock)

    async def _poll(self) -> Poll:
        state = self._account.state
        try:
            async with self._guard.attempt() as accept:
                listing = await self._read_list(accept)
        except PollError as error:
            return await self._end(self._reads.poll(error), None)
        finally:
            self._records.list_ended()
        async with state.publishing:
            details = self._account.served_details(self._clock.time())
            snapshot = await self._worker.run(
                next_snapshot, listing, self._account.settings, self._reads.started_at, state.snapshot, details
            )
            poll = self._reads.poll(None)
            await self._listener.snapshot_read(snapshot)
            await self._worker.run(state.progress.add, snapshot, state.snapshot)
            if state.migrations is not None:
                state.migrations = await self._worker.run(record_migrations, state.migrations, snapshot, state.snapshot)
            state.snapshot = snapshot
        log_transitions(snapshot)
        log_undocumented_values(snapshot, state.undocumented_logged_at)
        return await self._end(poll, listing)

    async def _read_list(self, accept: Accept) -> Listing[SourceServer]:
        timeout = self._account.settings.poll.timeout
        self._reads.accept = accept
        try:
            async with asyncio.timeout(timeout):
                return await self._pager.read()
        except TimeoutError:
            raise self._reads.budget.timed_out("the poll", timeout) from None

    async def _end(self, poll: Poll, listing: Listing[SourceServer] | None) -> Poll:
        previous = self._account.state.last_poll
        self._account.state.record(poll)
        self._set_schedule(self._schedule.after_poll(poll.error, self._clock.monotonic()))
        log_poll(self._account, poll, previous)
        await self._listener.poll_ended(self._account, poll, listing)
        self.polled.set()
        return poll

    async def _wait_until_due(self) -> None:
        """Sleep until the next poll is due, or until refused credentials have been replaced."""
        last_poll = self._account.state.last_poll
        refused = self.polled.is_set() and last_poll is not None and isinstance(last_poll.error, AuthError)
        if await self._waiting.until_due(lambda: self._schedule.due, refused=refused):
            log.info("credentials changed, polling again", account=self._account.name)
            self._set_schedule(self._schedule.due_at(self._clock.monotonic()))

    def _set_schedule(self, schedule: Schedule) -> None:
        self._schedule = schedule
        if self._account.state.last_poll is not None:
            self._account.state.next_poll_at = self._clock.time() + schedule.due - self._clock.monotonic()
