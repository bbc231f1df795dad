"""Users with bcrypt hashes, authenticated without revealing which users exist."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import bcrypt

from exporter.blocking import Worker

CHALLENGE: Final = 'Basic realm="sms-exporter", charset="UTF-8"'
_MAX_PASSWORD_BYTES: Final = 72
"""Bytes that bcrypt uses; htpasswd and Go ignore the rest, too."""

MAX_CHECKS: Final = 16
"""Passwords being checked or waiting to be checked."""


class TooManyWaiting(Exception):
    """Too many passwords are waiting to be checked."""


class Users:
    """The users and their bcrypt hashes.

    Checking a hash is slow on purpose. Hashes are checked in a thread, one at a time, and the last correct password
    of each user is remembered as a keyed digest. Memory is bounded by the number of users, and wrong passwords never
    evict a correct one. A remembered password does not wait for a check.
    """

    def __init__(self, hashes: Mapping[str, str], check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._hashes = {name.encode(): hashed.encode() for name, hashed in sorted(hashes.items())}
        self._check = check
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, bytes] = {}
        self._lock = asyncio.Lock()
        self._worker = Worker()
        self._waiting = 0

    async def authenticate(self, authorization: str, is_gone: Callable[[], bool] = lambda: False) -> bool:
        """Return whether an `Authorization` header has the password of a user. Raise TooManyWaiting.

        Nothing is checked for a client that `is_gone` when it is its turn.
        """
        credentials = parse_basic(authorization)
        if credentials is None:
            return False
        user, password = credentials
        digest = self._digest(user, password)
        if self._is_remembered(user, digest):
            return True
        if self._waiting >= MAX_CHECKS:
            raise TooManyWaiting
        self._waiting += 1
        try:
            async with self._lock:
                # A request with the same password may have been checked meanwhile.
                return self._is_remembered(user, digest) or (
                    not is_gone() and await self._check_password(user, password, digest)
                )
        finally:
            self._waiting -= 1

    async def _check_password(self, user: bytes, password: bytes, digest: bytes) -> bool:
        hashed = self._hashes.get(user)
        is_correct = await self._worker.run(self._check, password[:_MAX_PASSWORD_BYTES], hashed or self._decoy(user))
        if not is_correct or hashed is None:
            return False
        self._verified[user] = digest
        return True

    def _is_remembered(self, user: bytes, digest: bytes) -> bool:
        return hmac.compare_digest(self._verified.get(user, bytes(len(digest))), digest)

    def _digest(self, user: bytes, password: bytes) -> bytes:
        # The length separates user and password.
        return hmac.digest(self._key, len(user).to_bytes(8) + user + password, hashlib.sha256)

    def _decoy(self, user: bytes) -> bytes:
        """Return the hash to check for an unknown user: always the same for a name, and as slow as a real one."""
        hashes = tuple(self._hashes.values())
        return hashes[int.from_bytes(self._digest(user, b"")) % len(hashes)]


def parse_basic(authorization: str) -> tuple[bytes, bytes] | None:
    """Return user and password of a basic `Authorization` header; None for any other header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None
