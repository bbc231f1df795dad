"""When tokens and temporary keys are renewed, and which times are reported."""

import asyncio

import pytest
from structlog.testing import capture_logs

from exporter.auth.credentials import Credentials
from exporter.auth.renewal import EXPIRED_WHEN_NEW_SECONDS, Lease, RenewingProvider, Term, parse_expiry
from exporter.errors import BadResponse, RequestTimeout, ServerFault
from exporter.language import Translatable
from support import NOW, FakeClock


class FakeIssuer:
    """Issues the numbers from 1, each valid for `life` seconds, unless it is `down` or does not answer."""

    source = Translatable("number")

    def __init__(self, clock: FakeClock, life: float) -> None:
        self.clock = clock
        self.life = life
        self.down = False
        self.hangs = False
        self.issued = 0
        self.asked = 0
        self.closed = False
        self.name = "issuer"

    async def identity(self) -> tuple[str, ...]:
        return (self.name,)

    async def issue(self) -> Lease[int]:
        self.asked += 1
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                # A connection takes a moment to be closed.
                await asyncio.sleep(0)
                self.closed = True
        if self.down:
            raise ServerFault("down")
        self.issued += 1
        return Lease(self.issued, self.clock.time() + self.life)


async def background_work() -> None:
    """Let the tasks run that were started."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("life", "margin"), [(86_400, 3600), (3600, 720)])
async def test_the_renewal_time_depends_on_the_lifetime(clock: FakeClock, life: float, margin: float) -> None:
    provider = RenewingProvider(FakeIssuer(clock, life), clock)
    before = provider.term
    assert before is None
    await provider.get()
    assert provider.term == Term(NOW + life, NOW + life - margin)
    clock.advance(life - margin + 1)
    assert await provider.get() == 1
    await background_work()
    assert await provider.get() == 2
    later = NOW + life - margin + 1
    assert provider.term == Term(later + life, later + life - margin)


async def test_a_value_is_renewed_from_its_due_time_on_and_not_before(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    for seconds, asked in ((2879, 1), (1, 2)):
        clock.advance(seconds)
        assert await provider.get() == 1
        await background_work()
        assert issuer.asked == asked


async def test_a_value_is_not_used_from_its_expiry_on(clock: FakeClock) -> None:
    provider = RenewingProvider(FakeIssuer(clock, 3600), clock)
    await provider.get()
    clock.advance(3600)
    assert await provider.get() == 2


async def test_a_failed_renewal_is_tried_again_halfway_to_the_expiry(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    issuer.down = True
    clock.advance(2880)
    with capture_logs() as logs:
        for seconds, asked in ((0, 2), (359, 2), (1, 3), (179, 3), (1, 4)):
            clock.advance(seconds)
            assert await provider.get() == 1
            await background_work()
            assert issuer.asked == asked
    assert [line["event"] for line in logs] == ["credentials could not be renewed yet"] * 3
    assert {line["err"] for line in logs} == {"down"}


async def test_a_renewal_that_times_out_is_tried_again_halfway_to_the_expiry(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock, timeout=0)
    await provider.get()
    issuer.hangs = True
    clock.advance(2880)
    with capture_logs() as logs:
        for seconds, asked in ((0, 2), (359, 2), (1, 3)):
            clock.advance(seconds)
            assert await provider.get() == 1
            await background_work()
            assert issuer.asked == asked
    assert [line["event"] for line in logs] == ["credentials could not be renewed yet"] * 2


async def test_a_renewal_that_fails_at_the_expiry_is_an_error_and_not_logged_as_one_that_can_wait(
    clock: FakeClock,
) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    issuer.down = True
    clock.advance(3600)
    with capture_logs() as logs, pytest.raises(ServerFault):
        await provider.get()
    assert logs == []


async def test_a_value_that_is_valid_for_a_second_has_not_expired(clock: FakeClock) -> None:
    provider = RenewingProvider(FakeIssuer(clock, 1), clock)
    await provider.get()
    assert provider.term == Term(NOW + 1, NOW + 0.8)


@pytest.mark.parametrize("life", [0, -60])
async def test_a_value_that_is_new_and_expired_is_used_for_five_minutes(clock: FakeClock, life: float) -> None:
    issuer = FakeIssuer(clock, life)
    provider = RenewingProvider(issuer, clock)
    for seconds, value in ((0, 1), (EXPIRED_WHEN_NEW_SECONDS - 1, 1), (1, 2), (EXPIRED_WHEN_NEW_SECONDS - 1, 2)):
        clock.advance(seconds)
        assert await provider.get() == value
        assert provider.term == Term(NOW + (EXPIRED_WHEN_NEW_SECONDS if value > 1 else 0) + life, None)


async def test_that_new_values_are_expired_is_logged_once_until_one_is_not(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, -60)
    provider = RenewingProvider(issuer, clock)
    for life, warnings in ((-60, 1), (-60, 0), (3600, 0), (-60, 1)):
        issuer.life = life
        with capture_logs() as logs:
            await provider.get()
        assert [line["event"] for line in logs] == ["new credentials have expired by this machine's clock"] * warnings
        clock.advance(EXPIRED_WHEN_NEW_SECONDS if life < 0 else life)


async def test_a_failed_renewal_does_not_change_its_due_time(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    issuer.down = True
    for _ in range(3):
        clock.advance(1000)
        assert await provider.get() == 1
        await background_work()
        assert provider.term == Term(NOW + 3600, NOW + 2880)


async def test_the_renewal_time_of_a_value_that_is_new_and_expired_is_unknown(clock: FakeClock) -> None:
    provider = RenewingProvider(FakeIssuer(clock, -60), clock)
    await provider.get()
    assert provider.term == Term(NOW - 60, None)


async def test_a_renewal_that_hangs_delays_nobody_while_the_old_value_is_valid(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    issuer.hangs = True
    clock.advance(3000)
    assert await provider.get() == 1
    await background_work()
    assert await provider.get() == 1
    assert issuer.asked == 2
    await provider.close()


async def test_a_renewal_ends_at_its_own_timeout(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    issuer.hangs = True
    with pytest.raises(RequestTimeout, match="no new credentials within 0 seconds"):
        await RenewingProvider(issuer, clock, timeout=0).get()


async def test_closing_cancels_a_renewal_and_logs_nothing(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    issuer.hangs = True
    provider = RenewingProvider(issuer, clock)
    await provider.close()
    waiting = asyncio.create_task(provider.get())
    await background_work()
    with capture_logs() as logs:
        await Credentials(provider, lambda _, number: {"X-Number": str(number)}).close()
        assert issuer.closed
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert logs == []
    issuer.hangs = False
    assert await provider.get() == 1


async def test_all_that_wait_for_a_value_share_one_renewal_even_if_one_of_them_stops_waiting(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    first, second = asyncio.create_task(provider.get()), asyncio.create_task(provider.get())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    assert issuer.asked == 1


async def test_values_refused_together_are_renewed_once(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    refused = await provider.get()
    assert await asyncio.gather(*(provider.renew(refused) for _ in range(5))) == [True] * 5
    assert issuer.issued == 2


async def test_a_value_that_is_issued_again_after_its_refusal_is_not_worth_a_try(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    refused = await provider.get()
    issuer.issued = 0
    assert not await provider.renew(refused)


async def test_a_defect_in_a_background_renewal_is_logged(clock: FakeClock) -> None:
    issuer = FakeIssuer(clock, 3600)
    provider = RenewingProvider(issuer, clock)
    await provider.get()
    clock.advance(3000)
    issuer.life = "soon"  # type: ignore[assignment]
    with capture_logs() as logs:
        await provider.get()
        await background_work()
    assert [line["event"] for line in logs] == ["credentials could not be renewed: a defect of the exporter"]


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("2000-01-01T00:00:00Z", 946_684_800),
        ("2100-12-31T23:59:59", 4_133_980_799),
        ("2027-01-15T08:00:00.5Z", NOW + 0.5),
        ("2027-01-15T10:00:00+02:00", NOW),
    ],
)
def test_an_expiry_is_a_date_of_this_century_and_without_a_zone_it_is_utc(text: str, expiry: float) -> None:
    assert parse_expiry(Translatable("IAM"), text) == expiry


@pytest.mark.parametrize("text", ["1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "soon", "", "2027-01-15T25:00:00Z"])
def test_an_expiry_that_is_no_plausible_date_is_an_error_that_names_the_service(text: str) -> None:
    with pytest.raises(BadResponse, match="IAM sent an expiry that is not a plausible date") as failure:
        parse_expiry(Translatable("IAM"), text)
    assert repr(text) in failure.value.message
    assert "check that the answers come from IAM" in str(failure.value.hint)


async def test_the_source_and_the_fingerprint_are_those_of_the_issuer(clock: FakeClock) -> None:
    one, other = FakeIssuer(clock, 3600), FakeIssuer(clock, 60)
    assert str(RenewingProvider(one, clock).source) == "number"
    assert await RenewingProvider(one, clock).fingerprint() == await RenewingProvider(other, clock).fingerprint()
    other.name = "other"
    assert await RenewingProvider(one, clock).fingerprint() != await RenewingProvider(other, clock).fingerprint()
