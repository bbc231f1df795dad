"""Secrets given as a value or in a file."""

from pathlib import Path

import pytest

from exporter.auth.secret import MAX_SECRET_BYTES, Secret, SecretFile, clean_secret, digest
from exporter.auth.signing import AccessKey
from exporter.errors import AuthError


async def read(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return await Secret("auth.token", SecretFile("auth.token-file", path)).read()


@pytest.mark.parametrize(
    "content", [b"s3cret", b" s3cret\n", b"\xef\xbb\xbfs3cret\r\n", b"\n\ts3cret", b"\xef\xbb\xbf\n s3cret"]
)
async def test_white_space_and_a_byte_order_mark_are_not_part_of_a_secret(content: bytes, tmp_path: Path) -> None:
    assert await read(tmp_path / "token", content) == "s3cret"


async def test_a_file_is_read_again_for_each_request(tmp_path: Path) -> None:
    secret = Secret("auth.token", SecretFile("auth.token-file", tmp_path / "token"))
    for content in ("one", "two"):
        (tmp_path / "token").write_text(content)
        assert await secret.read() == content


@pytest.mark.parametrize(
    ("content", "problem", "hint"),
    [
        (b"s3cret\xff", "is not UTF-8 text", "as UTF-8 or ASCII"),
        (b"x" * (MAX_SECRET_BYTES + 1), "cannot be read", "a regular file that contains only the secret"),
        (b"", "auth.token is empty", "write the secret there"),
        (b" \n", "auth.token is empty", "write the secret there"),
        (b"s3cret\nand more", "auth.token has a line break inside", "only the line"),
        (b"s3cret\rand more", "auth.token has a line break inside", "only the line"),
        (b"s3\x00cret", "auth.token contains a character that cannot be printed", "plain text"),
    ],
)
async def test_a_file_that_cannot_be_a_secret_is_an_error_without_its_content(
    content: bytes, problem: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(AuthError) as error:
        await read(tmp_path / "token", content)
    assert problem in error.value.message
    assert hint in str(error.value.hint)
    assert "s3cret" not in f"{error.value.message} {error.value.hint}"


async def test_the_longest_secret_is_read(tmp_path: Path) -> None:
    assert len(await read(tmp_path / "token", b"x" * MAX_SECRET_BYTES)) == MAX_SECRET_BYTES


async def test_a_file_that_is_missing_or_hangs_is_named_with_its_option(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(AuthError, match=f"^auth.token-file: {path} cannot be read: No such file or directory$"):
        await SecretFile("auth.token-file", path).read()
    path.write_text("s3cret")
    with pytest.raises(AuthError, match=f"^auth.token-file: {path} could not be read within 0 seconds$") as error:
        await SecretFile("auth.token-file", path, timeout=0).read()
    assert "check the file system" in str(error.value.hint)


def test_a_digest_shows_only_whether_secrets_are_equal() -> None:
    key = AccessKey("AK", "s3cret")
    assert digest(key) == digest(AccessKey("AK", "s3cret"))
    assert len({digest(key), digest(AccessKey("AK", "other")), digest(("AK", "s3cret")), digest("AKs3cret")}) == 4
    assert "s3cret" not in digest("s3cret")


def test_a_secret_that_is_a_value_is_cleaned_in_the_same_way() -> None:
    assert clean_secret("auth.token", " \ufeff s3cret ") == "s3cret"
