"""Requests for pages of lists: URL, authentication, rate limit and retries."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import tenacity
from yarl import URL

from exporter.auth.credentials import AuthHeaders, Credentials
from exporter.clock import Clock
from exporter.errors import AuthError, ConnectionFailed, PollError, RequestTimeout, ServerFault, Throttled
from exporter.http.api_errors import MAX_ERROR_BODY_BYTES, api_error, is_error_body
from exporter.http.transport import Request, Response, Transport
from exporter.logs import get_logger
from exporter.sms.endpoints import Endpoint

log = get_logger(__name__)

TRANSIENT_FAILURES: Final = (Throttled, ServerFault, RequestTimeout, ConnectionFailed)
"""Failures that may be gone at the next attempt."""

MAX_ATTEMPTS: Final = 4
"""Maximum number of attempts for one request."""

INITIAL_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 15.0

RATE_MARGIN: Final = 1.1
"""Factor of the window of the rate limit: requests do not arrive in the rhythm in which they are sent."""


class RateLimit:
    """Lets at most `rate` requests pass in every second, in the order in which they come.

    With less than one request per second there is one in `1 / rate` seconds.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._clock = clock
        self._window = RATE_MARGIN * max(1.0, 1.0 / rate)
        self._passed: deque[float] = deque(maxlen=max(1, int(rate)))
        self._queue = asyncio.Lock()

    async def wait(self) -> float:
        """Wait until a request may be sent, and return for how many seconds."""
        queued = self._clock.monotonic()
        async with self._queue:
            if len(self._passed) == self._passed.maxlen:
                await self._clock.sleep(self._passed[0] + self._window - self._clock.monotonic())
            now = self._clock.monotonic()
            self._passed.append(now)
        return now - queued


class RetryObserver(Protocol):
    """Is notified of each wait of a request."""

    def retry_waits(self, seconds: float, failure: PollError) -> None:
        """Record that a request will be retried in `seconds` because of `failure`."""

    def throttled(self, seconds: float) -> None:
        """Record that a request waited `seconds` for the exporter's own rate limit."""


class RetryBudget:
    """What a whole poll may try again: a number of requests, and other credentials once.

    A failing API does not receive many requests, and no credentials are sent again after their refusal: several
    refusals lock an access key or a user.
    """

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._refused: list[tuple[object, AuthError]] = []
        self._retried: dict[URL, PollError] = {}

    def spend(self) -> bool:
        """Take one retry; return False if none is left."""
        self._left -= 1
        return self._left >= 0

    def record_attempt(self, url: URL, failure: PollError | None) -> None:
        """Remember the failure because of which a request is retried; None if it is not."""
        self._retried.pop(url, None)
        if failure is not None:
            self._retried[url] = failure

    def timed_out(self, what: str, timeout: float) -> PollError:
        """Return the error of a poll that was not complete in time.

        If requests are being retried, that is why: the error has the reason of the last failure of one.
        """
        message = f"{what} was not complete after {timeout:g} seconds"
        if not self._retried:
            return RequestTimeout(message)
        cause = list(self._retried.values())[-1]
        return type(cause)(
            f"{message}, with retries because {cause.message}",
            hint=cause.hint,
            status=cause.status,
            code=cause.code,
            request_id=cause.request_id,
            retry_after=cause.retry_after,
        )

    def raise_if_refused(self, headers: AuthHeaders) -> None:
        """Raise the error with which the API refused the credentials of `headers` in this poll, if it did."""
        for refused, error in self._refused:
            if refused == headers.made_with:
                raise error

    def record_refusal(self, headers: AuthHeaders, error: AuthError) -> bool:
        """Remember that the API refused `headers`, and return whether other credentials may be tried."""
        if all(refused != headers.made_with for refused, _ in self._refused):
            self._refused.append((headers.made_with, error))
        return headers.made_with == self._refused[0][0]


class SmsClient:
    """Sends authenticated requests to the SMS API for one account, at most `rate_limit` per second."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        observer: RetryObserver,
        rate_limit: float,
    ) -> None:
        self._base_url = base_url
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._observer = observer
        self._rate_limit = RateLimit(rate_limit, clock)

    def for_list(self, endpoint: Endpoint[Any], filters: Mapping[str, str]) -> "ListClient":
        """Return a client for one list. Filters that the list does not accept are left out."""
        return ListClient(self, endpoint.path, {name: filters[name] for name in filters.keys() & endpoint.filters})

    async def fetch(self, path: str, parameters: Mapping[str, str], budget: RetryBudget) -> bytes:
        """Return the body of a 200 response; transient failures are retried while attempts and `budget` last."""
        url = self._build_url(path, parameters)

        def may_retry(state: tenacity.RetryCallState) -> bool:
            failure = _get_failure(state)
            is_retried = (
                state.attempt_number < MAX_ATTEMPTS
                and isinstance(failure, TRANSIENT_FAILURES)
                and (failure.retry_after or 0.0) <= MAX_BACKOFF_SECONDS
                and budget.spend()
            )
            # This is also called for a request that a timeout cancels: it has no answer, and the last one still counts.
            if failure is not None or not (state.outcome and state.outcome.failed):
                budget.record_attempt(url, failure if is_retried else None)
            return is_retried

        send_repeatedly = tenacity.AsyncRetrying(
            retry=may_retry, wait=_get_wait, before_sleep=self._report_retry, sleep=self._clock.sleep
        )
        return (await send_repeatedly(self._get, url, budget)).body

    def _build_url(self, path: str, parameters: Mapping[str, str]) -> URL:
        query = urlencode(sorted(parameters.items()), safe="~", quote_via=quote)
        return URL(f"{self._base_url}{path}{f'?{query}' if query else ''}", encoded=True)

    async def _get(self, url: URL, budget: RetryBudget) -> Response:
        """Return a 200 response; if its credentials are refused, try once with others."""
        request = Request("GET", url, {"Accept": "application/json"})
        headers = await self._credentials.headers(request)
        try:
            return await self._send(request, headers, budget)
        except AuthError as error:
            if not (budget.record_refusal(headers, error) and await self._credentials.renew(headers)):
                raise
        renewed = await self._credentials.headers(request)
        try:
            return await self._send(request, renewed, budget)
        except AuthError as error:
            budget.record_refusal(renewed, error)
            raise

    async def _send(self, request: Request, headers: AuthHeaders, budget: RetryBudget) -> Response:
        self._observer.throttled(await self._rate_limit.wait())
        budget.raise_if_refused(headers)
        response = await self._transport.send(
            Request(request.method, request.url, {**request.headers, **headers}, request.body),
        )
        # A page with servers is larger than any error.
        may_be_error = len(response.body) <= MAX_ERROR_BODY_BYTES
        if response.status != HTTPStatus.OK or (may_be_error and is_error_body(response)):
            raise api_error(response, now=self._clock.time())
        return response

    def _report_retry(self, state: tenacity.RetryCallState) -> None:
        failure, wait = _get_failure(state), state.upcoming_sleep
        if failure is not None:
            self._observer.retry_waits(wait, failure)
            log.debug("retrying page request", wait=round(wait, 3), reason=failure.reason, err=failure.message)


@dataclass(frozen=True, slots=True)
class ListClient:
    """Fetches pages of one list, narrowed by `filters`."""

    client: SmsClient
    path: str
    filters: Mapping[str, str]

    async def page(self, offset: int, limit: int, narrowing: Mapping[str, str], budget: RetryBudget) -> bytes:
        """Return the body of a page. `narrowing` are query parameters in addition to the filters."""
        parameters = {**self.filters, **narrowing, "limit": str(limit), "offset": str(offset)}
        return await self.client.fetch(self.path, parameters, budget)


_get_backoff = tenacity.wait_random_exponential(multiplier=INITIAL_BACKOFF_SECONDS, max=MAX_BACKOFF_SECONDS)


def _get_failure(state: tenacity.RetryCallState) -> PollError | None:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, PollError) else None


def _get_wait(state: tenacity.RetryCallState) -> float:
    """Return the wait that the API asked for plus a random back-off, in seconds."""
    failure = _get_failure(state)
    asked = failure.retry_after if failure else None
    return (asked or 0.0) + _get_backoff(state)
