"""Keys in files that are rotated while requests are under way."""

from pathlib import Path

import pytest
from yarl import URL

from exporter.auth.access_key import SecretKeys, SignedCredentials
from exporter.auth.credentials import Secret
from exporter.http.transport import Request
from support import FakeClock

PAGE = Request("GET", URL("https://sms.example.org/v3/sources?limit=200&offset=0"))


@pytest.fixture
def credentials(clock: FakeClock, tmp_path: Path) -> SignedCredentials:
    (tmp_path / "ak").write_text("AK")
    (tmp_path / "sk").write_text("old")
    access_key, secret_key = (Secret(name, file=tmp_path / name) for name in ("ak", "sk"))
    return SignedCredentials(SecretKeys(access_key, secret_key, None, "files"), clock)


@pytest.mark.parametrize("rotated", ["ak", "sk"])
async def test_a_late_refusal_of_the_old_key_says_nothing_of_the_new_one(
    rotated: str, credentials: SignedCredentials, tmp_path: Path
) -> None:
    old = await credentials.headers(PAGE)
    (tmp_path / rotated).write_text("new")
    await credentials.headers(PAGE)
    assert await credentials.refused(old)


async def test_a_late_refusal_of_the_old_key_does_not_hide_that_the_new_one_was_refused(
    credentials: SignedCredentials, tmp_path: Path
) -> None:
    old = await credentials.headers(PAGE)
    (tmp_path / "sk").write_text("new, and wrong")
    assert not await credentials.refused(await credentials.headers(PAGE))
    assert await credentials.refused(old)
    assert not credentials.changed()


async def test_a_refused_key_can_be_tried_again_once_the_files_hold_another(
    credentials: SignedCredentials, tmp_path: Path
) -> None:
    assert not await credentials.refused(await credentials.headers(PAGE))
    assert not credentials.changed()
    (tmp_path / "sk").write_text("new")
    assert credentials.changed()
