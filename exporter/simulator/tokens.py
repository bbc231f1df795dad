"""Users and the tokens that IAM gave them."""

import secrets
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_TOKEN_BYTES: Final = 96


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user; `permitted` is whether they may list source servers."""

    domain: str
    name: str
    password: str
    project: str
    permitted: bool = True


class Standing(Enum):
    """What a token is worth."""

    GOOD = auto()
    POWERLESS = auto()
    EXPIRED = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Token:
    user: User
    expires_at: float


class Tokens:
    """All tokens ever issued. Moments are seconds since the epoch, lifetimes seconds."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._static: set[str] = set()

    def issue(self, user: User, *, expires_at: float) -> str:
        """Give a new token; older ones stay valid."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._tokens[token] = _Token(user, expires_at)
        return token

    def issue_static(self, user: User) -> str:
        """Give a token that lives until all are expired."""
        token = self.issue(user, expires_at=float("inf"))
        self._static.add(token)
        return token

    def standing(self, token: str | None, now: float) -> Standing:
        """Tell what a token is worth now; None is a token that was not sent."""
        known = self._tokens.get(token or "")
        if known is None:
            return Standing.UNKNOWN
        if known.expires_at <= now:
            return Standing.EXPIRED
        return Standing.GOOD if known.user.permitted else Standing.POWERLESS

    def expire_all(self) -> None:
        """End every token that was issued so far, static ones too."""
        for token in self._tokens.values():
            token.expires_at = float("-inf")

    def restore_static(self) -> None:
        """Make the static tokens valid again."""
        for token in self._static:
            self._tokens[token].expires_at = float("inf")
