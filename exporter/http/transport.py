"""One request over HTTP, bounded in time and size, whose every failure is a `PollError`."""

import email.utils
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Literal, Protocol, TypeAlias
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from yarl import URL

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import BadResponse, ConnectionFailed, RequestTimeout, TlsFailed

Api = Literal["sms", "iam", "metadata"]
"""Which service a request goes to; a label of the request metrics."""

NO_ANSWER: Final = "error"
"""Stands for the status where no whole answer came."""

ProxyOf: TypeAlias = Callable[[URL], str | None]
"""Gives the URL of the outbound proxy that leads to a URL; None where it is reached without one."""

_CHUNK: Final = 2**16


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose URL is final: its bytes are the ones that a signature covers."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. Header names are case-insensitive.

    `received_at` is when its headers were received, in seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float = 0.0

    @property
    def clock_skew(self) -> float | None:
        """This machine's clock minus the server's in seconds; None if the response has no date."""
        date = read_http_date(self.headers.get("Date", ""))
        return None if date is None else self.received_at - date


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request: seconds to connect, seconds of silence, bytes of body (decompressed)."""

    connect_timeout: float
    read_timeout: float
    max_response_size: int


class Observer(Protocol):
    """Hears of every request that was sent."""

    def request_ended(self, api: Api, code: str, seconds: float, response: Response | None) -> None:
        """`code` is the HTTP status, or NO_ANSWER; `seconds` is from sending to the last byte."""


def read_http_date(value: str) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None if `value` is no date."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def environment_proxy(url: URL) -> str | None:
    """Give the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment name for `url`."""
    proxies = getproxies_environment()
    proxy = None if proxy_bypass_environment(url.host, proxies) else proxies.get(url.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class Transport:
    """Sends requests to one API.

    Redirects are not followed: what authenticates the request must not travel to another host.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api: Api,
        limits: Limits,
        clock: Clock,
        observer: Observer,
        *,
        proxy: ProxyOf,
    ) -> None:
        self._session = session
        self._api: Api = api
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._proxy = proxy

    async def send(self, request: Request) -> Response:
        """Give the response, whatever its status but a redirect.

        Raises ConnectionFailed, TlsFailed, RequestTimeout, or BadResponse for a redirect and for a
        body over the size limit.
        """
        started = self._clock.monotonic()
        response: Response | None = None
        code = NO_ANSWER
        try:
            response = await self._exchange(request)
            code = str(response.status)
        finally:
            self._observer.request_ended(self._api, code, self._clock.monotonic() - started, response)
        if 300 <= response.status < 400:  # noqa: PLR2004 - the class of redirects
            raise BadResponse(
                f"{request.url.host} answered {response.status}, a redirect to "
                f"{_host_of(response.headers.get('Location', ''))}; redirects are refused",
                status=response.status,
                request_id=response.headers.get("X-Request-Id"),
            )
        return response

    async def _exchange(self, request: Request) -> Response:
        host = request.url.host
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers={"User-Agent": f"huaweicloud-sms-exporter/{__version__}", **request.headers},
                data=request.body or None,
                allow_redirects=False,
                proxy=self._proxy(request.url),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._limits.connect_timeout,
                    sock_read=self._limits.read_timeout,
                ),
            ) as response:
                received_at = self._clock.time()
                body = await self._read(response)
                return Response(response.status, response.headers, body, received_at)
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise RequestTimeout(f"{host} did not answer in time") from error
        except (
            aiohttp.ClientConnectorCertificateError,
            aiohttp.ClientConnectorSSLError,
            ssl.SSLError,
        ) as error:
            raise TlsFailed(f"the connection to {host} is not trusted: {error}") from error
        except aiohttp.ClientPayloadError as error:
            raise ConnectionFailed(f"{host} broke off in the middle of a response") from error
        except aiohttp.ClientHttpProxyError as error:
            raise _refused_by_proxy(host, error.status) from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            raise BadResponse(f"{host} answered what is not HTTP: {type(error).__name__}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionFailed(f"no connection to {host}: {error}") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks = []
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limits.max_response_size:
                raise BadResponse(
                    f"{response.url.host} sent more than {self._limits.max_response_size} bytes",
                    status=response.status,
                    hint="raise api.max-response-size if the API really sends that much",
                )
        return b"".join(chunks)


def _refused_by_proxy(host: str | None, status: int) -> ConnectionFailed:
    """Name what a proxy's answer to CONNECT tells of. It is no status of the API."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ConnectionFailed(
            f"the proxy wants a user and password for a connection to {host}: status {status}",
            hint="write them into api.proxy, or the environment's HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT",
        )
    return ConnectionFailed(
        f"the proxy refused a connection to {host}: status {status}",
        hint="have the proxy let connections to this host through, or check api.proxy, HTTPS_PROXY and NO_PROXY",
    )


def _host_of(location: str) -> str:
    try:
        return URL(location).host or "itself"
    except ValueError:
        return "an unreadable address"
