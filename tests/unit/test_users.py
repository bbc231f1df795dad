"""Users: only the correct password is accepted, hashes are checked one at a time, and memory is bounded."""

import asyncio
import base64
import threading

import bcrypt
import pytest

from exporter.web.toolkit.users import MAX_CHECKS, TooManyWaiting, Users, parse_basic

HASHES = {name: bcrypt.hashpw(f"{name}'s".encode(), bcrypt.gensalt(4)).decode() for name in ("ann", "bob")}


class Checks:
    """Counts the checks of bcrypt by their cost."""

    def __init__(self) -> None:
        self.costs: list[bytes] = []

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        self.costs.append(hashed[4:6])
        return bcrypt.checkpw(password, hashed)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_the_correct_password_is_checked_once_and_then_remembered() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    for _ in range(3):
        assert await users.authenticate(basic("ann", "ann's"))
    assert len(checks.costs) == 1


async def test_a_wrong_password_and_an_unknown_user_cost_one_check_every_time() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    for header in (basic("ann", "wrong"), basic("eve", "wrong"), basic("", ""), basic("eve", "ann's")):
        for _ in range(2):
            assert not await users.authenticate(header)
    assert len(checks.costs) == 8


async def test_an_unknown_user_is_refused_with_the_password_of_any_user() -> None:
    users = Users(HASHES)
    for name in ("ann", "bob"):
        for stranger in ("eve", "mallory", "ANN", "ann ", "trent"):
            assert not await users.authenticate(basic(stranger, f"{name}'s"))


async def test_an_unknown_user_is_checked_at_the_same_cost_each_time() -> None:
    dear = {**HASHES, "cher": bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()}
    checks = Checks()
    users = Users(dear, checks)
    for _ in range(5):
        await users.authenticate(basic("eve", "x"))
    assert len(set(checks.costs)) == 1


async def test_wrong_passwords_never_evict_a_correct_one_and_are_not_remembered() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert await users.authenticate(basic("ann", "ann's"))
    for number in range(50):
        await users.authenticate(basic(f"stranger{number}", "x"))
        await users.authenticate(basic("ann", f"wrong{number}"))
    del checks.costs[:]
    assert await users.authenticate(basic("ann", "ann's"))
    assert not checks.costs
    for number in range(50):
        assert not await users.authenticate(basic("ann", f"wrong{number}"))
    assert len(checks.costs) == 50


async def test_concurrent_requests_with_the_same_password_share_one_check() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert all(await asyncio.gather(*(users.authenticate(basic("bob", "bob's")) for _ in range(5))))
    assert len(checks.costs) == 1


async def test_waiting_checks_are_bounded_and_a_remembered_password_does_not_wait() -> None:
    gate = threading.Event()
    gate.set()

    def check(password: bytes, hashed: bytes) -> bool:
        gate.wait()
        return bcrypt.checkpw(password, hashed)

    users = Users(HASHES, check)
    assert await users.authenticate(basic("ann", "ann's"))
    gate.clear()
    waiting = [asyncio.create_task(users.authenticate(basic("ann", f"wrong{i}"))) for i in range(MAX_CHECKS)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiting):
            async with asyncio.timeout(20):
                await users.authenticate(basic("bob", "bob's"))
        assert await users.authenticate(basic("ann", "ann's"))
        # A cancelled request frees its place.
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(users.authenticate(basic("bob", "bob's"))))
    finally:
        gate.set()
    assert await asyncio.gather(*waiting) == [False] * (MAX_CHECKS - 1) + [True]


async def test_nothing_is_checked_for_a_client_that_is_gone() -> None:
    checks = Checks()
    users = Users(HASHES, checks)
    assert not await users.authenticate(basic("ann", "ann's"), is_gone=lambda: True)
    assert not checks.costs


async def test_a_remembered_password_is_not_accepted_for_another_user() -> None:
    users = Users({"a": HASHES["ann"], "ab": HASHES["bob"]})
    assert await users.authenticate(basic("a", "ann's"))
    assert not await users.authenticate(basic("ab", "ann's"))
    assert not await users.authenticate(basic("aann's", ""))


async def test_no_password_is_kept_in_memory() -> None:
    users = Users(HASHES)
    await users.authenticate(basic("ann", "ann's"))
    assert "ann's" not in repr(vars(users))


@pytest.mark.parametrize("password", ["x" * 100, "x" * 5000, "nul\0inside", "", "ünïcode"])
async def test_an_odd_password_is_refused_without_an_error(password: str) -> None:
    assert not await Users(HASHES).authenticate(basic("ann", password))


async def test_bytes_of_a_password_beyond_72_are_ignored_as_in_htpasswd() -> None:
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await Users({"ann": hashed}).authenticate(basic("ann", "x" * 80))


async def test_all_prefixes_of_bcrypt_hashes_are_accepted() -> None:
    for prefix in ("$2a", "$2b", "$2y"):
        assert await Users({"ann": HASHES["ann"].replace("$2b", prefix)}).authenticate(basic("ann", "ann's"))


@pytest.mark.parametrize(
    ("header", "credentials"),
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
def test_basic_authorization_is_parsed(header: str, credentials: tuple[bytes, bytes] | None) -> None:
    assert parse_basic(header) == credentials
