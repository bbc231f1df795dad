"""The clock of one account: when its list is read, and what becomes of each reading."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import structlog

from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse, PollError, RequestTimeout
from exporter.polling.snapshot import Snapshot, next_snapshot
from exporter.polling.state import Account, PageRead, Poll
from exporter.sms.client import RetryBudget
from exporter.sms.decoding import Page, Records
from exporter.sms.endpoints import SOURCE_SERVERS
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing, Narrowing, Pager

AUTH_BACKOFF: Final = 300.0
LONGEST_AUTH_BACKOFF: Final = 3600.0
"""Seconds without a poll after refused credentials, doubled at each refusal in a row up to the longest:
more than five refusals in a row lock an access key for 300 seconds, and wrong passwords lock a user."""

SECRET_WATCH: Final = 5.0
"""Seconds from look to look whether the refused secret was changed."""

RETRIES: Final = 20
"""Retries of a whole poll, over all its pages."""

ReadPage: TypeAlias = Callable[[int, int, Narrowing, RetryBudget], Awaitable[bytes]]
"""Gives the body of the page at (offset, limit) of a part of the list, with retries from a budget."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class PollListener(Protocol):
    """Hears of each poll, after the account has taken it over."""

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Take note; `listing` is the complete list, or None where the poll failed."""


class Poller:
    """Polls one account: at once, then at each interval, counted from the start of the first poll.

    `fingerprint` returns a digest of the secret in use: another one than the refused poll's ends the back-off.
    """

    def __init__(
        self,
        account: Account,
        read_page: ReadPage,
        clock: Clock,
        listener: PollListener,
        fingerprint: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._account = account
        self._read_page = read_page
        self._clock = clock
        self._listener = listener
        self._read_fingerprint = fingerprint
        self._fingerprint: str | None = None
        self.polled = asyncio.Event()
        """Set once the first poll has ended and its snapshot can be scraped."""
        self._records = Records(SOURCE_SERVERS)
        self._pages = 0
        self._reads: list[PageRead] = []
        self._refusals = 0
        self._nap: asyncio.Future[None] | None = None
        self._budget = RetryBudget(RETRIES)
        api = account.settings.api
        self._pager = Pager(
            SOURCE_SERVERS,
            self._page,
            concurrency=api.concurrency,
            paging=api.paging,
            filters=account.settings.filter.query(),
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        due = self._clock.monotonic()
        while True:
            poll = await self.poll()
            due = await self._wait(due, poll)

    def follow(self, account: Account) -> None:
        """Go on with the options of `account`, which is of the same list; a poll in flight is not disturbed.

        The next poll comes on the schedule of the new interval, counted from the last one.
        """
        if account is not self._account:
            self._account = account
            if self._nap is not None:
                self._nap.cancel()

    async def poll(self) -> Poll:
        """Read the list once; the account has the result before the listener hears of it."""
        # Of this task alone: every line of the poll names the account, also those of retries and renewals.
        structlog.contextvars.bind_contextvars(account=self._account.name)
        started_at, started = self._clock.time(), self._clock.monotonic()
        self._fingerprint = await self._read_fingerprint()
        self._pages, self._reads, self._budget = 0, [], RetryBudget(RETRIES)
        before, previous = self._account.state.last_poll, self._account.state.snapshot
        reading, error = await self._read(started_at, previous)
        self._records.list_ended()
        poll = Poll(started_at, self._clock.monotonic() - started, self._pages, error, tuple(self._reads))
        self._account.state.record(poll)
        listing = None
        if reading is not None:
            listing, self._account.state.snapshot = reading
        self._tell_condition(poll, before)
        if listing is not None:
            self._tell_changes(self._account.state.snapshot, previous)
        try:
            await self._listener.poll_ended(self._account, poll, listing)
        except Exception:  # a defect of ours must not end the polling
            log.exception("a poll could not be published", account=self._account.name)
        self.polled.set()
        return poll

    async def _read(
        self,
        started_at: float,
        previous: Snapshot | None,
    ) -> tuple[tuple[Listing[SourceServer], Snapshot] | None, PollError | None]:
        timeout = self._account.settings.poll.timeout
        try:
            async with asyncio.timeout(timeout):
                listing = await self._pager.read()
            return (
                listing,
                await asyncio.to_thread(next_snapshot, listing, self._account.settings, started_at, previous),
            ), None
        except TimeoutError:
            return None, RequestTimeout(f"the poll was not complete after {timeout:g} seconds")
        except PollError as error:
            return None, error
        except Exception as error:  # a defect of ours must not end the polling
            log.exception("a poll met a defect of the exporter", account=self._account.name)
            return None, BadResponse(
                f"the list could not be processed: {type(error).__name__}",
                hint="this is a defect of the exporter: please report it with the traceback in its log",
            )

    async def _page(self, offset: int, limit: int, narrowing: Narrowing) -> Page[SourceServer]:
        self._pages += 1
        started = self._clock.monotonic()
        rows = failure = None
        try:
            body = await self._read_page(offset, limit, narrowing, self._budget)
            page = self._records.page(body)
            rows = page.rows
        except PollError as error:
            failure = error.reason
            raise
        finally:
            asked = "&".join(f"{name}={value}" for name, value in narrowing.items())
            self._reads.append(PageRead(offset, limit, asked, self._clock.monotonic() - started, rows, failure))
        return page

    async def _wait(self, last_due: float, poll: Poll) -> float:
        """Wait until the poll after `poll`, which was due at `last_due`, and give when that one is due."""
        earliest = self._clock.monotonic() + self._pause(poll)
        due = self._next_due(last_due, earliest)
        refused = isinstance(poll.error, AuthError)
        while (rest := due - self._clock.monotonic()) > 0:
            account = self._account
            await self._sleep(min(rest, SECRET_WATCH) if refused else rest)
            # Looked at after a while only, so that a refusal that nobody took note of is no reason to hurry.
            if refused and await self._read_fingerprint() not in (None, self._fingerprint):
                log.info("the secret was changed: polling again", account=self._account.name)
                return self._clock.monotonic()
            if self._account is not account and (now := self._clock.monotonic()) < due:
                due = self._next_due(last_due, max(earliest, now))
        return due

    def _pause(self, poll: Poll) -> float:
        """Give the seconds after `poll` in which there must be no other."""
        self._refusals = self._refusals + 1 if isinstance(poll.error, AuthError) else 0
        if self._refusals:
            return min(AUTH_BACKOFF * 2.0 ** (self._refusals - 1), LONGEST_AUTH_BACKOFF)
        return min(poll.error.retry_after or 0.0, LONGEST_AUTH_BACKOFF) if poll.error is not None else 0.0

    def _next_due(self, due: float, earliest: float) -> float:
        """Give the next moment of the schedule after `due` that is not before `earliest`."""
        interval = self._account.settings.poll.interval
        due += interval
        if due < earliest:
            due += interval * -(-(earliest - due) // interval)
        return due

    async def _sleep(self, seconds: float) -> None:
        """Sleep so long, or until other options are followed."""
        self._nap = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait([self._nap])
        finally:
            self._nap.cancel()

    def _tell_condition(self, poll: Poll, before: Poll | None) -> None:
        """Log one line a poll at debug, and one for each change of the account's condition."""
        account = self._account.name
        result = poll.error.reason if poll.error else "complete"
        log.debug("poll ended", account=account, result=result, duration=round(poll.duration, 3), pages=poll.pages)
        was = before and before.error and before.error.reason
        if poll.error is not None:
            if poll.error.reason != was:
                log.warning("poll failed", account=account, err=poll.error.message, **poll.error.facts())
            if before and self._served(before) and not self._served(poll):
                log.warning("the last list is too old and served no longer", account=account)
        elif before is None or was is not None:
            servers = len(self._account.state.snapshot.servers) if self._account.state.snapshot else 0
            log.info("account is up", account=account, servers=servers, pages=poll.pages)

    def _served(self, poll: Poll) -> bool:
        """Tell whether the list was young enough when `poll` ended."""
        return self._account.served_snapshot(poll.started_at + poll.duration) is not None

    def _tell_changes(self, snapshot: Snapshot | None, previous: Snapshot | None) -> None:
        """Log one line for each server that changed state, and for each unknown value that is new."""
        if snapshot is None:
            return
        account = self._account.name
        for field, value in snapshot.unknown.keys() - (previous.unknown if previous else {}).keys():
            log.warning("undocumented value counts as other", account=account, field=field, value=value)
        for transition in snapshot.transitions:
            log.info(
                "server changed state",
                account=account,
                server_id=transition.server.id,
                server=transition.server.name,
                from_state=transition.from_state,
                to_state=transition.to_state,
            )
