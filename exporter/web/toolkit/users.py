"""Users with bcrypt hashes: who may come in, found out without telling who exists."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import bcrypt

CHALLENGE: Final = 'Basic realm="sms-exporter", charset="UTF-8"'
_MOST_PASSWORD_BYTES: Final = 72
"""What bcrypt looks at; htpasswd and Go leave out the rest as well."""

MOST_WAITING: Final = 16
"""Checks under way or waiting their turn; it takes long enough to be through with those."""


class TooManyWaiting(Exception):
    """So many passwords wait to be checked that one more would wait for too long."""


class Users:
    """Admits the users whose bcrypt hashes are given by name.

    A hash takes long to check, on purpose. So it is checked in a thread, one at a time, and the last right
    password of each user is remembered as a keyed digest: what is remembered is bounded by the number of
    users, and no number of wrong passwords pushes a right one out. A remembered password waits for no check.
    """

    def __init__(self, hashes: Mapping[str, str], check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in sorted(hashes.items())}
        self._check = check
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, bytes] = {}
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    async def admits(self, authorization: str, is_gone: Callable[[], bool] = lambda: False) -> bool:
        """Tell whether an `Authorization` header is that of a user.

        Of who `is_gone` when its turn comes, nothing is checked. Raises TooManyWaiting.
        """
        given = read_basic(authorization)
        if given is None:
            return False
        user, password = given
        digest = self._digest(user, password)
        if self._remembered(user, digest):
            return True
        if self._waiting >= MOST_WAITING:
            raise TooManyWaiting
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                # Another request with the same password may have been before.
                return self._remembered(user, digest) or (
                    not is_gone() and await self._is_right(user, password, digest)
                )
        finally:
            self._waiting -= 1

    async def _is_right(self, user: bytes, password: bytes, digest: bytes) -> bool:
        hashed = self._hashes.get(user)
        same = await asyncio.to_thread(self._check, password[:_MOST_PASSWORD_BYTES], hashed or self._decoy(user))
        if not same or hashed is None:
            return False
        self._right[user] = digest
        return True

    def _remembered(self, user: bytes, digest: bytes) -> bool:
        return hmac.compare_digest(self._right.get(user, bytes(len(digest))), digest)

    def _digest(self, user: bytes, password: bytes) -> bytes:
        # The lengths keep two pairs apart that would be the same text.
        return hmac.digest(self._key, len(user).to_bytes(8) + user + password, hashlib.sha256)

    def _decoy(self, user: bytes) -> bytes:
        """Give a hash for somebody unknown: always the same for a name, and as dear as those that there are."""
        hashes = tuple(self._hashes.values())
        return hashes[int.from_bytes(self._digest(user, b"")) % len(hashes)]


def read_basic(authorization: str) -> tuple[bytes, bytes] | None:
    """Read a header of basic authentication as user and password; None where it is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None
