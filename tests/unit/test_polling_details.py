"""When a collector reads what it needs beside the list of source servers, and what happens with the result."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from answers import Answers, detail_client
from exporter.errors import AuthError, BadResponse, PermissionDenied, PollError, ServerFault
from exporter.polling.detail_client import LeftOut
from exporter.polling.details import DetailReader
from exporter.polling.lockout import BACKOFF_SECONDS, CredentialsGuard, Lockout
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import STALE_DETAILS, Account, Poll
from exporter.polling.waiting import CREDENTIALS_CHECK_SECONDS
from exporter.settings import DetailSettings
from support import NOW, FakeClock, account, server, snapshot

INTERVAL = 60.0
ERROR = {"source_id": "s1", "error_json": "SMS.0515"}

Run = Callable[["Rig"], "asyncio.Task[None]"]


class Rig:
    """A reader of the errors of an account with one server, and what it notified its listener of."""

    def __init__(self, clock: FakeClock, collector: str = "errors", shift: float = 0.0) -> None:
        self.clock = clock
        self.answers = Answers()
        self.answers.answer_errors(ERROR)
        self.account = Account(account(), details=DetailSettings((collector,)))
        self.account.state.snapshot = snapshot(server("s1"))
        self.account.state.record(Poll(NOW, 1.0, 1))
        self.first_poll = asyncio.Event()
        self.first_poll.set()
        self.secret = "secret"
        self.defect: Exception | None = None
        self.times: list[float] = []
        self.readings: list[tuple[Account, str, PollError | None, LeftOut]] = []
        self.published: list[Snapshot] = []
        self.context: dict[str, object] = {}
        client = detail_client(self.answers, clock, {})
        guard = CredentialsGuard(Lockout(clock), self.fingerprint)
        self.reader = DetailReader(self.account, collector, client, clock, self, guard, shift=shift)

    async def fingerprint(self) -> str:
        if self.defect is not None:
            raise self.defect
        return self.secret

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        assert snapshot is not self.account.state.snapshot
        self.published.append(snapshot)

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, left_out: LeftOut
    ) -> None:
        self.times.append(self.clock.monotonic())
        self.readings.append((account, collector, error, left_out))
        self.context = get_contextvars()

    @property
    def error(self) -> PollError | None:
        """The error of the last reading."""
        return self.readings[-1][2]

    def refuse(self) -> None:
        self.answers.status = 403
        self.answers.content = {"error_code": "SMS.9004", "error_msg": "The account does not have the permission."}

    def answer(self) -> None:
        self.answers.status = 200
        self.answers.answer_errors(ERROR)

    async def pass_readings(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(await self.clock.until_asleep())
        await self.clock.until_asleep()


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    tasks: list[asyncio.Task[None]] = []

    def start(rig: Rig) -> "asyncio.Task[None]":
        tasks.append(asyncio.create_task(rig.reader.run(rig.first_poll)))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_first_reading_follows_the_first_poll_and_the_next_ones_the_interval(
    clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock)
    rig.first_poll.clear()
    run(rig)
    clock.advance(50)
    for _ in range(9):
        await asyncio.sleep(0)
    assert rig.times == []
    rig.first_poll.set()
    await rig.pass_readings(2)
    assert rig.times == [50, 110, 170]


async def test_the_readings_after_the_first_one_are_shifted(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, shift=-20.0)
    run(rig)
    await rig.pass_readings(2)
    assert rig.times == [0, 40, 100]


async def test_a_reader_that_is_started_again_waits_until_its_next_reading_is_due(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock)
    first = run(rig)
    await clock.until_asleep()
    first.cancel()
    await asyncio.wait([first])
    clock.advance(10)
    run(rig)
    assert await clock.until_asleep() == 50
    assert rig.times == [0]


async def test_another_interval_is_followed_at_once_and_counts_from_the_last_reading(
    clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock)
    slower = replace(rig.account, details=DetailSettings(("errors",), 10))
    rig.reader.follow(slower)
    run(rig)
    await clock.until_asleep()
    clock.advance(100)
    await clock.until_asleep()
    assert rig.times == [0]
    rig.reader.follow(slower)
    rig.reader.follow(rig.account)
    for _ in range(9):
        await asyncio.sleep(0)
    assert await clock.until_asleep() == 20
    await rig.pass_readings(1)
    assert rig.times == [0, 120]
    assert [reading[0] for reading in rig.readings] == [slower, rig.account]


async def test_what_is_read_is_part_of_the_snapshot_and_its_news_are_logged(clock: FakeClock) -> None:
    rig = Rig(clock)
    clock.advance(50)
    rig.answers.answer_errors(ERROR, ERROR, {})
    with capture_logs() as logs:
        for _ in range(2):
            await rig.reader.read()
    assert rig.account.state.snapshot is rig.published[-1]
    details = rig.published[-1].details["errors"]
    assert (details.read_at, details.records["s1"].code) == (NOW + 50, "SMS.0515")
    assert [line["event"] for line in logs] == ["collector is up", "server has a migration error"]
    _, collector, error, left_out = rig.readings[-1]
    assert (collector, error, left_out.duplicates, left_out.invalid) == ("errors", None, 1, 1)
    assert rig.context == {"account": "default", "collector": "errors"}


async def test_a_failed_reading_keeps_the_last_data_until_it_is_stale(clock: FakeClock) -> None:
    rig = Rig(clock)
    await rig.reader.read()
    rig.answers.status = 404
    clock.advance(INTERVAL)
    await rig.reader.read()
    assert isinstance(rig.error, PollError)
    assert rig.account.collector_state("errors").details is not None
    assert len(rig.published) == 1
    clock.advance(STALE_DETAILS * INTERVAL)
    await rig.reader.read()
    assert [dict(each.details).keys() for each in rig.published] == [{"errors"}, set()]


async def test_a_reading_before_the_first_complete_poll_is_recorded_and_logs_no_news(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.account.state.snapshot = None
    with capture_logs() as logs:
        await rig.reader.read()
    assert rig.account.collector_state("errors").up
    assert rig.published == []
    assert [line["event"] for line in logs] == ["collector is up"]


async def test_a_missing_permission_is_named_and_is_retried_after_longer_and_longer_pauses(
    clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock)
    rig.refuse()
    run(rig)
    await rig.pass_readings(2)
    assert isinstance(rig.error, PermissionDenied)
    assert "sms:server:listErrors" in rig.error.hint
    assert "collector.errors" in rig.error.hint
    assert rig.times == [0, BACKOFF_SECONDS, 3 * BACKOFF_SECONDS]
    rig.answer()
    await rig.pass_readings(1)
    rig.refuse()
    await rig.pass_readings(2)
    succeeded = rig.times[3]
    assert rig.times[4:] == [succeeded + INTERVAL, succeeded + INTERVAL + BACKOFF_SECONDS]


async def test_refused_credentials_are_not_sent_again_soon(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock)
    rig.answers.status = 401
    run(rig)
    await rig.pass_readings(int(BACKOFF_SECONDS / CREDENTIALS_CHECK_SECONDS))
    assert isinstance(rig.error, AuthError)
    assert rig.times == [0, BACKOFF_SECONDS]
    assert len(rig.answers.requests) == 2


async def test_refused_credentials_that_are_replaced_are_used_at_once_and_end_the_back_off(
    clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock)
    rig.answers.status = 401
    run(rig)
    await rig.pass_readings(1)
    rig.secret = "replaced"
    await rig.pass_readings(1)
    assert rig.times == [0, 2 * CREDENTIALS_CHECK_SECONDS]
    # The new ones are refused for the first time.
    await rig.pass_readings(int(BACKOFF_SECONDS / CREDENTIALS_CHECK_SECONDS))
    assert rig.times[2:] == [rig.times[1] + BACKOFF_SECONDS]
    rig.answer()
    await rig.pass_readings(int(2 * BACKOFF_SECONDS / CREDENTIALS_CHECK_SECONDS))
    assert rig.error is None
    # Credentials that work are replaced without a reading.
    rig.secret = "replaced again"
    await rig.pass_readings(1)
    assert rig.times[-1] - rig.times[-2] == INTERVAL


async def test_another_failure_is_retried_at_the_next_interval(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock)
    rig.answers.status = 404
    run(rig)
    await rig.pass_readings(2)
    assert rig.times == [0, INTERVAL, 2 * INTERVAL]


async def test_an_error_that_is_kept_does_not_keep_what_was_in_memory_when_it_occurred(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.refuse()
    await rig.reader.read()
    assert rig.error is not None
    assert (rig.error.__traceback__, rig.error.__cause__, rig.error.__context__) == (None, None, None)


async def test_a_defect_is_a_failed_reading_and_ends_no_reader(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock)
    rig.defect = ZeroDivisionError()
    with capture_logs() as logs:
        run(rig)
        await rig.pass_readings(1)
    assert isinstance(rig.error, BadResponse)
    assert "the collector errors could not be processed: ZeroDivisionError" in rig.error.message
    assert "report it" in rig.error.hint
    assert rig.times == [0, INTERVAL]
    assert "defect of the exporter" in logs[0]["event"]
    rig.defect = None
    await rig.pass_readings(1)
    assert rig.error is None


async def test_a_reading_that_sends_no_request_is_as_old_as_the_list_and_fails_with_its_poll(clock: FakeClock) -> None:
    rig = Rig(clock, "consistency")
    clock.advance(50)
    await rig.reader.read()
    details = rig.account.collector_state("consistency").details
    assert details is not None
    assert details.read_at == NOW
    failure = ServerFault("down")
    rig.account.state.record(Poll(NOW + 60, 1.0, 1, failure))
    await rig.reader.read()
    assert rig.error is not failure
    assert isinstance(rig.error, ServerFault)
    rig.account.state.record(Poll(NOW + 120, 1.0, 1))
    rig.account.state.snapshot = None
    await rig.reader.read()
    details = rig.account.collector_state("consistency").details
    assert details is not None
    assert details.read_at == NOW + 50
    assert rig.answers.requests == []
