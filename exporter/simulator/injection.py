"""Faults over HTTP: other responses instead of the right one, and bodies that do not arrive completely."""

import asyncio
import contextlib
import gzip
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
        """Return the response of `handler`, changed or replaced by faults. Raise ErrorResponse."""
        faults = self._faults.take(api, request.path)
        request[APPLIED_FAULTS] = faults
        for fault in faults:
            if fault.stage is Stage.BEFORE:
                await self._before(fault)
        last = faults[-1] if faults else None
        if last is not None and last.stage is Stage.INSTEAD:
            return await self._instead(request, last)
        response = await handler(request)
        if last is not None and last.stage is Stage.BODY and isinstance(response, web.Response):
            if last.name == "drip":
                return await self._drip(request, response, last)
            return await _corrupt_body(request, response, last)
        return response

    async def _before(self, fault: Fault) -> None:
        if fault.name == "token-expiry":
            self._tokens.expire_all()
        elif isinstance(fault.value, float):
            await _unless_ended(fault, self._clock.sleep(fault.value))

    async def _instead(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.name.startswith("throttled"):
            return _throttled(self._retry_after(fault))
        if fault.name in _FIXED:
            return _FIXED[fault.name]()
        return await _RESPONSES[fault.name](request, fault)

    async def _drip(self, request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
        seconds = 1.0 if fault.value is None else float(fault.value)
        body = response.body if isinstance(response.body, bytes) else b""
        dripping = await _start_like(request, response, len(body))
        for number in range(len(body)):
            await _unless_ended(fault, self._clock.sleep(seconds))
            if fault.ended.is_set():
                _reset(request)
                break
            await dripping.write(body[number : number + 1])
        return dripping

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
    partial = await _start_like(request, response, len(body))
    await partial.write(b"" if fault.name == "hang-before-body" else half)
    if fault.name != "reset-mid-body":
        await fault.ended.wait()
    _reset(request)
    return partial


async def _start_like(request: web.Request, response: web.Response, length: int) -> web.StreamResponse:
    """Send the headers of a response whose body follows."""
    started = web.StreamResponse(status=response.status)
    started.content_type = response.content_type
    started.content_length = length
    await started.prepare(request)
    return started


async def _redirect(request: web.Request, fault: Fault) -> web.StreamResponse:
    return web.Response(status=HTTPStatus.FOUND, headers={"Location": f"{fault.value}{request.raw_path}"})


async def _reset_at_once(request: web.Request, _: Fault) -> web.StreamResponse:
    return _reset(request)


async def _hang(request: web.Request, fault: Fault) -> web.StreamResponse:
    await fault.ended.wait()
    return _reset(request)


async def _flood(_: web.Request, fault: Fault) -> web.StreamResponse:
    rows = 1_000_000 if fault.value is None else int(fault.value)
    body = b'{"count":%d,"source_servers":[%s]}' % (rows, b",".join([b"0"] * rows))
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(body, 9), content_type="application/json", headers=headers)


async def _echo(request: web.Request, _: Fault) -> web.StreamResponse:
    """Return the request with all its secrets, as some gateways do."""
    lines = [f"{request.method} {request.path_qs}", *(f"{name}: {value}" for name, value in request.headers.items())]
    received = "\n".join([*lines, (await request.read()).decode("utf-8", "replace")])
    secrets = " ".join(request.headers.get(name, "") for name in ("X-Auth-Token", "Authorization"))
    error = gateway_error(HTTPStatus.BAD_REQUEST, BACKEND_FAILED, f"Bad request: {received}")
    return render_error(error, {"X-Request-Id": secrets.strip()})


async def _endless(request: web.Request, fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = "application/json"
    # The client may disconnect at any moment, also before the headers are sent.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(b'{"count": 1, "source_servers": [')
        while not fault.ended.is_set():
            await _unless_ended(fault, response.write(_CHUNK))
    _reset(request)
    return response


_RESPONSES: Final[Mapping[str, Callable[[web.Request, Fault], Awaitable[web.StreamResponse]]]] = MappingProxyType(
    {
        "redirect": _redirect,
        "reset": _reset_at_once,
        "hang": _hang,
        "endless-body": _endless,
        "row-flood": _flood,
        "echo": _echo,
    },
)


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
