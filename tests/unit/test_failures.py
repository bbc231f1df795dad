"""The words for requests without a response."""

import ssl

import aiohttp
import pytest
from yarl import URL

from exporter.errors import ConnectionFailed, PollError, TlsFailed
from exporter.http.failures import Stage, connection_error
from exporter.language import Translatable

HINT = Translatable("check api.endpoint")


def error_of(error: aiohttp.ClientError | OSError) -> PollError:
    return connection_error(URL("https://host/"), None, Stage.TCP, error, secrets=["s3cret"], service_hint=HINT)


def caused_by(cause: BaseException) -> aiohttp.ClientError:
    error = aiohttp.ClientError("what aiohttp adds")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(111, "Connect call failed ('1.2.3.4', 9)"), ConnectionFailed, "Connection refused"),
        (OSError(1, "Connect call failed ('1.2.3.4', 9)"), ConnectionFailed, "Operation not permitted"),
        (OSError(-2, "Name or service not known"), ConnectionFailed, "Name or service not known"),
        (OSError("only words"), ConnectionFailed, "only words"),
        (caused_by(OSError(104, "x")), ConnectionFailed, "Connection reset by peer"),
        (caused_by(caused_by(OSError(104, "x"))), ConnectionFailed, "Connection reset by peer"),
        (aiohttp.ClientError("what aiohttp says"), ConnectionFailed, "what aiohttp says"),
        (OSError(5, "s3cret"), ConnectionFailed, "Input/output error"),
        (OSError("it is s3cret"), ConnectionFailed, "it is [redacted]"),
    ],
)
def test_a_failed_connection_has_the_words_of_the_system(error: OSError, kind: type[PollError], message: str) -> None:
    failure = error_of(error)
    assert (type(failure), failure.message) == (kind, f"the connection to host failed: {message}")


@pytest.mark.parametrize(
    ("reason", "text", "message"),
    [("WRONG_VERSION_NUMBER", "[SSL] x", "wrong version number"), (None, "some_words", "some words")],
)
def test_a_failed_handshake_has_the_reason_of_the_library(reason: str | None, text: str, message: str) -> None:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]
    failure = error_of(error)
    assert (type(failure), failure.message) == (TlsFailed, f"the TLS handshake with host failed: {message}")
    assert str(failure.hint) == "check that the server speaks TLS on this port; check api.endpoint"
