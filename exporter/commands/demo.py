"""The commands that need no account: the simulator alone, and an exporter on a simulator."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from exporter.errors import ConfigurationError
from exporter.polling.connections import Runtime
from exporter.service import Service, running
from exporter.settings import AuthSettings, LogSettings, PollSettings, Settings, WebSettings
from exporter.settings.quantities import Address, Words, parse_listen_address
from exporter.settings.tree import AccountNameSettings
from exporter.simulator import BadFault, Simulator, parse_fault

LOOPBACK: Final = "127.0.0.1"
_QUALIFIERS: Final = ("times=", "after=", "api=")


class SimulatorSettings(BaseSettings):
    """What the simulator is like."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="SMS_SIMULATOR_",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    listen: Address = Field(f"{LOOPBACK}:10059", description="Address to serve on, as HOST:PORT.")
    servers: int = Field(250, ge=0, le=100_000, description="How many source servers there are.")
    seed: int = Field(1, description="The same seed makes the same fleet and the same life.")
    acceleration: float = Field(60.0, gt=0, description="How much shorter than real ones migrations are.")
    offsets: Literal["records", "pages"] = Field("records", description="What an offset of the list counts.")
    fault: Words = Field((), description="A fault from the start, as NAME[=VALUE]; repeat it for several.")

    @field_validator("fault")
    @classmethod
    def _whole(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        """Join what commas parted: a fault may be qualified, as in hang,times=1."""
        faults: list[str] = []
        for word in words:
            if faults and word.startswith(_QUALIFIERS):
                faults[-1] += f",{word}"
            else:
                faults.append(word)
        for fault in faults:
            parse_fault(fault)
        return tuple(faults)


class DemoSettings(Settings):
    """An exporter of a simulated fleet, quick enough to watch."""

    MOST_USED = ("web.listen_address", "poll.interval", "account.name", "collector.disks", "log.level")

    web: WebSettings = WebSettings(listen_address=(f"{LOOPBACK}:10058",))
    log: LogSettings = LogSettings(level="warn")
    account: AccountNameSettings = AccountNameSettings(name="demo")
    poll: PollSettings = PollSettings.model_validate({"interval": "15s"})
    servers: int = Field(250, ge=0, le=100_000, description="How many source servers are simulated.")
    seed: int = Field(1, description="The same seed makes the same fleet and the same life.")


def simulator_of(settings: SimulatorSettings) -> Simulator:
    """Make the simulator that the options describe; it serves while entered."""
    address = parse_listen_address(settings.listen)
    try:
        return Simulator(
            servers=settings.servers,
            seed=settings.seed,
            acceleration=settings.acceleration,
            offsets=settings.offsets,
            faults=settings.fault,
            host=address.host or "",
            port=address.port,
        )
    except BadFault as error:
        raise ConfigurationError([f"--fault: {error}"]) from None


def credentials_of(simulator: Simulator) -> Sequence[str]:
    """Tell, a line a way, what the simulator lets in. None of it is a secret: all of it is made up."""
    user = simulator.user
    return (
        f"endpoint    {simulator.url}",
        f"token       {simulator.token}",
        f"user        {user.name}, password {user.password}, domain {user.domain}",
        f"access key  {simulator.access_key.ak}, secret key {simulator.access_key.sk}",
    )


@contextlib.asynccontextmanager
async def demonstrating(
    settings: DemoSettings,
    runtime: Runtime,
    read_again: Callable[[], DemoSettings],
) -> AsyncIterator[Service]:
    """Run an exporter on a simulator, both on this machine alone, while the context lasts.

    `read_again` reads the options for a reload.
    """
    async with Simulator(servers=settings.servers, seed=settings.seed, clock=runtime.clock) as simulator:

        def simulated(options: DemoSettings) -> DemoSettings:
            api = options.api.model_copy(update={"endpoint": simulator.url, "region": None})
            auth = AuthSettings(token=SecretStr(simulator.token))
            return options.model_copy(update={"api": api, "auth": auth, "accounts": ()})

        # The simulator is not asked through a proxy, and no credentials of this machine travel to it.
        alone = replace(runtime, environ={})
        async with running(simulated(settings), alone, lambda: simulated(read_again())) as service:
            yield service
