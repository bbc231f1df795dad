"""The simulator as one aiohttp application, and as a context that serves it on a socket."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import MappingProxyType, TracebackType
from typing import Final, Self
from uuid import uuid4

from aiohttp import web

from exporter.clock import Clock, SystemClock
from exporter.simulator import control
from exporter.simulator.answers import NOT_FOUND, Refusal, gateway_error
from exporter.simulator.control import Control
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.fleet import ACCELERATION, Fleet
from exporter.simulator.gate import Gate
from exporter.simulator.iam import Iam
from exporter.simulator.metadata import Metadata
from exporter.simulator.misbehaviour import Misbehaviour, refused
from exporter.simulator.signing import AccessKey, AccessKeys
from exporter.simulator.sources import Offsets, Sources
from exporter.simulator.tokens import Tokens, User

DAY: Final = 86_400.0
REMEMBERED: Final = 100_000
"""Requests that the log holds at most; the older half is forgotten then."""

_SHUTDOWN_TIMEOUT: Final = 1.0
_LOOPBACKS: Final[Mapping[str, str]] = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104 - read, not bound
"""Where what listens everywhere is reached from this machine."""
_APIS: Final = (
    ("/v3/auth/", "iam"),
    ("/v3/projects", "iam"),
    ("/meta-data/", "metadata"),
    ("/openstack/", "metadata"),
)


@dataclass(slots=True)
class Received:
    """A request that came in. `status` is None until the head of an answer is sent."""

    api: str
    method: str
    path: str
    query: dict[str, str]
    status: int | None = None


_RECEIVED: Final = web.RequestKey("received", Received)


class Simulator:
    """The SMS and IAM APIs and an ECS's metadata service under one URL, for an `async with`.

    `fleet` replaces the living one of `servers`, `seed` and `acceleration` (see `Fleet`). `faults` are in
    force from the start. `offsets` is what the query's offset counts. `token_lifetime` and `key_lifetime`
    are the seconds that tokens from IAM and temporary keys live; without `metadata_tokens` the metadata
    service is an older one. `port` 0 is any free one. Raises BadFault, and OSError where the address
    cannot be had.
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
        token_lifetime: float = DAY,
        key_lifetime: float = DAY,
        metadata_tokens: bool = True,
    ) -> None:
        self.clock = clock or SystemClock()
        self.fleet = fleet or Fleet(servers, seed=seed, acceleration=acceleration, clock=self.clock)
        self.faults = Faults(faults)
        self.requests: list[Received] = []
        self.tokens = Tokens()
        self.keys = AccessKeys()
        self.offsets = offsets
        self.token_lifetime = token_lifetime
        self.key_lifetime = key_lifetime
        self.metadata_tokens = metadata_tokens
        self.user = User("simulator-domain", "simulator", "simulator-password", "cn-north-4")
        """May list source servers."""
        self.powerless_user = User("simulator-domain", "powerless", "powerless-password", "cn-north-4", permitted=False)
        """May do nothing."""
        self.token = self.tokens.issue_static(self.user)
        """A token that lives until all are expired."""
        self.powerless_token = self.tokens.issue_static(self.powerless_user)
        self.access_key = AccessKey("SIMULATORACCESSKEY00", "simulator-secret-key")
        self.keys.add(self.access_key)
        self._address = (host, port)
        self._runner: web.AppRunner | None = None

    def now(self) -> float:
        """Give the API's own idea of the time, in seconds since the epoch."""
        return self.clock.time() + self.faults.skew()

    @property
    def url(self) -> str:
        """The base URL under which SMS, IAM and metadata are served; only while in the context."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the simulator is not running")
        host, port = self._runner.addresses[0][:2]
        host = _LOOPBACKS.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(
            create_app(self),
            access_log=None,
            # Who no longer waits for an answer ends what hangs.
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, *self._address).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.faults.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def create_app(simulator: Simulator) -> web.Application:
    """Make the application that serves a simulator."""
    gate = Gate(simulator.tokens, simulator.keys, simulator.now)
    misbehaviour = Misbehaviour(simulator.faults, simulator.tokens, simulator.clock, simulator.now)

    @web.middleware
    async def serve(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            if request.path.startswith(control.PREFIX):
                return await handler(request)
            received = _receive(request, simulator.requests)
            return await misbehaviour.answer(request, received.api, handler)
        except Refusal as refusal:
            return refused(refusal)
        except web.HTTPException as error:
            return refused(gateway_error(error.status, NOT_FOUND, "The API does not exist."))

    async def sign_off(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Request-Id"] = uuid4().hex
        response.headers["Date"] = formatdate(simulator.now(), usegmt=True)
        received = request.get(_RECEIVED)
        if received is not None and request.transport is not None and not request.transport.is_closing():
            received.status = response.status

    app = web.Application(middlewares=[serve])
    app.on_response_prepare.append(sign_off)
    app.add_routes(Sources(simulator.fleet, gate, simulator.offsets).routes())
    app.add_routes(
        Iam(
            (simulator.user, simulator.powerless_user),
            simulator.tokens,
            gate,
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
        Control(simulator.fleet, simulator.faults, simulator.tokens, simulator.requests).routes(),
    )
    return app


def _receive(request: web.Request, requests: list[Received]) -> Received:
    api = next((api for prefix, api in _APIS if request.path.startswith(prefix)), "sms")
    received = Received(api, request.method, request.path, dict(request.query))
    request[_RECEIVED] = received
    if len(requests) >= REMEMBERED:
        del requests[: REMEMBERED // 2]
    requests.append(received)
    return received
