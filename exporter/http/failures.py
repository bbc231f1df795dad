"""Requests without a response: which step took too long, or what went wrong."""

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

import aiohttp
from yarl import URL

from exporter.errors import BadResponse, ConnectionFailed, PollError, RequestTimeout, TlsFailed
from exporter.http.foreign_text import clean_text
from exporter.http.proxies import Proxy
from exporter.language import Translatable


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
            Translatable("check the proxy: api.proxy, HTTPS_PROXY and NO_PROXY"),
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
    host: str, error: aiohttp.ClientError | OSError, secrets: Iterable[str], service_hint: Translatable
) -> PollError:
    """Return the error that names what went wrong; `service_hint` is what to check if it is the wrong service."""
    cause = clean_text(_cause(error), secrets)
    failure: PollError = ConnectionFailed(f"the connection to {host} failed: {cause}")
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            failure = TlsFailed(f"the certificate of {host} could not be verified: {cause}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            hint = Translatable("check that the server speaks TLS on this port; %(otherwise)s", otherwise=service_hint)
            failure = TlsFailed(f"the TLS handshake with {host} failed: {cause}", hint=hint)
        case aiohttp.ClientPayloadError():
            failure = ConnectionFailed(f"{host} closed the connection in the middle of a response")
        case aiohttp.ClientHttpProxyError():
            failure = _refused_by_proxy(host, error.status)
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            what = type(error).__name__
            failure = BadResponse(f"{host} sent a response that is not valid HTTP: {what}", hint=service_hint)
        case aiohttp.ClientConnectorDNSError():
            failure = ConnectionFailed(f"the name of {host} or its proxy could not be resolved: {cause}")
        case aiohttp.ServerDisconnectedError():
            failure = ConnectionFailed(f"{host} closed the connection without a response")
    return failure


def _cause(error: aiohttp.ClientError | OSError) -> str:
    """Return the system's words for an error, without what aiohttp adds."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or str(cause)).replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(error)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        if not isinstance(error, aiohttp.ClientError):
            yield error
        error = error.__cause__


def _refused_by_proxy(host: str, status: int) -> ConnectionFailed:
    """Return what a proxy's answer to CONNECT means; it is not a status of the API."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ConnectionFailed(
            f"the proxy requires a user and a password for a connection to {host}: status {status}",
            hint=Translatable(
                "add them to api.proxy, or to HTTPS_PROXY of the environment: http://USER:PASSWORD@HOST:PORT"
            ),
        )
    return ConnectionFailed(
        f"the proxy refused a connection to {host}: status {status}",
        hint=Translatable("allow connections to this host in the proxy, or check api.proxy, HTTPS_PROXY and NO_PROXY"),
    )
