"""The simulator as an aiohttp application, and as a context manager that serves it on a socket."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import MappingProxyType, TracebackType
from typing import Final, Self
from uuid import uuid4

from aiohttp import web

from exporter.capture.file import Capture
from exporter.clock import Clock, SystemClock
from exporter.simulator import control
from exporter.simulator.authentication import Authenticator, Permissions
from exporter.simulator.control import Control
from exporter.simulator.details import ConsistencyShape
from exporter.simulator.errors import NOT_FOUND, ErrorResponse, gateway_error
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.fleet import ACCELERATION, TARGETS, Fleet
from exporter.simulator.iam import Iam
from exporter.simulator.injection import FaultInjector, render_error
from exporter.simulator.lists import Lists
from exporter.simulator.metadata import Metadata
from exporter.simulator.replay import Replay
from exporter.simulator.signing import AccessKey, AccessKeys
from exporter.simulator.sources import Offsets, Sources
from exporter.simulator.targets import LOOPBACK_TARGETS, Targets
from exporter.simulator.tokens import Tokens, User

DAY_SECONDS: Final = 86_400.0
MAX_REQUESTS: Final = 100_000
"""Maximum number of requests in the log; when it is reached, the older half is dropped."""

MAX_HEADER_BYTES: Final = 32_768
"""The longest header that is accepted: tokens have up to 16,384 characters."""

_SHUTDOWN_TIMEOUT: Final = 1.0
_LOOPBACKS: Final[Mapping[str, str]] = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 - only compared
"""The loopback address by which a server on all addresses is reached from this machine."""
_APIS: Final = (
    ("/v3/auth/", "iam"),
    ("/v3/projects", "iam"),
    ("/meta-data/", "metadata"),
    ("/openstack/", "metadata"),
)


@dataclass(slots=True)
class Received:
    """A received request. `status` is None until the headers of a response are sent."""

    api: str
    method: str
    path: str
    query: dict[str, str]
    status: int | None = None


_RECEIVED: Final = web.RequestKey("received", Received)


class Simulator:
    """The SMS and IAM APIs and the metadata service of an ECS under one URL, for an `async with`.

    `fleet` replaces the simulated one that `servers`, `seed` and `acceleration` describe (see `Fleet`). `faults` are
    active from the start. `offsets` says what the offset of a query counts. `token_lifetime` and `key_lifetime` are the
    lifetimes of IAM tokens and temporary keys in seconds. Without `metadata_tokens` the metadata service is an older
    version. `denied` are IAM actions that no user may perform. `consistency` is the shape of all consistency results;
    without it, each task has one of the published shapes. With `target_port` the target servers of launched migrations
    have loopback addresses, and most of them listen on that port. With `replay` the SMS API has the answers of a
    capture instead of a fleet. Port 0 is any free port.

    Raise BadFault, BadAction, OSError if the address cannot be bound, and TargetsUnavailable if those of target servers
    cannot.
    """

    def __init__(  # noqa: PLR0913 - options, all by name and with defaults
        self,
        *,
        servers: int = 250,
        seed: int = 1,
        acceleration: float = ACCELERATION,
        fleet: Fleet | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Iterable[Fault | str] = (),
        offsets: Offsets = "records",
        token_lifetime: float = DAY_SECONDS,
        key_lifetime: float = DAY_SECONDS,
        metadata_tokens: bool = True,
        denied: Iterable[str] = (),
        consistency: ConsistencyShape | None = None,
        target_port: int | None = None,
        replay: Capture | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        addresses = TARGETS if target_port is None else LOOPBACK_TARGETS
        self.fleet = fleet or Fleet(servers, seed=seed, acceleration=acceleration, clock=self.clock, targets=addresses)
        self.targets = None if target_port is None else Targets(self.fleet, target_port, self.clock)
        self.faults = Faults(faults, of_replay=replay is not None)
        self.requests: list[Received] = []
        self.tokens = Tokens()
        self.keys = AccessKeys()
        self.replay = replay
        self.permissions = Permissions(denied)
        self.consistency = consistency
        self.offsets = offsets
        self.token_lifetime = token_lifetime
        self.key_lifetime = key_lifetime
        self.metadata_tokens = metadata_tokens
        self.user = User("simulator-domain", "simulator", "simulator-password", "cn-north-4")
        """A user with permission to list source servers."""
        self.unpermitted_user = User("simulator-domain", "unpermitted", "other-password", "cn-north-4", permitted=False)
        """A user without any permission."""
        self.token = self.tokens.issue_static(self.user)
        """A token that is valid until all tokens are expired."""
        self.unpermitted_token = self.tokens.issue_static(self.unpermitted_user)
        self.access_key = AccessKey("SIMULATORACCESSKEY00", "simulator-secret-key")
        self.keys.add(self.access_key)
        self._address = (host, port)
        self._runner: web.AppRunner | None = None
        self._running = contextlib.AsyncExitStack()

    def now(self) -> float:
        """Return the time of the API's clock, in seconds since the epoch."""
        return self.clock.time() + self.faults.skew()

    @property
    def url(self) -> str:
        """The base URL of SMS, IAM and the metadata service, available inside the context."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the simulator is not running")
        host, port = self._runner.addresses[0][:2]
        host = _LOOPBACKS.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        runner = web.AppRunner(
            create_app(self),
            access_log=None,
            # A handler that hangs ends when its client disconnects.
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
            max_field_size=MAX_HEADER_BYTES,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, *self._address).start()
            # Requests that hang would delay the end.
            stack.callback(self.faults.clear)
            if self.targets is not None:
                await stack.enter_async_context(self.targets)
            self._running = stack.pop_all()
        self._runner = runner
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner = None
        await self._running.aclose()


def create_app(simulator: Simulator) -> web.Application:
    """Return the application that serves a simulator."""
    authenticator = Authenticator(simulator.tokens, simulator.keys, simulator.now, simulator.permissions)
    injector = FaultInjector(simulator.faults, simulator.tokens, simulator.clock, simulator.now)

    @web.middleware
    async def serve(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            if request.path.startswith(control.PREFIX):
                return await handler(request)
            received = _receive(request, simulator.requests)
            return await injector.answer(request, received.api, handler)
        except ErrorResponse as error:
            return render_error(error)
        except web.HTTPException as error:
            return render_error(gateway_error(error.status, NOT_FOUND, "The API does not exist."))

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("X-Request-Id", uuid4().hex)
        response.headers["Date"] = formatdate(simulator.now(), usegmt=True)
        received = request.get(_RECEIVED)
        if received is not None and request.transport is not None and not request.transport.is_closing():
            received.status = response.status

    app = web.Application(middlewares=[serve])
    app.on_response_prepare.append(add_headers)
    if simulator.replay is None:
        app.add_routes(Sources(simulator.fleet, authenticator, simulator.offsets).routes())
        app.add_routes(Lists(simulator.fleet, authenticator, simulator.offsets, simulator.consistency).routes())
    else:
        app.add_routes(Replay(simulator.replay, authenticator).routes())
    app.add_routes(
        Iam(
            (simulator.user, simulator.unpermitted_user),
            simulator.tokens,
            authenticator,
            now=simulator.now,
            token_lifetime=simulator.token_lifetime,
        ).routes(),
    )
    app.add_routes(
        Metadata(
            simulator.keys,
            now=simulator.now,
            key_lifetime=simulator.key_lifetime,
            with_tokens=simulator.metadata_tokens,
        ).routes(),
    )
    app.add_routes(
        Control(
            simulator.fleet, simulator.faults, simulator.tokens, simulator.permissions, simulator.requests
        ).routes(),
    )
    return app


def _receive(request: web.Request, requests: list[Received]) -> Received:
    api = next((api for prefix, api in _APIS if request.path.startswith(prefix)), "sms")
    received = Received(api, request.method, request.path, dict(request.query))
    request[_RECEIVED] = received
    if len(requests) >= MAX_REQUESTS:
        del requests[: MAX_REQUESTS // 2]
    requests.append(received)
    return received
