"""Faults over HTTP: other responses instead of the right one, and bodies that do not arrive completely."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web

from exporter.clock import Clock
from exporter.simulator.errors import (
    BACKEND_FAILED,
    THROTTLED,
    ErrorResponse,
    bad_authentication,
    gateway_error,
    permission_denied,
)
from exporter.simulator.faults import Fault, Faults, Stage
from exporter.simulator.tokens import Tokens

APPLIED_FAULTS: Final = web.RequestKey("faults", list[Fault])
"""The key of a request under which its faults are stored."""

_CHUNK: Final = b" " * 65_536
_GATEWAY_PAGE: Final = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_LOGIN_PAGE: Final = "<!DOCTYPE html><html><body>Please sign in to continue.</body></html>"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FaultInjector:
    """Responds to a request with the faults that affect it; `now` returns seconds since the epoch."""

    def __init__(self, faults: Faults, tokens: Tokens, clock: Clock, now: Callable[[], float]) -> None:
        self._faults = faults
        self._tokens = tokens
        self._clock = clock
        self._now = now

    async def answer(self, request: web.Request, api: str, handler: Handler) -> web.StreamResponse:
        """Return the response of `handler`, changed or replaced by faults. Raises ErrorResponse."""
        faults = self._faults.take(api)
        request[APPLIED_FAULTS] = faults
        for fault in faults:
            if fault.stage is Stage.BEFORE:
                await self._before(fault)
        last = faults[-1] if faults else None
        if last is not None and last.stage is Stage.INSTEAD:
            return await self._instead(request, last)
        response = await handler(request)
        if last is not None and last.stage is Stage.BODY and isinstance(response, web.Response):
            return await _corrupt_body(request, response, last)
        return response

    async def _before(self, fault: Fault) -> None:
        if fault.name == "token-expiry":
            self._tokens.expire_all()
        elif isinstance(fault.value, float):
            await _unless_ended(fault, self._clock.sleep(fault.value))

    async def _instead(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        match fault.name:
            case "throttled" | "throttled-until":
                return _throttled(self._retry_after(fault))
            case "redirect":
                location = f"{fault.value}{request.raw_path}"
                return web.Response(status=HTTPStatus.FOUND, headers={"Location": location})
            case "reset":
                return _reset(request)
            case "hang":
                await fault.ended.wait()
                return _reset(request)
            case "endless-body":
                return await _endless(request, fault)
        return _FIXED[fault.name]()

    def _retry_after(self, fault: Fault) -> str | None:
        if fault.value is None:
            return None
        if fault.name == "throttled-until":
            return formatdate(self._now() + float(fault.value), usegmt=True)
        return str(fault.value)


def render_error(error: ErrorResponse, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return the HTTP response of an error."""
    return web.json_response(error.body, status=error.status, headers=headers)


def _throttled(retry_after: str | None) -> web.Response:
    text = "The throttling threshold has been reached: policy user over ratelimit,limit:20,time:1 second"
    error = gateway_error(HTTPStatus.TOO_MANY_REQUESTS, THROTTLED, text)
    return render_error(error, {"Retry-After": retry_after} if retry_after is not None else None)


_FIXED: Final[Mapping[str, Callable[[], web.Response]]] = MappingProxyType(
    {
        "server-error": lambda: render_error(
            gateway_error(HTTPStatus.INTERNAL_SERVER_ERROR, BACKEND_FAILED, "Backend unavailable"),
        ),
        "bad-gateway": lambda: web.Response(
            status=HTTPStatus.BAD_GATEWAY, text=_GATEWAY_PAGE, content_type="text/html"
        ),
        "forbidden": lambda: render_error(permission_denied()),
        "unauthorized": lambda: render_error(bad_authentication("verify aksk signature fail")),
        "html": lambda: web.Response(text=_LOGIN_PAGE, content_type="text/html"),
    },
)


async def _corrupt_body(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    half = body[: len(body) // 2]
    if fault.name == "truncated":
        return web.Response(body=half, status=response.status, content_type=response.content_type)
    partial = web.StreamResponse(status=response.status)
    partial.content_type = response.content_type
    partial.content_length = len(body)
    await partial.prepare(request)
    await partial.write(b"" if fault.name == "hang-before-body" else half)
    if fault.name != "reset-mid-body":
        await fault.ended.wait()
    _reset(request)
    return partial


async def _endless(request: web.Request, fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "application/json"
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(b'{"count": 1, "source_servers": [')
        while not fault.ended.is_set():
            await _unless_ended(fault, response.write(_CHUNK))
    _reset(request)
    return response


def _reset(request: web.Request) -> web.Response:
    """Reset the TCP connection; the returned response can no longer be sent."""
    transport = request.transport
    if transport is not None:
        connection: Any = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _unless_ended(fault: Fault, work: Awaitable[None]) -> None:
    """Wait for `work`, but not longer than the fault is active."""
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(fault.ended.wait())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
