"""Secrets given as a value or in a file: bounded in size and time, and checked before they are sent anywhere."""

import asyncio
import dataclasses
import hashlib
import secrets
from pathlib import Path
from typing import Final

from exporter.blocking import SharedCall
from exporter.errors import AuthError
from exporter.language import Translatable
from exporter.settings.files import read_regular_file

MAX_SECRET_BYTES: Final = 65_536
"""Size limit of a file with a secret; the longest tokens of IAM have 16,384 characters."""

READ_TIMEOUT_SECONDS: Final = 5.0
"""How long a file may take to be read; one on a network file system may never answer."""

_FINGERPRINT_KEY: Final = secrets.token_bytes(32)
"""New in each process, so that a fingerprint is of no use outside it."""


def digest(secret: object) -> str:
    """Return a keyed digest of a secret, which shows whether two are equal and nothing else.

    The fields of a dataclass are digested, not its representation, which may hide them.
    """
    plain = dataclasses.astuple(secret) if dataclasses.is_dataclass(secret) else secret  # type: ignore[arg-type]
    return hashlib.blake2b(repr(plain).encode(), key=_FINGERPRINT_KEY, digest_size=16).hexdigest()


class SecretFile:
    """A small text file with secrets; `name` is the option or variable that names it.

    It is read again for each request, so that a secret can be rotated without a restart.
    """

    def __init__(self, name: str, path: Path, timeout: float = READ_TIMEOUT_SECONDS) -> None:
        self._path = path
        self._timeout = timeout
        self._where = f"{name}: {path}"
        self._content = SharedCall(lambda: read_regular_file(path, MAX_SECRET_BYTES))

    async def read(self) -> str:
        """Return the text. Raise AuthError if it cannot be read within the limits."""
        file = str(self._path)
        try:
            async with asyncio.timeout(self._timeout):
                content = await self._content()
        except TimeoutError:
            raise self._error(
                f"could not be read within {self._timeout:g} seconds",
                Translatable("check the file system of %(file)s", file=file),
            ) from None
        except OSError as error:
            raise self._error(
                f"cannot be read: {error.strerror}",
                Translatable(
                    "make %(file)s a regular file that contains only the secret and that the exporter's user can read",
                    file=file,
                ),
            ) from None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise self._error(
                "is not UTF-8 text", Translatable("write %(file)s as UTF-8 or ASCII", file=file)
            ) from None

    def _error(self, problem: str, hint: Translatable) -> AuthError:
        return AuthError(f"{self._where} {problem}", hint=hint)


class Secret:
    """A secret of one line: a value, or the content of a file.

    `name` is the option or variable that gives it. Surrounding white space and a byte order mark are not
    part of the secret.
    """

    def __init__(self, name: str, value: str | SecretFile) -> None:
        self._name = name
        self._value = value

    async def read(self) -> str:
        """Return the secret as it is now. Raise AuthError if it cannot be read or cannot be a secret."""
        text = self._value if isinstance(self._value, str) else await self._value.read()
        return clean_secret(self._name, text)


def clean_secret(name: str, text: str) -> str:
    """Return the secret in `text`. Raise AuthError, which names `name`, if no secret looks like that.

    A secret that cannot be right is never sent: it could not be a header, or would count as a refusal.
    """
    secret = text.strip().removeprefix("\ufeff").strip()
    if not secret:
        raise AuthError(f"{name} is empty", hint=Translatable("write the secret there"))
    if "\n" in secret or "\r" in secret:
        raise AuthError(f"{name} has a line break inside", hint=Translatable("keep only the line with the secret"))
    if not secret.isprintable():
        raise AuthError(
            f"{name} contains a character that cannot be printed",
            hint=Translatable("write the secret as plain text in UTF-8, not as UTF-16 or binary data"),
        )
    return secret
