"""Refused credentials are not sent again, by any account that shares them."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from exporter.errors import AuthError, PermissionDenied, PollError, RequestTimeout
from exporter.language import Translatable
from exporter.polling.lockout import (
    BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    MAX_FINGERPRINTS,
    TRIAL_SECONDS,
    Lockout,
    backoff,
)
from support import FakeClock


class Api:
    """Answers attempts with an error, None if it accepts, and counts them."""

    def __init__(self, clock: FakeClock, answer: PollError | None) -> None:
        self.lockout = Lockout(clock)
        self.answer = answer
        self.attempts = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def attempt(self, fingerprint: str | None = "key") -> PollError | None:
        try:
            async with self.lockout.attempt(fingerprint) as accept:
                self.attempts += 1
                await self.answers.wait()
                if self.answer is not None:
                    raise self.answer
                accept()
        except PollError as error:
            return error
        return None

    async def attempts_of(self, accounts: int) -> Sequence[PollError | None]:
        return await asyncio.gather(*(self.attempt() for _ in range(accounts)))


async def a_later_trial_is_waited_for(api: Api, clock: FakeClock) -> None:
    """Let a refusal pass, and check that an account waits for the trial of another one until its timeout."""
    api.answer = AuthError("refused")
    await api.attempt()
    clock.advance(BACKOFF_SECONDS)
    async with api.lockout.attempt("key"):
        other = asyncio.ensure_future(api.attempt())
        assert await clock.until_asleep() == TRIAL_SECONDS
        clock.advance(TRIAL_SECONDS)
        await other


async def test_of_accounts_that_start_together_one_tries_credentials_that_are_refused(clock: FakeClock) -> None:
    api = Api(clock, AuthError("the API answered 401", hint=Translatable("check the key")))
    errors = await api.attempts_of(6)
    assert api.attempts == 1
    assert {type(error) for error in errors} == {AuthError}
    assert {error.hint for error in errors if error} == {"check the key"}
    assert {error.retry_after for error in errors if error} == {BACKOFF_SECONDS}


async def test_accepted_credentials_are_used_by_all_accounts_at_the_same_time(clock: FakeClock) -> None:
    api = Api(clock, None)
    await api.attempt()
    api.answers.clear()
    polls = asyncio.ensure_future(api.attempts_of(5))
    while api.attempts < 6:
        await asyncio.sleep(0)
    api.answers.set()
    assert await polls == [None] * 5


async def test_the_first_accepted_response_admits_the_other_accounts(clock: FakeClock) -> None:
    lockout = Lockout(clock)
    async with lockout.attempt("key") as accept:
        waiting = asyncio.ensure_future(lockout.attempt("key").__aenter__())
        await clock.until_asleep()
        accept()
        await waiting


@pytest.mark.parametrize("answer", [None, PermissionDenied("not allowed")])
async def test_the_back_off_doubles_until_the_credentials_are_accepted(
    answer: PollError | None, clock: FakeClock
) -> None:
    api = Api(clock, AuthError("refused"))
    pauses = []
    for _ in range(3):
        error = await api.attempt()
        assert error is not None
        pauses.append(error.retry_after)
        clock.advance(error.retry_after or 0)
    api.answer = answer
    assert await api.attempt() is answer
    api.answer = AuthError("refused")
    error = await api.attempt()
    assert error is not None
    assert [*pauses, error.retry_after] == [300, 600, 1200, 300]


async def test_another_failure_is_not_a_refusal_and_does_not_end_the_back_off(clock: FakeClock) -> None:
    api = Api(clock, RequestTimeout("no answer"))
    await api.attempts_of(3)
    assert api.attempts == 3
    api.answer = AuthError("refused")
    await api.attempt()
    clock.advance(BACKOFF_SECONDS)
    api.answer = RequestTimeout("no answer")
    await api.attempt()
    api.answer = AuthError("refused")
    error = await api.attempt()
    assert error is not None
    assert error.retry_after == 2 * BACKOFF_SECONDS


async def test_an_account_whose_api_hangs_delays_the_others_for_seconds_only(clock: FakeClock) -> None:
    api = Api(clock, None)
    api.answers.clear()
    hanging = asyncio.ensure_future(api.attempt())
    others = asyncio.ensure_future(api.attempts_of(2))
    assert await clock.until_asleep(2) == TRIAL_SECONDS
    assert api.attempts == 1
    clock.advance(TRIAL_SECONDS)
    while api.attempts < 2:
        await asyncio.sleep(0)
    api.answers.set()
    assert await others == [None, None]
    assert await hanging is None


async def test_a_response_from_before_a_refusal_does_not_end_the_back_off(clock: FakeClock) -> None:
    api = Api(clock, None)
    await api.attempt()
    async with api.lockout.attempt("key") as accept:
        api.answer = AuthError("refused")
        await api.attempt()
        accept()
    error = await api.attempt()
    assert error is not None
    assert api.attempts == 2


async def test_concurrent_refusals_count_as_one(clock: FakeClock) -> None:
    api = Api(clock, None)
    await api.attempt()
    api.answer = AuthError("refused")
    errors = await api.attempts_of(3)
    assert {error.retry_after for error in errors if error} == {BACKOFF_SECONDS}


async def test_other_credentials_are_not_affected(clock: FakeClock) -> None:
    api = Api(clock, AuthError("refused"))
    await api.attempt("one")
    api.answer = None
    assert await api.attempt("two") is None


async def test_credentials_without_a_fingerprint_are_not_counted(clock: FakeClock) -> None:
    api = Api(clock, AuthError("the file cannot be read"))
    await api.attempt(None)
    assert await api.attempt(None) is api.answer
    assert api.answer is not None
    assert api.answer.retry_after is None


async def test_rotated_secrets_are_forgotten(clock: FakeClock) -> None:
    api = Api(clock, AuthError("refused"))
    for number in range(MAX_FINGERPRINTS + 1):
        await api.attempt(f"key {number}")
    api.answer = None
    assert await api.attempt("key 0") is None
    assert await api.attempt(f"key {MAX_FINGERPRINTS}") is not None


def test_more_refusals_than_a_float_has_exponents_do_not_overflow() -> None:
    assert [backoff(refusals) for refusals in (1, 2, 4, 5, 1025, 10**6)] == [
        300,
        600,
        2400,
        *[MAX_BACKOFF_SECONDS] * 3,
    ]


async def test_after_more_than_a_thousand_refusals_the_pause_is_still_an_hour(clock: FakeClock) -> None:
    api = Api(clock, AuthError("refused"))
    pauses = []
    for _ in range(1100):
        error = await api.attempt()
        assert error is not None
        pauses.append(error.retry_after)
        clock.advance(MAX_BACKOFF_SECONDS)
    assert api.attempts == 1100
    assert set(pauses[4:]) == {MAX_BACKOFF_SECONDS}


async def test_after_more_than_a_thousand_hanging_trials_an_account_still_waits_half_a_second(clock: FakeClock) -> None:
    lockout = Lockout(clock)
    async with contextlib.AsyncExitStack() as hanging:
        await hanging.enter_async_context(lockout.attempt("key"))
        for number in range(1100):
            entering = asyncio.ensure_future(hanging.enter_async_context(lockout.attempt("key")))
            seconds = await clock.until_asleep()
            assert seconds == max(TRIAL_SECONDS / 2 ** min(number, 4), 0.5)
            clock.advance(seconds)
            await entering


async def test_credentials_are_not_sent_again_a_moment_before_the_pause_ends(clock: FakeClock) -> None:
    api = Api(clock, AuthError("refused"))
    await api.attempt()
    clock.advance(BACKOFF_SECONDS - 0.5)
    error = await api.attempt()
    assert error is not None
    assert (api.attempts, error.retry_after) == (1, 0.5)
    clock.advance(0.5)
    await api.attempt()
    assert api.attempts == 2


async def test_an_attempt_that_ends_without_an_error_has_accepted_the_credentials(clock: FakeClock) -> None:
    lockout = Lockout(clock)
    async with lockout.attempt("key"):
        pass
    async with lockout.attempt("key"), lockout.attempt("key"):
        assert clock.monotonic() == 0


async def test_as_many_credentials_as_the_maximum_are_remembered(clock: FakeClock) -> None:
    api = Api(clock, AuthError("refused"))
    for number in range(MAX_FINGERPRINTS):
        await api.attempt(f"key {number}")
    api.answer = None
    assert await api.attempt("key 0") is not None
    assert api.attempts == MAX_FINGERPRINTS


@pytest.mark.parametrize("waits_until", ["the timeout", "the response"])
async def test_after_an_accepted_response_the_next_trial_is_awaited_for_the_whole_time(
    waits_until: str, clock: FakeClock
) -> None:
    api = Api(clock, None)
    async with api.lockout.attempt("key") as accept:
        other = asyncio.ensure_future(api.attempt())
        assert await clock.until_asleep() == TRIAL_SECONDS
        if waits_until == "the timeout":
            clock.advance(TRIAL_SECONDS)
        else:
            accept()
        assert await other is None
    await a_later_trial_is_waited_for(api, clock)


async def test_an_account_that_a_response_admits_has_not_waited_in_vain(clock: FakeClock) -> None:
    api = Api(clock, RequestTimeout("no answer"))
    with contextlib.suppress(RequestTimeout):
        async with api.lockout.attempt("key") as accept:
            other = asyncio.ensure_future(api.attempt())
            await clock.until_asleep()
            accept()
            assert await other is api.answer
            raise RequestTimeout("no further answer")
    await a_later_trial_is_waited_for(api, clock)


async def test_when_a_trial_ends_without_a_response_the_next_account_tries_immediately(clock: FakeClock) -> None:
    api = Api(clock, RequestTimeout("no answer"))
    api.answers.clear()
    polls = asyncio.ensure_future(api.attempts_of(3))
    await clock.until_asleep(2)
    api.answers.set()
    assert {type(error) for error in await polls} == {RequestTimeout}
    assert (api.attempts, clock.monotonic()) == (3, 0)


async def test_waiting_for_a_trial_leaves_no_task_behind(clock: FakeClock) -> None:
    lockout = Lockout(clock)
    tasks = asyncio.all_tasks()
    async with lockout.attempt("key"):
        waiting = asyncio.ensure_future(lockout.attempt("key").__aenter__())
        await clock.until_asleep()
        waiting.cancel()
        await asyncio.wait([waiting])
        # Each turn of the event loop ends tasks that wait for cancelled ones.
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks
