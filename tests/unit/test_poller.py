import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import msgspec
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from exporter.errors import AuthError, ServerFault, Throttled
from exporter.polling.poller import AUTH_BACKOFF, LONGEST_AUTH_BACKOFF, SECRET_WATCH, Poller
from exporter.polling.state import Account, Poll
from exporter.sms.client import RetryBudget
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing, Narrowing
from support import NOW, FakeClock, account, server

Run = Callable[["Rig"], None]


class Rig:
    """A poller on a list that a test sets, with what it told its listener."""

    def __init__(self, clock: FakeClock, **poll: object) -> None:
        self.clock = clock
        self.account = Account(account(poll=poll))
        self.servers: tuple[SourceServer, ...] = (server("a", state="waiting"),)
        self.error: Exception | None = None
        self.secret: str | None = "wrong"
        self.took = 0.0
        self.polls: list[float] = []
        self.told: list[tuple[Poll, Listing[SourceServer] | None]] = []
        self.poller = Poller(self.account, self.page, clock, self, self.fingerprint)

    async def fingerprint(self) -> str | None:
        return self.secret

    async def page(self, offset: int, limit: int, narrowing: Narrowing, budget: RetryBudget) -> bytes:
        del limit, narrowing, budget
        if offset == 0:
            self.polls.append(self.clock.monotonic())
        self.clock.advance(self.took)
        if self.error is not None:
            raise self.error
        return msgspec.json.encode({"count": len(self.servers), "source_servers": self.servers})

    async def poll_ended(self, polled: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        assert polled.state.last_poll is self.account.state.last_poll
        assert polled.state.last_poll is poll
        self.told.append((poll, listing))


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


async def test_the_first_poll_starts_at_once_and_the_next_on_the_interval(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    for _ in range(3):
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, 60, 120, 180]


async def test_a_slow_poll_does_not_move_the_schedule(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.took = 25
    run(rig)
    for _ in range(2):
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, 60, 120]


async def test_a_poll_longer_than_the_interval_skips_what_it_overran(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.took = 130
    run(rig)
    assert await clock.until_asleep() == 50
    clock.advance(50)
    await clock.until_asleep()
    assert rig.polls == [0, 180]


async def test_a_complete_list_becomes_the_snapshot_dated_by_its_start(clock: FakeClock) -> None:
    rig = Rig(clock)
    rig.took = 5
    poll = await rig.poller.poll()
    assert rig.account.state.snapshot is not None
    assert (rig.account.state.snapshot.read_at, rig.account.state.snapshot.servers) == (NOW, rig.servers)
    assert (poll.started_at, poll.duration, poll.pages, poll.error) == (NOW, 5, 1, None)
    assert rig.account.state.up


async def test_a_failed_poll_leaves_the_snapshot_and_is_not_up(clock: FakeClock) -> None:
    rig = Rig(clock)
    await rig.poller.poll()
    kept = rig.account.state.snapshot
    rig.error = ServerFault("down")
    poll = await rig.poller.poll()
    assert rig.account.state.snapshot is kept
    assert poll.error is rig.error
    assert not rig.account.state.up
    assert rig.told[-1] == (poll, None)


async def test_a_defect_of_ours_is_a_failed_poll_and_polling_goes_on(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock)
    rig.error = ZeroDivisionError("secret detail")
    run(rig)
    clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert len(rig.polls) == 2
    assert rig.account.state.last_poll is not None
    assert rig.account.state.last_poll.error is not None
    assert rig.account.state.last_poll.error.reason == "bad_response"
    assert "secret detail" not in rig.account.state.last_poll.error.message
    assert "defect of the exporter" in rig.account.state.last_poll.error.hint
    assert "api.endpoint" not in rig.account.state.last_poll.error.hint


async def test_after_refused_credentials_polls_back_off_longer_each_time(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    while clock.monotonic() < 4 * LONGEST_AUTH_BACKOFF:
        clock.advance(await clock.until_asleep())
    pauses = [after - before for before, after in zip(rig.polls, rig.polls[1:], strict=False)]
    assert pauses[:3] == [AUTH_BACKOFF, 2 * AUTH_BACKOFF, 4 * AUTH_BACKOFF]
    assert max(pauses) == LONGEST_AUTH_BACKOFF


async def test_a_changed_secret_ends_the_back_off_at_once(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    assert await clock.until_asleep() == SECRET_WATCH
    rig.error, rig.secret = None, "right"
    clock.advance(SECRET_WATCH)
    assert await clock.until_asleep() == 60
    assert rig.polls == [0, SECRET_WATCH]
    assert rig.account.state.up


async def test_after_a_success_the_back_off_starts_anew(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    while len(rig.polls) < 3:
        clock.advance(await clock.until_asleep())
        rig.error = None if len(rig.polls) == 1 else AuthError("refused")
        await clock.until_asleep()
    assert [poll.error is None for poll, _ in rig.told] == [False, True, False]
    due = rig.polls[-1] + AUTH_BACKOFF
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
    rig.poller.follow(under(rig, interval="30s"))
    await asyncio.sleep(0)
    assert await clock.until_asleep() == 20
    clock.advance(20)
    await clock.until_asleep()
    assert rig.polls == [0, 120]


async def test_options_that_do_not_change_the_schedule_do_not_move_it(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    await clock.until_asleep()
    for _ in range(3):
        clock.advance(15)
        rig.poller.follow(under(rig, interval="60s", timeout="5s"))
    clock.advance(15)
    await clock.until_asleep()
    assert rig.polls == [0, 60]


async def test_a_poll_that_is_due_when_the_options_change_is_not_skipped(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    run(rig)
    await clock.until_asleep()
    clock.advance(60.5)
    rig.poller.follow(under(rig, interval="60s", timeout="5s"))
    assert await clock.until_asleep() == 59.5
    assert rig.polls == [0, 60.5]


async def test_other_options_do_not_end_the_back_off_after_a_refusal(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = AuthError("refused")
    run(rig)
    await clock.until_asleep()
    rig.poller.follow(under(rig, interval="20s"))
    while clock.monotonic() < AUTH_BACKOFF:
        assert rig.polls == [0]
        clock.advance(await clock.until_asleep())
    await clock.until_asleep()
    assert rig.polls == [0, AUTH_BACKOFF]


async def test_the_next_poll_waits_as_long_as_the_api_asked(clock: FakeClock, run: Run) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = Throttled("slow down", retry_after=150)
    run(rig)
    assert await clock.until_asleep() == 180


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


async def test_a_list_that_becomes_too_old_is_logged_once(clock: FakeClock) -> None:
    rig = Rig(clock, interval="60s", stale_after="150s")
    with capture_logs() as events:
        await rig.poller.poll()
        rig.error = ServerFault("oops")
        for _ in range(5):
            clock.advance(60)
            await rig.poller.poll()
            assert len(logged(events, "the last list is too old and served no longer")) == (clock.monotonic() > 150)
    assert len(logged(events, "poll failed")) == 1


async def test_a_change_of_state_is_logged_with_the_servers_name_and_both_states(clock: FakeClock) -> None:
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
    known, unknown = (server("a", state="waiting"),), (server("a", state="premiging"),)
    with capture_logs() as events:
        for rig.servers in (unknown, unknown, known, unknown):
            await rig.poller.poll()
    entries = logged(events, "undocumented value counts as other")
    assert [(entry["field"], entry["value"]) for entry in entries] == [("state", "premiging")] * 2


async def test_a_listener_that_fails_does_not_end_the_polling(clock: FakeClock) -> None:
    rig = Rig(clock)

    async def failing(polled: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        raise RuntimeError(f"{polled.name} {poll} {listing}")

    rig.poll_ended = failing  # type: ignore[method-assign]
    assert (await rig.poller.poll()).error is None


@pytest.mark.parametrize("asked", [1e8, float("inf")])
async def test_the_api_cannot_silence_an_account_for_longer_than_an_hour(
    clock: FakeClock, run: Run, asked: float
) -> None:
    rig = Rig(clock, interval="60s")
    rig.error = Throttled("slower", retry_after=asked)
    run(rig)
    assert await clock.until_asleep() == LONGEST_AUTH_BACKOFF
