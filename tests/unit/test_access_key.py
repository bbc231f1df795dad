"""Access keys in files that are replaced while requests are in progress."""

from pathlib import Path

import pytest
from yarl import URL

from exporter.auth.credentials import Credentials, StoredProvider, signed_credentials
from exporter.auth.secret import Secret, SecretFile
from exporter.auth.signing import AccessKey
from exporter.http.transport import Request
from exporter.language import Translatable
from support import FakeClock

PAGE = Request("GET", URL("https://sms.example.org/v3/sources?limit=200&offset=0"))


@pytest.fixture
def credentials(clock: FakeClock, tmp_path: Path) -> Credentials:
    (tmp_path / "ak").write_text("AK")
    (tmp_path / "sk").write_text("old")
    key_id, secret = (Secret(name, SecretFile(name, tmp_path / name)) for name in ("ak", "sk"))

    async def read() -> AccessKey:
        return AccessKey(await key_id.read(), await secret.read())

    return signed_credentials(StoredProvider(Translatable("files"), read), clock, {})


@pytest.mark.parametrize("rotated", ["ak", "sk"])
async def test_a_late_refusal_of_the_old_key_does_not_count_against_the_new_one(
    rotated: str, credentials: Credentials, tmp_path: Path
) -> None:
    old = await credentials.headers(PAGE)
    (tmp_path / rotated).write_text("new")
    await credentials.headers(PAGE)
    assert await credentials.renew(old)


async def test_a_refused_key_can_be_tried_again_only_after_its_files_hold_another(
    credentials: Credentials, tmp_path: Path
) -> None:
    refused = await credentials.headers(PAGE)
    assert not await credentials.renew(refused)
    (tmp_path / "sk").write_text("new")
    assert await credentials.renew(refused)
