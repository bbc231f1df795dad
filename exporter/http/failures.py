"""Requests without a response: which step took too long, or what went wrong."""

import errno
import os
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from exporter.errors import BadResponse, ConnectionFailed, PollError, RequestTimeout, TlsFailed
from exporter.http.foreign_text import clean_text
from exporter.http.proxies import Proxy
from exporter.language import Translatable

REFUSED_PASSWORD_PAUSE_SECONDS: Final = 300.0
"""How long a password that a proxy refused is not sent again: wrong ones can lock the user."""

_UNREADABLE: Final = re.compile(r"(?i)not decode content-encoding: ([\w() ]+)")
"""How aiohttp says that it cannot decompress a body."""

_PROXY_HINT: Final = Translatable("check the proxy: api.proxy, HTTPS_PROXY and NO_PROXY")
_NO_PROXY_SERVER_HINT: Final = Translatable(
    "check that api.proxy or HTTPS_PROXY names an HTTP proxy; SOCKS proxies are not supported"
)
_REFUSED_HINT: Final = Translatable(
    "allow connections to this host in the proxy, or check api.proxy, HTTPS_PROXY and NO_PROXY"
)
_ENCODING_HINT: Final = Translatable(
    "check for a gateway or proxy that changes responses: a body may be plain, or compressed with gzip or deflate"
)


class Stage(Enum):
    """What a request is waiting for."""

    LOOKUP = auto()
    TCP = auto()
    TLS = auto()
    PROXY = auto()
    HEADERS = auto()
    BODY = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request.

    `connect_timeout` is for all steps up to a connection: name look-up, TCP, proxy and TLS. `read_timeout` is
    for each wait for data after that. The whole request may take the sum of both. Both are seconds;
    `max_response_size` is bytes after decompression.
    """

    connect_timeout: float
    read_timeout: float
    max_response_size: int


def timeout_error(url: URL, proxy: Proxy | None, stage: Stage, limits: Limits) -> RequestTimeout:
    """Return the error that names the step that took too long."""
    connect, read = f"{limits.connect_timeout:g} seconds", f"{limits.read_timeout:g} seconds"
    total = f"{limits.connect_timeout + limits.read_timeout:g} seconds"
    peer = f"the proxy {proxy.url.host}" if proxy else str(url.host)
    message, hint = {
        Stage.LOOKUP: (
            f"the name {proxy.url.host if proxy else url.host} was not resolved within {connect}",
            Translatable("check the name servers of this machine (/etc/resolv.conf)"),
        ),
        Stage.TCP: (
            f"{peer} did not accept a connection within {connect}",
            Translatable("check the route to it and the firewall, or raise api.connect-timeout"),
        ),
        Stage.PROXY: (
            f"{peer} did not connect to {url.host} within {connect}",
            _PROXY_HINT,
        ),
        Stage.TLS: (
            f"the TLS handshake with {url.host} was not complete within {connect}",
            Translatable("check the firewall and the proxy, or raise api.connect-timeout"),
        ),
        Stage.HEADERS: (f"{url.host} sent no response within {read}", None),
        Stage.BODY: (f"{url.host} did not send its complete response within {total}", None),
    }[stage]
    return RequestTimeout(message, hint=hint)


def connection_error(
    url: URL,
    proxy: Proxy | None,
    stage: Stage,
    error: aiohttp.ClientError | OSError,
    *,
    secrets: Iterable[str],
    service_hint: Translatable,
) -> PollError:
    """Return the error that names what went wrong; `service_hint` is what to check if it is the wrong service."""
    cause = clean_text(_cause(error), secrets)
    if proxy is not None and isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(url, proxy, error.status)
    peer, peer_hint, service_hint = _find_peer(url, proxy, stage, error, service_hint)
    during = " during the TLS handshake" if stage is Stage.TLS else ""
    failure: PollError = ConnectionFailed(f"the connection to {peer} failed{during}: {cause}", hint=peer_hint)
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            failure = TlsFailed(f"the certificate of {peer} could not be verified: {cause}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            hint = Translatable("check that the server speaks TLS on this port; %(otherwise)s", otherwise=service_hint)
            failure = TlsFailed(f"the TLS handshake with {peer} failed: {cause}", hint=hint)
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() if encoding := _UNREADABLE.search(str(error)):
            failure = BadResponse(f"{peer} sent a body that cannot be decompressed: {encoding[1]}", hint=_ENCODING_HINT)
        case aiohttp.ClientPayloadError():
            failure = ConnectionFailed(f"{peer} closed the connection in the middle of a response", hint=peer_hint)
        case aiohttp.ClientResponseError():
            what = error.message.partition(":")[0]  # what follows is a part of the response
            failure = BadResponse(f"{peer} sent a response that is not valid HTTP: {what}", hint=service_hint)
        case aiohttp.ClientConnectorDNSError():
            failure = ConnectionFailed(f"the name of {peer} could not be resolved: {cause}", hint=peer_hint)
        case aiohttp.ServerDisconnectedError():
            failure = ConnectionFailed(f"{peer} closed the connection without a response", hint=peer_hint)
    return failure


def proxy_refusal(url: URL, proxy: Proxy, status: int) -> ConnectionFailed:
    """Return what a proxy's own answer means; it is not a status of the API."""
    name, host = f"the proxy {proxy.url.host}", url.host
    if status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ConnectionFailed(f"{name} refused a connection to {host}: status {status}", hint=_REFUSED_HINT)
    if proxy.authorization is None:
        return ConnectionFailed(
            f"{name} requires a user and a password for a connection to {host}: status {status}",
            hint=Translatable(
                "add them to api.proxy, or to HTTPS_PROXY of the environment: http://USER:PASSWORD@HOST:PORT"
            ),
        )
    return ConnectionFailed(
        f"{name} refused the user and the password for a connection to {host}: status {status}",
        hint=Translatable(
            "correct them in api.proxy, or in HTTPS_PROXY of the environment; they are sent again after 5 minutes"
        ),
        retry_after=REFUSED_PASSWORD_PAUSE_SECONDS,
    )


def _find_peer(
    url: URL, proxy: Proxy | None, stage: Stage, error: Exception, service_hint: Translatable
) -> tuple[str, Translatable | None, Translatable]:
    """Return who caused an error, what to check if there is no connection, and what if it is the wrong service."""
    if proxy is None:
        return str(url.host), None, service_hint
    if isinstance(error, aiohttp.ClientConnectorError):
        is_of_proxy = (error.host, error.port) == (proxy.url.host, proxy.url.port)
    else:
        is_of_proxy = stage is Stage.PROXY
    if is_of_proxy:
        return f"the proxy {proxy.url.host}", _PROXY_HINT, _NO_PROXY_SERVER_HINT
    return f"{url.host} through the proxy {proxy.url.host}", _PROXY_HINT, service_hint


def _cause(error: aiohttp.ClientError | OSError) -> str:
    """Return the system's words for an error, without what aiohttp adds."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or str(cause)).replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
        if isinstance(cause, ConnectionResetError):  # asyncio's own, without a number
            return os.strerror(errno.ECONNRESET)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(error)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        if not isinstance(error, aiohttp.ClientError):
            yield error
        error = error.__cause__
