"""`demo`: the exporter with a simulated fleet."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final

from pydantic import Field, SecretStr

from exporter.commands.output import PROG, print_text
from exporter.commands.process import get_runtime, run_server, until_stopped
from exporter.commands.usage import ALL_OPTIONS_HINT, SERVING_EXIT_CODES, TARGET_PORT
from exporter.errors import ListenError
from exporter.logs import configure_logs
from exporter.polling.connections import Runtime
from exporter.service import Service, running
from exporter.settings import AuthSettings, LogSettings, PollSettings, Settings, WebSettings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.settings.tree import DETAIL_COLLECTORS, AccountNameSettings, CollectorSettings
from exporter.simulator import Simulator, TargetsUnavailable

DESCRIPTION: Final = "Runs the exporter on a simulated fleet; nothing leaves this machine."


class DemoSettings(Settings):
    """Options of an exporter of a simulated fleet, with a short interval."""

    MOST_USED = (
        "web.listen_address",
        "poll.interval",
        "account.name",
        "collector.disks",
        *(f"collector.{name}" for name in DETAIL_COLLECTORS),
        "collector.details_polls",
        "log.level",
    )

    web: WebSettings = WebSettings(listen_address=("127.0.0.1:10058",))
    log: LogSettings = LogSettings(level="warn")
    account: AccountNameSettings = AccountNameSettings(name="demo")
    poll: PollSettings = PollSettings.model_validate({"interval": "15s"})
    collector: CollectorSettings = CollectorSettings.model_validate(
        {"disks": True, **dict.fromkeys(DETAIL_COLLECTORS, True), "details_polls": 2}
    )
    servers: int = Field(250, ge=0, le=100_000, description="Number of simulated source servers.")
    seed: int = Field(1, description="Seed of the random numbers; the same seed simulates the same migrations.")
    target_port: int | None = Field(None, ge=1, le=65_535, description=TARGET_PORT)


def main(argv: Sequence[str]) -> int:
    """Run the demo until a signal stops it, and return the exit code."""
    manual = Manual(f"{PROG} demo", DESCRIPTION, SERVING_EXIT_CODES, ALL_OPTIONS_HINT, brief=True)

    def read() -> DemoSettings:
        return load_settings(DemoSettings, argv, manual)

    settings = read()
    configure_logs(settings.log.level, settings.log.format)

    async def serve() -> None:
        try:
            async with demonstrating(settings, get_runtime(), read) as service:
                await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
                print_text(f"Open {service.urls[0]} (press Ctrl-C to stop)")
                await until_stopped()
        except TargetsUnavailable as error:
            raise ListenError(f"--target-port: {error}") from error

    run_server(serve)
    return 0


@contextlib.asynccontextmanager
async def demonstrating(
    settings: DemoSettings,
    runtime: Runtime,
    read_again: Callable[[], DemoSettings],
) -> AsyncIterator[Service]:
    """Run an exporter and its simulator while the context lasts. `read_again` reads the options for a reload."""
    simulated_api = Simulator(
        servers=settings.servers, seed=settings.seed, clock=runtime.clock, target_port=settings.target_port
    )
    async with simulated_api as simulator:

        def simulated(options: DemoSettings) -> DemoSettings:
            api = options.api.model_copy(update={"endpoint": simulator.url, "region": None})
            auth = AuthSettings(token=SecretStr(simulator.token))
            return options.model_copy(update={"api": api, "auth": auth, "accounts": ()})

        # Without environment variables: no proxy, and no credentials of this machine for the simulator.
        isolated = replace(runtime, environ={})
        async with running(simulated(settings), isolated, lambda: simulated(read_again())) as service:
            yield service
