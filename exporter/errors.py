"""The exporter's errors. A poll fails with one class for each reason, which is a label value of the failure counter."""

import re
from collections.abc import Iterable
from typing import ClassVar, Final

from exporter.language import Translatable


def escape_unprintable(text: str) -> str:
    """Escape control characters, line breaks and direction marks, so that no text from outside controls a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class ConfigurationError(Exception):
    """The configuration cannot be used. `lines` say why, one printable line per problem, and contain no secret."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(map(escape_unprintable, lines))
        super().__init__("; ".join(self.lines))


class HelpRequested(Exception):
    """The command line asks for help; `text` is the help."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__()


class ListenError(Exception):
    """An address cannot be listened on; the message names the address and the reason."""


_SCHEME: Final = re.compile(r"(?:\w+://)?")


def mask_credentials(text: str) -> str:
    """Return text for a message without the parts of a URL that can be secret, even if it is not written correctly.

    These are the user and the password, the query and the fragment. Text without a scheme can be a URL, too, but a
    `?` or `#` directly after a blank in it is part of a name.
    """
    scheme = _SCHEME.match(text).group()  # type: ignore[union-attr]  # matches any text
    rest = text[len(scheme) :]
    mark = re.search(r"[?#]" if scheme else r"(?<=\S)[?#]", rest)
    shown, hidden = (rest[: mark.end()], rest[mark.end() :]) if mark else (rest, "")
    if "@" in hidden:  # The mark can be in a password, and the @ in a query.
        return f"{scheme}<secret>"
    if "@" in shown:
        shown = f"<secret>@{shown.rpartition('@')[2]}"
    return f"{scheme}{shown}{'<secret>' if hidden else ''}"


class PollError(Exception):
    """A poll, or one request of it, failed.

    `message` says what happened and `hint` what to do about it; neither contains a secret.
    `status`, `code` and `request_id` are the HTTP status, the API's error code and its `X-Request-Id`.
    `retry_after` is the time in seconds to wait for, because the API asked for it or because a password was refused.
    """

    reason: ClassVar[str]
    default_hint: ClassVar[Translatable]

    def __init__(
        self,
        message: str,
        *,
        hint: Translatable | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    def facts(self) -> dict[str, object]:
        """Return what is known of the failure besides its message, for a log line."""
        facts = {
            "reason": self.reason,
            "hint": self.hint,
            "status": self.status,
            "error_code": self.code,
            "request_id": self.request_id,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}


class AuthError(PollError):
    """The credentials are missing, wrong, expired or locked."""

    reason = "auth"
    default_hint = Translatable(
        "check the credentials: a token lives 24 hours; more than 5 refusals in a row lock an access key"
    )


class PermissionDenied(PollError):
    """The credentials are valid, but are not allowed to list source servers."""

    reason = "permission"
    default_hint = Translatable(
        "grant the IAM action sms:server:list (with roles: sms:server:queryServer) to this user"
    )


class Throttled(PollError):
    """The API asks for fewer requests."""

    reason = "throttled"
    default_hint = Translatable(
        "other clients share this account's quota: raise poll.interval or lower api.concurrency"
    )


class ServerFault(PollError):
    """The API, or a gateway in front of it, failed."""

    reason = "server_error"
    default_hint = Translatable("if this lasts, open a ticket that names the request ID")


class RequestTimeout(PollError):
    """There was no answer in time."""

    reason = "timeout"
    default_hint = Translatable("check the route to the endpoint, or raise api.read-timeout and poll.timeout")


class ConnectionFailed(PollError):
    """No connection could be opened, or it was closed early."""

    reason = "connection"
    default_hint = Translatable("check the host name of the endpoint, DNS, the firewall and the proxy")


class TlsFailed(PollError):
    """The certificate of the server could not be verified."""

    reason = "tls"
    default_hint = Translatable("set api.ca-file to the CA bundle of your proxy or private endpoint")


class BadResponse(PollError):
    """There was an answer that the API does not document."""

    reason = "bad_response"
    default_hint = Translatable("check api.endpoint and api.region: something other than the SMS API answered")


class Inconsistent(PollError):
    """The list kept changing while it was read, so no complete one could be read."""

    reason = "inconsistent"
    default_hint = Translatable("wait for the next poll: servers were added or removed while the list was read")


REASONS = (
    AuthError.reason,
    PermissionDenied.reason,
    Throttled.reason,
    ServerFault.reason,
    RequestTimeout.reason,
    ConnectionFailed.reason,
    TlsFailed.reason,
    BadResponse.reason,
    Inconsistent.reason,
)
"""All label values of `reason`, in the order of the documentation."""
