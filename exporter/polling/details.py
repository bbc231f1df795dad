"""Reads what a collector needs beside the list of source servers, for one account: at an interval of its own.

Such a reading never delays a poll and never fails one. What it had is part of the account's snapshot until it is stale.
"""

import asyncio
from copy import copy
from dataclasses import replace
from typing import Protocol

from exporter.clock import Clock
from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError
from exporter.language import Translatable
from exporter.logs import bind_contextvars, get_logger
from exporter.polling.collectors import DETAIL_COLLECTORS
from exporter.polling.detail_client import DetailClient, DetailReading, LeftOut
from exporter.polling.events import log_collector
from exporter.polling.lockout import CredentialsGuard, backoff
from exporter.polling.schedule import Schedule
from exporter.polling.snapshot import Details, Snapshot
from exporter.polling.state import Account, CollectorState
from exporter.polling.waiting import Waiting

log = get_logger(__name__)


class DetailListener(Protocol):
    """Is notified of the readings of all collectors that read more than the list of source servers."""

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Prepare a snapshot before it is served."""

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, left_out: LeftOut
    ) -> None:
        """Count a reading that has been recorded in the account's state."""


class DetailReader:
    """Reads the data of one collector for one account.

    `shift` moves the readings after the first one by some seconds; it can be negative.
    """

    def __init__(
        self,
        account: Account,
        collector: str,
        client: DetailClient,
        clock: Clock,
        listener: DetailListener,
        guard: CredentialsGuard,
        *,
        shift: float,
    ) -> None:
        self.collector = collector
        self._account = account
        self._collector = DETAIL_COLLECTORS[collector]
        self._client = client
        self._clock = clock
        self._listener = listener
        self._guard = guard
        self._schedule = Schedule(account.details_interval, due=clock.monotonic(), shift=shift)
        self._waiting = Waiting(clock, guard)
        self._refusals = 0

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
            self._waiting.look_again()

    async def read(self) -> None:
        """Read once. Any error, including a defect of the exporter, is a failed reading."""
        # Context variables are local to this task: its log lines, including those of retries, have both.
        bind_contextvars(account=self._account.name, collector=self.collector)
        started_at = self._clock.time()
        try:
            reading = await self._read()
            if not self._client.has_answer:
                started_at = self._find_list_time()
        except PollError as error:
            await self._end(error, None)
        except Exception as defect:
            log.exception("collector failed because of a defect of the exporter", account=self._account.name)
            await self.fail(defect)
        else:
            await self._end(reading.error, Details(started_at, reading.records))

    async def fail(self, defect: BaseException) -> None:
        """Count a defect of the exporter as a failed reading."""
        message = f"the data of the collector {self.collector} could not be processed: {type(defect).__name__}"
        hint = Translatable("this is a defect of the exporter: please report it with the traceback from the log")
        await self._end(BadResponse(message, hint=hint), None)

    async def _read(self) -> DetailReading:
        state = self._account.state
        previous = self._account.collector_state(self.collector).details
        async with self._guard.attempt() as accept:
            with self._client.reading(accept, self._account.details_timeout):
                try:
                    return await self._collector.read(
                        self._client, state.snapshot, previous.records if previous else {}
                    )
                except PermissionDenied as error:
                    error.hint = self._collector.hint(self.collector)
                    raise

    def _find_list_time(self) -> float:
        """Return when the list was read that shows that nothing else had to be requested.

        Raise the error of the last poll if it failed: then nothing shows that the records are complete.
        """
        poll, snapshot = self._account.state.last_poll, self._account.state.snapshot
        if poll is not None and poll.error is not None:
            # This reading adds to the error, so it must not be that of the poll.
            raise copy(poll.error)
        return snapshot.read_at if snapshot else self._clock.time()

    async def _end(self, error: PollError | None, details: Details | None) -> None:
        """Record a reading. With an error, `details` are what could be read nevertheless."""
        state = self._account.state
        previous = self._account.collector_state(self.collector)
        self._back_off(error)
        state.collectors[self.collector] = CollectorState(details or previous.details, error)
        self._schedule = self._schedule.after_poll(error, self._clock.monotonic())
        log_collector(self._account, self.collector, error, previous)
        await self._publish()
        if details is not None and state.snapshot is not None:
            self._collector.log_news(self._account, state.snapshot, state.logged[self.collector])
        await self._listener.collector_read(self._account, self.collector, error, self._client.take_left_out())

    def _back_off(self, error: PollError | None) -> None:
        """Lengthen the pause after a refusal, which as a rule lasts until somebody changes a policy."""
        if error is None:
            self._refusals = 0
            return
        # The frames and causes of an error refer to whole pages, which would be kept with it.
        error.__cause__ = error.__context__ = error.__traceback__ = None
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
        """Wait until the next reading is due, or until refused credentials have been replaced."""
        refused = isinstance(self._account.collector_state(self.collector).error, AuthError)
        if await self._waiting.until_due(lambda: self._schedule.due, refused=refused):
            self._refusals = 0
            self._schedule = self._schedule.due_at(self._clock.monotonic())
