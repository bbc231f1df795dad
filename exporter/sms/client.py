"""One page of `GET /v3/sources`: its URL, authentication, rate, retries, and the names of its failures."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import aiolimiter
import structlog
import tenacity
from yarl import URL

from exporter.auth.credentials import Credentials
from exporter.clock import Clock
from exporter.errors import ConnectionFailed, PollError, RequestTimeout, ServerFault, Throttled
from exporter.http.api_errors import api_error
from exporter.http.transport import Request, Response, Transport

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

PASSING: Final = (Throttled, ServerFault, RequestTimeout, ConnectionFailed)
"""Failures that may be gone at the next try; all others cannot succeed by trying again."""

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
"""Seconds of back-off before the first retry, at most, and before any."""


class RetryObserver(Protocol):
    """Hears of each wait before a request is tried again."""

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """`seconds` will pass because of `failure`."""

    def throttled(self, seconds: float) -> None:
        """`seconds` passed until the rate limit let a request go."""


class RetryBudget:
    """How many retries are left to a whole poll, so that a failing API is not asked many times over."""

    def __init__(self, retries: int) -> None:
        self._left = retries

    def spend(self) -> bool:
        """Take one retry; False where none is left."""
        self._left -= 1
        return self._left >= 0


class SourcesClient:
    """Reads pages of one account's list.

    `filters` are the query parameters that narrow the list. `attempts` bounds the tries of one page,
    `rate_limit` the requests a second.
    """

    def __init__(  # noqa: PLR0913 - the parts of a client, all by name
        self,
        base_url: str,
        *,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        observer: RetryObserver,
        rate_limit: float,
        attempts: int = 4,
        filters: Mapping[str, str] | None = None,
    ) -> None:
        self._base_url = base_url
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._observer = observer
        self._attempts = attempts
        self._filters = dict(filters or {})
        # A bucket holds at least one request: below one a second it takes longer to fill.
        self._limiter = aiolimiter.AsyncLimiter(max(1.0, rate_limit), max(1.0, 1.0 / rate_limit))

    async def page(self, offset: int, limit: int, narrowing: Mapping[str, str], budget: RetryBudget) -> bytes:
        """Give the body of a page; passing failures are retried while attempts and `budget` last.

        `narrowing` are query parameters beside the filters.
        """

        def may_retry(failure: BaseException) -> bool:
            return isinstance(failure, PASSING) and (failure.retry_after or 0.0) <= LONGEST_WAIT and budget.spend()

        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(may_retry),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            before_sleep=self._tell,
            sleep=self._clock.sleep,
            reraise=True,
        ):
            with attempt:
                return (await self._get(self._url(offset, limit, narrowing))).body
        raise AssertionError("tenacity returns or raises")

    def _url(self, offset: int, limit: int, narrowing: Mapping[str, str]) -> URL:
        query = urlencode(
            sorted({**self._filters, **narrowing, "limit": str(limit), "offset": str(offset)}.items()),
            safe="~",
            quote_via=quote,
        )
        return URL(f"{self._base_url}/v3/sources?{query}", encoded=True)

    async def _get(self, url: URL) -> Response:
        request = Request("GET", url, {"Accept": "application/json"})
        headers = await self._credentials.headers(request)
        response = await self._send(request, headers)
        if response.status == HTTPStatus.UNAUTHORIZED and await self._credentials.renew(headers):
            response = await self._send(request, await self._credentials.headers(request))
        if response.status != HTTPStatus.OK:
            raise api_error(response, now=self._clock.time())
        return response

    async def _send(self, request: Request, headers: Mapping[str, str]) -> Response:
        asked = self._clock.monotonic()
        async with self._limiter:
            self._observer.throttled(self._clock.monotonic() - asked)
            return await self._transport.send(
                Request(request.method, request.url, {**request.headers, **headers}, request.body),
            )

    def _tell(self, state: tenacity.RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        wait = state.upcoming_sleep
        if isinstance(failure, PollError):
            self._observer.retry_waits(wait, failure)
            log.debug("a page is tried again", wait=round(wait, 3), reason=failure.reason, err=failure.message)


_backoff = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)


def _wait(state: tenacity.RetryCallState) -> float:
    """Wait as long as the API asks, and a jittered while longer; full jitter where it does not ask."""
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after if isinstance(failure, PollError) else None
    return (asked or 0.0) + _backoff(state)
