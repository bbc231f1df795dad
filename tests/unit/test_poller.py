import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import msgspec
import pytest
from structlog.contextvars import clear_contextvars, get_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.blocking import Worker
from exporter.errors import AuthError, ServerFault, Throttled
from exporter.polling.account import AccountRunner
from exporter.polling.events import MAX_LINES
from exporter.polling.lockout import BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, CredentialsGuard, Fingerprint, Lockout
from exporter.polling.poller import Poller
from exporter.polling.progress import Sample
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, PageRead, Poll
from exporter.polling.waiting import CREDENTIALS_CHECK_SECONDS
from exporter.sms.client import RetryBudget
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing, Narrowing
from support import NOW, FakeClock, account, server

Run = Callable[["Rig"], None]


class Rig:
    """A poller of a list that a test sets, and what it notified its listener of."""

    def __init__(self, clock: FakeClock, lockout: Lockout | None = None, **poll: object) -> None:
        self.clock = clock
        self.account = Account(account(poll=poll))
        self.servers: tuple[SourceServer, ...] = (server("a", state="waiting"),)
        self.count: int | None = None
        self.asked_further = asyncio.Event()
        self.further_pages = asyncio.Event()
        self.further_pages.set()
        self.error: Exception | None = None
        self.secret: str | None = "secret"
        self.defect: Exception | None = None
        self.took = 0.0
        self.polls: list[float] = []
        self.context: dict[str, object] = {}
        self.ended: list[tuple[Poll, Listing[SourceServer] | None]] = []
        self.poller = Poller(
            self.account,
            self.page,
            clock,
            self,
            CredentialsGuard(lockout or Lockout(clock), self.fingerprint),
            Worker(),
        )

    def poller_with(self, fingerprint: Fingerprint) -> Poller:
        guard = CredentialsGuard(Lockout(self.clock), fingerprint)
        return Poller(self.account, self.page, self.clock, self, guard, Worker())

    async def page(self, offset: int, limit: int, narrowing: Narrowing, budget: RetryBudget) -> bytes:
        del limit, narrowing, budget
        if offset == 0:
            self.polls.append(self.clock.monotonic())
        self.context = get_contextvars()
        if offset:
            self.asked_further.set()
            await self.further_pages.wait()
        self.clock.advance(self.took)
        if self.error is not None:
            raise self.error
        count = len(self.servers) if self.count is None else self.count
        return msgspec.json.encode({"count": count, "source_servers": self.servers})

    async def fingerprint(self) -> str | None:
        return self.secret

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        assert snapshot is not self.account.state.snapshot
        if self.defect is not None:
            raise self.defect

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        assert account.state is self.account.state
        assert account.state.last_poll is poll
        self.account_of_last_poll = account
        self.ended.append((poll, listing))


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    tasks: list[asyncio.Task[None]] = []

    def start(rig: Rig) -> None:
        tasks.append(asyncio.create_task(rig.poller.run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def logged(events: list[EventDict], event: str) -> list[EventDict]:
    return [entry for entry in events if entry["event"] == event]


async def test_the_first_poll_is_immediate_and_the_next_ones_follow_the_interval(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    for _ in range(3):
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, 60, 120, 180]


async def test_the_interval_counts_from_the_start_of_the_poller(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    clock.advance(100)
    run(rig)
    for _ in range(2):
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [100, 160, 220]


async def test_a_poller_that_is_stopped_leaves_no_task_behind(clock: FakeClock) -> None:
    rig = Rig(clock)
    before = asyncio.all_tasks()
    running = asyncio.create_task(rig.poller.run())
    await clock.until_asleep()
    running.cancel()
    await asyncio.wait([running])
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_slow_poll_does_not_move_the_schedule(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.took = 25
    run(rig)
    for _ in range(2):
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, 60, 120]


async def test_a_poll_longer_than_the_interval_skips_the_times_that_it_overran(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.took = 130
    run(rig)
    assert await clock.until_asleep() == 50
    clock.advance(50)
    await clock.until_asleep()
    assert rig.polls == [0, 180]


async def test_a_complete_list_becomes_the_snapshot_with_the_time_at_which_the_poll_began(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.took = 5
    poll = await rig.poller.poll()
    assert rig.account.state.snapshot is not None
    assert rig.account.state.snapshot.read_at == NOW
    assert msgspec.to_builtins(rig.account.state.snapshot.servers) == msgspec.to_builtins(rig.servers)
    assert (poll.started_at, poll.duration, poll.pages, poll.error) == (NOW, 5, 1, None)
    assert rig.account.state.up


async def test_each_poll_has_only_its_own_pages(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.took = 5
    for started_at in (NOW, NOW + 5):
        poll = await rig.poller.poll()
        assert (poll.started_at, poll.duration, poll.pages) == (started_at, 5, 1)
        assert poll.reads == (PageRead(0, 200, "", 5, rows=1),)
    rig.error = ServerFault("down")
    assert (await rig.poller.poll()).reads == (PageRead(0, 200, "", 5, failure="server_error"),)


async def test_the_pages_of_a_part_of_a_long_list_have_its_filters(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.count = 70_000
    poll = await rig.poller.poll()
    assert [read.narrowing for read in poll.reads] == [
        "",
        "state=unavailable",
        "state=unavailable&migration_cycle=checking",
    ]


async def test_a_server_that_did_not_change_is_the_same_object_in_the_next_snapshot(clock: FakeClock) -> None:
    rig = Rig(clock)
    seen = []
    for _ in range(2):
        await rig.poller.poll()
        assert rig.account.state.snapshot is not None
        seen.append(rig.account.state.snapshot.servers[0])
    assert seen[0] is seen[1]


def recorded(rig: Rig) -> list[str]:
    return [each.server_id for each in rig.account.state.migrations or ()]


async def test_a_poll_records_migrations_if_they_are_saved(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.servers = (server("a", state="finished"),)
    await rig.poller.poll()
    assert rig.account.state.migrations is None
    rig.account.state.migrations = ()
    rig.servers = (*rig.servers, server("b", state="finished"))
    await rig.poller.poll()
    assert recorded(rig) == ["b"]


async def test_a_poll_adds_to_the_progress_of_each_server(clock: FakeClock) -> None:
    rig = Rig(clock)
    for size in (1, 2):
        rig.servers = (server("a", replicatesize=size),)
        await rig.poller.poll()
        clock.advance(60)
    assert rig.account.state.progress.samples("a") == [Sample(NOW, 1, 0), Sample(NOW + 60, 2, 0)]


async def test_the_first_page_of_an_account_admits_others_with_the_same_credentials(clock: FakeClock) -> None:
    lockout = Lockout(clock)
    slow, other = Rig(clock, lockout), Rig(clock, lockout)
    slow.count = 2
    slow.further_pages.clear()
    polling = asyncio.create_task(slow.poller.poll())
    await slow.asked_further.wait()
    # Otherwise it would wait until the clock advances.
    async with asyncio.timeout(10):
        await other.poller.poll()
    assert other.account.state.up
    assert not polling.done()
    slow.further_pages.set()
    await polling


async def test_the_log_lines_of_a_poll_have_the_account(clock: FakeClock) -> None:
    clear_contextvars()
    rig = Rig(clock)
    await rig.poller.poll()
    assert rig.context == {"account": "default"}


async def test_a_failed_poll_keeps_the_snapshot_and_is_not_up(clock: FakeClock) -> None:
    rig = Rig(clock)
    await rig.poller.poll()
    kept = rig.account.state.snapshot
    rig.error = ServerFault("down")
    poll = await rig.poller.poll()
    assert rig.account.state.snapshot is kept
    assert poll.error is rig.error
    assert not rig.account.state.up
    assert rig.ended[-1] == (poll, None)


@pytest.mark.parametrize("where", ["reading", "rendering"])
async def test_a_defect_of_the_exporter_is_a_failed_poll_and_polling_continues(
    where: str, clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock)
    defect = ZeroDivisionError("secret detail")
    rig.error, rig.defect = (defect, None) if where == "reading" else (None, defect)
    with capture_logs() as events:
        run(rig)
        clock.advance(await clock.until_asleep())
        await clock.until_asleep()
    defects = logged(events, "poll failed because of a defect of the exporter")
    assert [(line["account"], line["exc_info"]) for line in defects] == [("default", True)] * 2
    assert len(rig.polls) == len(rig.ended) == 2
    assert rig.account.state.snapshot is None
    assert rig.account.state.last_poll is not None
    error = rig.account.state.last_poll.error
    assert error is not None
    assert error.reason == "bad_response"
    assert "secret detail" not in error.message
    assert "defect of the exporter" in error.hint
    assert "api.endpoint" not in error.hint


async def test_a_snapshot_that_cannot_be_rendered_leaves_the_previous_one_in_place(clock: FakeClock) -> None:
    rig = Rig(clock)
    await rig.poller.poll()
    rendered = rig.account.state.snapshot
    rig.defect = ZeroDivisionError()
    await rig.poller.poll()
    assert rig.account.state.snapshot is rendered is not None
    assert not rig.account.state.up


async def test_refused_credentials_back_off_longer_each_time(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    while clock.monotonic() < 4 * MAX_BACKOFF_SECONDS:
        clock.advance(await clock.until_asleep())
    pauses = [after - before for before, after in zip(rig.polls, rig.polls[1:], strict=False)]
    assert pauses[:3] == [BACKOFF_SECONDS, 2 * BACKOFF_SECONDS, 4 * BACKOFF_SECONDS]
    assert max(pauses) == MAX_BACKOFF_SECONDS


async def test_replaced_credentials_end_the_back_off(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    assert await clock.until_asleep() == CREDENTIALS_CHECK_SECONDS
    rig.error, rig.secret = None, "another secret"
    with capture_logs() as events:
        clock.advance(CREDENTIALS_CHECK_SECONDS)
        assert await clock.until_asleep() == 60
    assert rig.polls == [0, CREDENTIALS_CHECK_SECONDS]
    assert [line["account"] for line in logged(events, "credentials changed, polling again")] == ["default"]
    assert rig.account.state.up


@pytest.mark.parametrize("secret", ["secret", None])
async def test_credentials_that_are_the_same_or_unreadable_do_not_end_the_back_off(
    secret: str | None, clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("the API answered 403 (APIGW.0301)", status=403)
    run(rig)
    await clock.until_asleep()
    rig.secret = secret
    while clock.monotonic() < BACKOFF_SECONDS:
        assert rig.polls == [0]
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, BACKOFF_SECONDS]


async def test_after_a_success_the_back_off_starts_again(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    while len(rig.polls) < 3:
        clock.advance(await clock.until_asleep())
        rig.error = None if len(rig.polls) == 1 else AuthError("refused")
        await clock.until_asleep()
    assert [poll.error is None for poll, _ in rig.ended] == [False, True, False]
    due = rig.polls[-1] + BACKOFF_SECONDS
    while clock.monotonic() < due:
        assert len(rig.polls) == 3
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls[-1] == due


def under(rig: Rig, **poll: object) -> Account:
    return replace(rig.account, settings=account(poll=poll))


async def test_a_shorter_interval_counts_from_the_last_poll(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="1h")
    run(rig)
    await clock.until_asleep()
    clock.advance(100)
    assert rig.account.state.next_poll_at == NOW + 3600
    rig.poller.follow(under(rig, interval="30s"))
    assert rig.account.state.next_poll_at == NOW + 120
    await asyncio.sleep(0)
    assert await clock.until_asleep() == 20
    clock.advance(20)
    await clock.until_asleep()
    assert rig.polls == [0, 120]


async def test_polls_use_the_settings_that_were_followed_last(clock: FakeClock) -> None:
    rig = Rig(clock)
    other = under(rig, interval="60s", timeout="5s")
    rig.poller.follow(other)
    await rig.poller.poll()
    assert rig.account_of_last_poll is other


async def test_settings_that_do_not_change_the_interval_do_not_move_the_schedule(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    await clock.until_asleep()
    for _ in range(3):
        clock.advance(15)
        rig.poller.follow(under(rig, interval="60s", timeout="5s"))
    clock.advance(15)
    await clock.until_asleep()
    assert rig.polls == [0, 60]


async def test_settings_can_change_and_a_defect_can_be_counted_before_the_first_poll(
    clock: FakeClock, run: Run
) -> None:
    rig = Rig(clock, interval="60s")
    rig.poller.follow(under(rig, interval="20s"))
    poll = await rig.poller.fail(ZeroDivisionError())
    assert (poll.error and poll.error.reason, poll.pages) == ("bad_response", 0)
    rig.poller = rig.poller_with(rig.fingerprint)
    rig.poller.follow(under(rig, interval="20s"))
    run(rig)
    assert await clock.until_asleep() == 20


async def test_other_settings_shortly_before_a_poll_do_not_start_it_early(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    await clock.until_asleep()
    clock.advance(59.5)
    rig.poller.follow(under(rig, interval="60s", timeout="5s"))
    await asyncio.sleep(0)
    assert await clock.until_asleep() == 0.5
    assert rig.polls == [0]


async def test_a_poll_that_is_due_when_the_settings_change_is_not_skipped(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    await clock.until_asleep()
    clock.advance(60.5)
    rig.poller.follow(under(rig, interval="60s", timeout="5s"))
    assert await clock.until_asleep() == 59.5
    assert rig.polls == [0, 60.5]


async def test_other_settings_do_not_end_the_back_off_after_a_refusal(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    await clock.until_asleep()
    rig.poller.follow(under(rig, interval="20s"))
    while clock.monotonic() < BACKOFF_SECONDS:
        assert rig.polls == [0]
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, BACKOFF_SECONDS]


async def test_one_line_is_logged_for_each_change_of_condition(clock: FakeClock) -> None:
    rig = Rig(clock)
    with capture_logs() as events:
        for error in (
            None,
            None,
            ServerFault("down", request_id="r1"),
            ServerFault("down"),
            Throttled("x"),
            None,
        ):
            rig.error = error
            await rig.poller.poll()
    assert [entry["reason"] for entry in logged(events, "poll failed")] == ["server_error", "throttled"]
    assert logged(events, "poll failed")[0]["request_id"] == "r1"
    assert logged(events, "poll failed")[0]["hint"]
    assert len(logged(events, "account is up")) == 2
    assert len(logged(events, "poll ended")) == 6


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Throttled("slow down", retry_after=900), [900]),
        (Throttled("slow down", retry_after=86_400), [3600]),
        (AuthError("refused"), [BACKOFF_SECONDS]),
        (Throttled("slow down", retry_after=30), []),
        (ServerFault("down"), []),
    ],
)
async def test_the_log_line_of_a_failed_poll_says_when_the_next_one_is_if_it_is_postponed(
    error: Exception, seconds: list[int], clock: FakeClock
) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = error
    with capture_logs() as events:
        await rig.poller.poll()
    for event in ("poll failed", "poll ended"):
        (line,) = logged(events, event)
        assert [line[field] for field in line if field == "next_poll_in"] == seconds


async def test_dropping_stale_data_is_logged_once(clock: FakeClock) -> None:
    rig = Rig(clock, interval="60s", stale_after="150s")
    with capture_logs() as events:
        await rig.poller.poll()
        rig.error = ServerFault("oops")
        for _ in range(5):
            clock.advance(60)
            await rig.poller.poll()
            assert len(logged(events, "dropping stale data")) == (clock.monotonic() > 150)
    assert len(logged(events, "poll failed")) == 1


async def test_a_change_of_state_is_logged_with_the_name_of_the_server_and_both_states(clock: FakeClock) -> None:
    rig = Rig(clock)
    await rig.poller.poll()
    rig.servers = (server("a", name="db-1", state="error"),)
    with capture_logs() as events:
        await rig.poller.poll()
        await rig.poller.poll()
    (entry,) = logged(events, "server changed state")
    assert (entry["server"], entry["from_state"], entry["to_state"]) == ("db-1", "waiting", "error")


async def test_an_undocumented_value_is_logged_once_while_it_lasts(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.servers = (server("a", state="premiging"),)
    with capture_logs() as events:
        for _ in range(200):
            await rig.poller.poll()
            clock.advance(60)
    entries = logged(events, "undocumented value counts as other")
    assert [(entry["field"], entry["value"]) for entry in entries] == [("state", "premiging")]


async def test_an_undocumented_value_that_comes_and_goes_is_logged_once_per_hour(clock: FakeClock) -> None:
    rig = Rig(clock)
    documented, undocumented = (server("a", state="waiting"),), (server("a", state="premiging"),)
    with capture_logs() as events:
        for minute in range(150):
            rig.servers = documented if minute % 2 else undocumented
            await rig.poller.poll()
            clock.advance(60)
    assert len(logged(events, "undocumented value counts as other")) == 3


async def test_many_changes_in_one_poll_are_summarised_in_one_line_of_each_kind(clock: FakeClock) -> None:
    rig = Rig(clock)
    ids = [f"s{number}" for number in range(MAX_LINES + 30)]
    rig.servers = tuple(server(name, state="waiting") for name in ids)
    await rig.poller.poll()
    rig.servers = tuple(server(name, state="error", os_type=f"os of {name}") for name in ids)
    with capture_logs() as events:
        await rig.poller.poll()
    assert len(logged(events, "server changed state")) == MAX_LINES
    (more,) = logged(events, "more servers changed state")
    assert (more["servers"], more["to_states"]) == (30, "error:30")
    assert len(logged(events, "undocumented value counts as other")) == MAX_LINES
    (more,) = logged(events, "more undocumented values count as other")
    assert (more["values"], more["fields"]) == (30, "os_type")


async def test_a_poller_that_a_defect_ends_is_started_again_and_keeps_its_back_off(clock: FakeClock) -> None:
    """The check of the credentials is outside of a poll: its defect ends the poller."""
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")

    defects = [ZeroDivisionError()]

    async def fingerprint() -> str | None:
        if rig.polls and defects:
            raise defects.pop()
        return "secret"

    rig.poller = rig.poller_with(fingerprint)
    runner = AccountRunner(rig.account, rig.poller, (), clock, b"", contextlib.AsyncExitStack())
    with capture_logs() as events:
        runner.start()
        while len(rig.polls) < 2:
            clock.advance(await clock.until_asleep())
            await clock.until_asleep()
        await runner.close()
    assert rig.polls[1] >= BACKOFF_SECONDS
    assert [poll.error.reason for poll, _ in rig.ended if poll.error][:2] == ["auth", "bad_response"]
    assert logged(events, "polling stopped because of a defect of the exporter, restarting")
