"""One request over HTTP, bounded in time and size. Every failure is a `PollError`."""

import asyncio
import contextlib
import email.utils
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol

import aiohttp
from yarl import URL

from exporter import __version__
from exporter.clock import Clock
from exporter.errors import BadResponse, ConnectionFailed
from exporter.http.failures import Limits, Stage, connection_error, proxy_refusal, timeout_error
from exporter.http.foreign_text import clean_text
from exporter.http.proxies import Proxies, Proxy
from exporter.http.resolver import SystemResolver
from exporter.language import Translatable

MAX_HEADER_BYTES: Final = 32_768
"""Size limit of a response header; the header with a token of IAM can have 16,384 characters."""


@dataclass(slots=True)
class Progress:
    """How far a request got."""

    stage: Stage = Stage.LOOKUP


PROGRESS: Final = ContextVar[Progress]("progress")
"""The progress of the request that the current task sends. The connector gets it here: aiohttp does not pass it on."""


class RecordingConnector(aiohttp.TCPConnector):
    """A connector that records the stage of each request.

    The methods with an underscore are aiohttp's own. If they change, a timeout is reported with an earlier stage.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as aiohttp has it
        """Open a connection, or take one from the pool."""
        connection = await super().connect(*args, **kwargs)
        PROGRESS.get().stage = Stage.HEADERS
        return connection

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        factory, *further = args
        progress = PROGRESS.get()
        progress.stage = Stage.TCP

        def create_protocol() -> Any:  # noqa: ANN401 - aiohttp's
            # asyncio calls this between the TCP connection and the TLS handshake.
            progress.stage = Stage.TLS
            return factory()

        created = await super()._wrap_create_connection(create_protocol, *further, **kwargs)
        progress.stage = Stage.PROXY  # or the connection is complete, and `connect` returns at once
        return created

    async def _start_tls_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        PROGRESS.get().stage = Stage.TLS
        return await super()._start_tls_connection(*args, **kwargs)


@contextlib.asynccontextmanager
async def open_session(trust: ssl.SSLContext | bool) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session, shared with no other account. `trust` is aiohttp's `ssl`."""
    # Without a limit: those who send requests limit how many there are at a time, and no request waits for another.
    connector = RecordingConnector(ssl=trust, limit=0, resolver=SystemResolver())
    async with aiohttp.ClientSession(
        connector=connector,
        # A cookie of one response must not be sent with the next request.
        cookie_jar=aiohttp.DummyCookieJar(),
        # Otherwise aiohttp would read passwords from a .netrc. The transport finds the proxies.
        trust_env=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    ) as session:
        yield session


Api = Literal["sms", "iam", "metadata"]
"""Which service a request is for; a label of the request metrics."""

SERVICES: Final[Mapping[Api, tuple[str, Translatable]]] = {
    "sms": ("the API", Translatable("check api.endpoint and api.region: something other than the API answered")),
    "iam": ("IAM", Translatable("check iam.endpoint: something other than IAM answered")),
    "metadata": (
        "the metadata service",
        Translatable("check auth.metadata-endpoint: something other than the metadata service answered"),
    ),
}
"""The name of each service in messages, and what to check if something else answers in its place."""

NO_RESPONSE: Final = "error"
"""The label value in place of a status if there was no complete response."""

SECRET_HEADERS: Final = frozenset({"authorization", "x-auth-token", "x-security-token", "x-metadata-token"})

_CHUNK_BYTES: Final = 2**16
MAX_CACHED_PROXIES: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose URL is final: a signature covers its bytes. `secrets` are the secret parts of its body."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    secrets: tuple[str, ...] = ()

    def all_secrets(self) -> tuple[str, ...]:
        """Return everything in the request that must not be shown."""
        return (*self.secrets, *(value for name, value in self.headers.items() if name.lower() in SECRET_HEADERS))


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. Header names are case-insensitive. A body that is text is UTF-8 without a mark.

    `received_at` is when its headers were received, in seconds since the epoch. `secrets` are those of its
    request and proxy: a gateway may repeat the request in an error message.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float = 0.0
    api: Api = "sms"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def clock_skew(self) -> float | None:
        """This machine's clock minus the server's in seconds; None if the response has no date."""
        date = read_http_date(self.headers.get("Date", ""))
        return None if date is None else self.received_at - date

    def clean_header(self, name: str) -> str | None:
        """Return a header for messages; None if it is missing."""
        value = self.headers.get(name)
        return None if value is None else clean_text(value, self.secrets)


class Observer(Protocol):
    """Is notified of every request."""

    def request_ended(self, api: Api, request: Request, code: str, seconds: float, response: Response | None) -> None:
        """`code` is the HTTP status, or NO_RESPONSE; `seconds` is the time from sending to the last byte."""


def read_http_date(value: str) -> float | None:
    """Return an HTTP date as seconds since the epoch, or None if `value` is no date; one without a zone is UTC."""
    try:
        date = email.utils.parsedate_to_datetime(value)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


class Transport:
    """Sends requests to one API.

    Redirects are not followed: the credentials of a request must not reach another host. A password that a proxy
    refused is not sent again so soon: wrong ones can lock the user.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api: Api,
        limits: Limits,
        clock: Clock,
        observer: Observer,
        *,
        proxies: Proxies,
    ) -> None:
        self._session = session
        self._api: Api = api
        self._limits = limits
        self._clock = clock
        self._observer = observer
        # One API has one or two addresses, and NO_PROXY may be long.
        self._find_proxy = lru_cache(MAX_CACHED_PROXIES)(proxies.find)
        self._refusal: ConnectionFailed | None = None
        self._refused_until: float

    async def send(self, request: Request) -> Response:
        """Return the response, whatever its status, except for a redirect.

        Raise ConnectionFailed, TlsFailed, RequestTimeout, or BadResponse for a redirect and for a body over the
        size limit.
        """
        started = self._clock.monotonic()
        if self._refusal is not None and started < self._refused_until:
            raise ConnectionFailed(
                f"the password is not sent again so soon: {self._refusal.message}",
                hint=self._refusal.hint,
                retry_after=self._refused_until - started,
            )
        response: Response | None = None
        code = NO_RESPONSE
        try:
            response = await self._exchange(request)
            code = str(response.status)
        except ConnectionFailed as error:
            if error.retry_after is not None:  # the proxy refused its password
                # Without the frames of the error, which would be kept with it.
                self._refusal = ConnectionFailed(error.message, hint=error.hint)
                self._refused_until = self._clock.monotonic() + error.retry_after
            raise
        finally:
            self._observer.request_ended(self._api, request, code, self._clock.monotonic() - started, response)
        if 300 <= response.status < 400:  # noqa: PLR2004 - the class of redirects
            raise BadResponse(
                f"{request.url.host} answered {response.status}, a redirect to "
                f"{_host_of(response.clean_header('Location') or '')}; redirects are refused",
                hint=SERVICES[self._api][1],
                status=response.status,
                request_id=response.clean_header("X-Request-Id"),
            )
        return response

    async def _exchange(self, request: Request) -> Response:
        proxy = self._find_proxy(request.url.origin())
        secrets = request.all_secrets() + (proxy.secrets if proxy else ())
        progress = Progress()
        PROGRESS.set(progress)
        try:
            async with asyncio.timeout(self._limits.connect_timeout + self._limits.read_timeout):
                async with self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(
                        total=None, connect=self._limits.connect_timeout, sock_read=self._limits.read_timeout
                    ),
                    **_headers_and_proxy(request, proxy),
                ) as response:
                    progress.stage = Stage.BODY
                    received_at = self._clock.time()
                    body = _to_utf8(await self._read(response))
                    if proxy and response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                        raise proxy_refusal(request.url, proxy, response.status)
                    return Response(response.status, response.headers, body, received_at, self._api, secrets)
        except TimeoutError as error:
            raise timeout_error(request.url, proxy, progress.stage, self._limits) from error
        except (aiohttp.ClientError, OSError) as error:
            raise connection_error(
                request.url, proxy, progress.stage, error, secrets=secrets, service_hint=SERVICES[self._api][1]
            ) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks = []
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limits.max_response_size:
                raise BadResponse(
                    f"{response.url.host} sent more than {self._limits.max_response_size} bytes",
                    status=response.status,
                    hint=Translatable("raise api.max-response-size if the API really sends that much"),
                )
        return b"".join(chunks)


def _headers_and_proxy(request: Request, proxy: Proxy | None) -> Mapping[str, Any]:
    headers = {"User-Agent": f"huaweicloud-sms-exporter/{__version__}", **request.headers}
    if proxy is None:
        return {"headers": headers}
    authorization = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
    if request.url.scheme == "https":  # the proxy reads only the CONNECT
        return {"headers": headers, "proxy": proxy.url, "proxy_headers": authorization}
    return {"headers": headers | authorization, "proxy": proxy.url}


def _to_utf8(body: bytes) -> bytes:
    """Return JSON in UTF-8, in whichever of its encodings it was sent."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding, "replace").encode()


def _host_of(location: str) -> str:
    try:
        return URL(location).host or "the same host"
    except ValueError:
        return "an unreadable address"
