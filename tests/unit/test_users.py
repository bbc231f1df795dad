"""Users: the right password and no other, one check of a hash for everybody, and nothing to fill up."""

import asyncio
import base64
import threading

import bcrypt
import pytest

from exporter.web.toolkit.users import MOST_WAITING, TooManyWaiting, Users, read_basic

HASHES = {name: bcrypt.hashpw(f"{name}'s".encode(), bcrypt.gensalt(4)).decode() for name in ("ann", "bob")}


class Checks:
    """bcrypt, counted."""

    def __init__(self) -> None:
        self.costs: list[bytes] = []

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.costs.append(hashed[4:6])
        return bcrypt.checkpw(password, hashed)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_the_right_password_is_checked_once_and_then_remembered() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    for _ in range(3):
        assert await users.admits(basic("ann", "ann's"))
    assert len(checks.costs) == 1


async def test_a_wrong_password_and_an_unknown_user_cost_one_check_each_and_every_time() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    for header in (basic("ann", "wrong"), basic("eve", "wrong"), basic("", ""), basic("eve", "ann's")):
        for _ in range(2):
            assert not await users.admits(header)
    assert len(checks.costs) == 8


async def test_an_unknown_user_is_refused_with_the_password_of_each_of_the_known() -> None:
    users = Users(HASHES)
    for name in ("ann", "bob"):
        for stranger in ("eve", "mallory", "ANN", "ann ", "trent"):
            assert not await users.admits(basic(stranger, f"{name}'s"))


async def test_an_unknown_user_is_checked_at_the_same_cost_each_time() -> None:
    dear = {**HASHES, "cher": bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()}
    checks = Checks()
    users = Users(dear, checks)
    for _ in range(5):
        await users.admits(basic("eve", "x"))
    assert len(set(checks.costs)) == 1


async def test_no_number_of_strangers_makes_a_user_be_forgotten_or_anything_grow() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert await users.admits(basic("ann", "ann's"))
    for number in range(50):
        await users.admits(basic(f"stranger{number}", "x"))
        await users.admits(basic("ann", f"wrong{number}"))
    del checks.costs[:]
    assert await users.admits(basic("ann", "ann's"))
    assert not checks.costs
    assert len(users._right) == 1


async def test_scrapers_that_come_together_share_one_check() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert all(await asyncio.gather(*(users.admits(basic("bob", "bob's")) for _ in range(5))))
    assert len(checks.costs) == 1


async def test_no_more_than_a_few_wait_and_a_remembered_password_waits_for_none() -> None:
    gate = threading.Event()
    gate.set()

    def check(password: bytes, hashed: bytes) -> bool:
        gate.wait()
        return bcrypt.checkpw(password, hashed)

    users = Users(HASHES, check)
    assert await users.admits(basic("ann", "ann's"))
    gate.clear()
    waiting = [asyncio.create_task(users.admits(basic("ann", f"wrong{i}"))) for i in range(MOST_WAITING)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiting):
            async with asyncio.timeout(20):
                await users.admits(basic("bob", "bob's"))
        assert await users.admits(basic("ann", "ann's"))
        # Who gives up makes room.
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(users.admits(basic("bob", "bob's"))))
    finally:
        gate.set()
    assert await asyncio.gather(*waiting) == [False] * (MOST_WAITING - 1) + [True]


async def test_who_is_gone_when_its_turn_comes_costs_nothing() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert not await users.admits(basic("ann", "ann's"), is_gone=lambda: True)
    assert not checks.costs


async def test_a_remembered_password_opens_no_other_users_door() -> None:
    users = Users({"a": HASHES["ann"], "ab": HASHES["bob"]})
    assert await users.admits(basic("a", "ann's"))
    assert not await users.admits(basic("ab", "ann's"))
    assert not await users.admits(basic("aann's", ""))


async def test_what_is_remembered_is_no_password() -> None:
    users = Users(HASHES)
    await users.admits(basic("ann", "ann's"))
    assert "ann's" not in repr(vars(users))


@pytest.mark.parametrize("password", ["x" * 100, "x" * 5000, "nul\0inside", "", "ünïcode"])
async def test_any_password_is_only_wrong(password: str) -> None:
    assert not await Users(HASHES).admits(basic("ann", password))


async def test_a_password_longer_than_bcrypt_looks_at_is_read_as_htpasswd_does() -> None:
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await Users({"ann": hashed}).admits(basic("ann", "x" * 80))


async def test_the_prefixes_of_htpasswd_and_of_others_are_one() -> None:
    for prefix in ("$2a", "$2b", "$2y"):
        assert await Users({"ann": HASHES["ann"].replace("$2b", prefix)}).admits(basic("ann", "ann's"))


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (basic("ann", "a:b"), (b"ann", b"a:b")),
        ("bAsIc " + base64.b64encode(b"a:").decode(), (b"a", b"")),
        ("Basic", None),
        ("", None),
        ("Bearer YTpi", None),
        ("Basic !!!", None),
        ("Basic ü", None),
        ("Basic " + base64.b64encode(b"no colon").decode(), None),
    ],
)
def test_a_header_is_read_as_it_is_written(header: str, read: tuple[bytes, bytes] | None) -> None:
    assert read_basic(header) == read
