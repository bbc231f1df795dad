"""When tokens and temporary keys are renewed, and which times are reported."""

import asyncio

import pytest
from structlog.testing import capture_logs

from exporter.auth.renewal import Lease, RenewingProvider, Term
from exporter.errors import RequestTimeout, ServerFault
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

    async def identity(self) -> tuple[str, ...]:
        return ("issuer",)

    async def issue(self) -> Lease[int]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
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
