"""When tokens and temporary keys are renewed, and what is told of it."""

import pytest

from exporter.auth.renewal import Lease, Renewed, Term
from exporter.errors import ServerFault
from support import NOW, FakeClock


class Shop:
    """Sells what lives for `life` seconds, while it is open."""

    def __init__(self, clock: FakeClock, life: float) -> None:
        self.clock = clock
        self.life = life
        self.is_open = True
        self.sold = 0

    async def sell(self) -> Lease[int]:
        if not self.is_open:
            raise ServerFault("closed")
        self.sold += 1
        return Lease(self.sold, self.clock.time() + self.life)


@pytest.mark.parametrize(("life", "margin"), [(86_400, 3600), (3600, 720)])
async def test_what_is_due_is_told_by_the_life_it_had_when_it_was_new(
    clock: FakeClock, life: float, margin: float
) -> None:
    shop = Shop(clock, life)
    renewed = Renewed(shop.sell, clock)
    before = renewed.term
    assert before is None
    await renewed.get()
    assert renewed.term == Term(NOW + life, NOW + life - margin)
    clock.advance(life - margin + 1)
    assert await renewed.get() == 2
    later = NOW + life - margin + 1
    assert renewed.term == Term(later + life, later + life - margin)


async def test_a_renewal_that_fails_leaves_it_due_when_it_was(clock: FakeClock) -> None:
    shop = Shop(clock, 3600)
    renewed = Renewed(shop.sell, clock)
    await renewed.get()
    shop.is_open = False
    for _ in range(3):
        clock.advance(1000)
        assert await renewed.get() == 1
        assert renewed.term == Term(NOW + 3600, NOW + 2880)


async def test_nobody_knows_when_what_had_ended_when_it_was_new_is_due(clock: FakeClock) -> None:
    renewed = Renewed(Shop(clock, -60).sell, clock)
    await renewed.get()
    assert renewed.term == Term(NOW - 60, None)
