"""Users and the tokens that IAM issued to them."""

import secrets
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_TOKEN_BYTES: Final = 96


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user; `permitted` says whether the user may list source servers."""

    domain: str
    name: str
    password: str
    project: str
    permitted: bool = True


class TokenStatus(Enum):
    """The result of checking a token."""

    VALID = auto()
    NOT_PERMITTED = auto()
    EXPIRED = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Token:
    user: User
    expires_at: float


class Tokens:
    """All issued tokens. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._static: set[str] = set()

    def issue(self, user: User, *, expires_at: float, length: int = 0) -> str:
        """Return a new token of at least `length` characters; older tokens stay valid."""
        token = secrets.token_urlsafe(_TOKEN_BYTES).ljust(length, "x")
        self._tokens[token] = _Token(user, expires_at)
        return token

    def issue_static(self, user: User) -> str:
        """Return a token that is valid until all tokens are expired."""
        token = self.issue(user, expires_at=float("inf"))
        self._static.add(token)
        return token

    def status(self, token: str | None, now: float) -> TokenStatus:
        """Return the status of a token; None means that no token was sent."""
        known = self._tokens.get(token or "")
        if known is None:
            return TokenStatus.UNKNOWN
        if known.expires_at <= now:
            return TokenStatus.EXPIRED
        return TokenStatus.VALID if known.user.permitted else TokenStatus.NOT_PERMITTED

    def expire_all(self) -> None:
        """Expire all issued tokens, including static ones."""
        for token in self._tokens.values():
            token.expires_at = float("-inf")

    def restore_static(self) -> None:
        """Make the static tokens valid again."""
        for token in self._static:
            self._tokens[token].expires_at = float("inf")
