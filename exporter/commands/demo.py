"""The commands that need no account: `simulate` and `demo`."""

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
from exporter.settings.tree import DETAIL_COLLECTORS, AccountNameSettings, CollectorSettings
from exporter.simulator import BadFault, Permissions, Simulator, parse_fault

LOOPBACK: Final = "127.0.0.1"
_TARGET_PORT: Final = (
    "Port on which most target servers of launched migrations accept connections, at loopback addresses from "
    "127.64.0.1 (default: none does)."
)
_QUALIFIERS: Final = ("times=", "after=", "api=", "path=")


class SimulatorSettings(BaseSettings):
    """Options of the simulator."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="SMS_SIMULATOR_",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    listen: Address = Field(f"{LOOPBACK}:10059", description="Address to listen on: HOST:PORT.")
    servers: int = Field(250, ge=0, le=100_000, description="Number of source servers.")
    seed: int = Field(1, description="Seed of the random numbers; the same seed simulates the same migrations.")
    acceleration: float = Field(
        60.0, gt=0, description="How many times faster than real migrations the simulated ones are."
    )
    offsets: Literal["records", "pages"] = Field("records", description="What an offset of the list counts.")
    consistency: Literal["objects", "texts", "single"] | None = Field(
        None, description="Shape of all consistency results (default: each task has one of the three)."
    )
    deny: Words = Field((), description="IAM action that no user may perform; can be repeated.")
    target_port: int | None = Field(None, ge=1, le=65_535, description=_TARGET_PORT)
    fault: Words = Field((), description="Fault to simulate from the start: NAME[=VALUE]; can be repeated.")

    @field_validator("deny")
    @classmethod
    def _check_actions(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        Permissions(actions)
        return actions

    @field_validator("fault")
    @classmethod
    def _join_qualifiers(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        """Join a fault and its qualifiers again, as in hang,times=1: lists are split at commas."""
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

    web: WebSettings = WebSettings(listen_address=(f"{LOOPBACK}:10058",))
    log: LogSettings = LogSettings(level="warn")
    account: AccountNameSettings = AccountNameSettings(name="demo")
    poll: PollSettings = PollSettings.model_validate({"interval": "15s"})
    collector: CollectorSettings = CollectorSettings.model_validate(
        {"disks": True, **dict.fromkeys(DETAIL_COLLECTORS, True), "details_polls": 2}
    )
    servers: int = Field(250, ge=0, le=100_000, description="Number of simulated source servers.")
    seed: int = Field(1, description="Seed of the random numbers; the same seed simulates the same migrations.")
    target_port: int | None = Field(None, ge=1, le=65_535, description=_TARGET_PORT)


def simulator_of(settings: SimulatorSettings) -> Simulator:
    """Build the simulator that the options describe; it serves while its context lasts."""
    address = parse_listen_address(settings.listen)
    try:
        return Simulator(
            servers=settings.servers,
            seed=settings.seed,
            acceleration=settings.acceleration,
            offsets=settings.offsets,
            consistency=settings.consistency,
            denied=settings.deny,
            target_port=settings.target_port,
            faults=settings.fault,
            host=address.host or "",
            port=address.port,
        )
    except BadFault as error:
        raise ConfigurationError([f"--fault: {error}"]) from None


def credentials_of(simulator: Simulator) -> Sequence[str]:
    """Return the endpoint and the credentials of the simulator, one per line. They are made up, not secret."""
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
