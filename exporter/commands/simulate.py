"""`simulate`: the simulator of the API, for experiments with an exporter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from exporter.capture.file import BadCapture, Capture, read_capture
from exporter.commands.output import PROG, print_text
from exporter.commands.process import run_server, until_stopped
from exporter.commands.usage import SERVING_EXIT_CODES, TARGET_PORT
from exporter.errors import ConfigurationError, ListenError
from exporter.settings.faults import Contradiction
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual
from exporter.settings.options import Tree
from exporter.settings.quantities import Address, InputFile, Words, parse_listen_address
from exporter.simulator import BadFault, Permissions, Simulator, TargetsUnavailable, parse_fault

DESCRIPTION: Final = "Serves a simulated fleet through the SMS and IAM APIs, for experiments with an exporter."

_OF_A_FLEET: Final = frozenset({"servers", "seed", "acceleration", "offsets", "consistency", "deny", "target_port"})
_QUALIFIERS: Final = ("times=", "after=", "api=", "path=")


class SimulatorSettings(Tree):
    """Options of the simulator."""

    model_config = SettingsConfigDict(env_prefix="SMS_SIMULATOR_")

    listen: Address = Field("127.0.0.1:10059", description="Address to listen on: HOST:PORT.")
    servers: int = Field(250, ge=0, le=100_000, description="Number of source servers.")
    seed: int = Field(1, description="Seed of the random numbers; the same seed simulates the same migrations.")
    acceleration: float = Field(
        60.0, gt=0, le=1_000_000, description="How many times faster than real migrations the simulated ones are."
    )
    offsets: Literal["records", "pages"] = Field("records", description="What an offset of the list counts.")
    consistency: Literal["objects", "texts", "single"] | None = Field(
        None, description="Shape of all consistency results (default: each task has one of the three)."
    )
    deny: Words = Field((), description="IAM action that no user may perform; can be repeated.")
    target_port: int | None = Field(None, ge=1, le=65_535, description=TARGET_PORT)
    replay: InputFile | None = Field(
        None, description="Capture whose answers are served instead of a fleet (see the command capture)."
    )
    fault: Words = Field((), description="Fault to simulate from the start: NAME[=VALUE]; can be repeated.")

    @field_validator("deny")
    @classmethod
    def _check_actions(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        Permissions(actions)
        return actions

    @model_validator(mode="after")
    def _check_replay(self) -> Self:
        if self.replay and (useless := sorted(_OF_A_FLEET & self.model_fields_set)):
            raise Contradiction("{} has no effect, because {} is set: remove one of them", useless[0], "replay")
        return self

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


def main(argv: Sequence[str]) -> int:
    """Simulate until a signal stops it, and return the exit code."""
    settings = load_settings(SimulatorSettings, argv, Manual(f"{PROG} simulate", DESCRIPTION, SERVING_EXIT_CODES))

    async def serve() -> None:
        try:
            async with simulator_of(settings) as simulator:
                print_text("\n".join(credentials_of(simulator)))
                await until_stopped()
        except TargetsUnavailable as error:
            raise ListenError(f"--target-port: {error}") from error
        except OSError as error:
            raise ListenError(f"--listen: cannot listen on {settings.listen}: {error.strerror}") from error

    run_server(serve)
    return 0


def simulator_of(settings: SimulatorSettings) -> Simulator:
    """Build the simulator that the options describe; it serves while its context lasts."""
    address = parse_listen_address(settings.listen)
    try:
        return Simulator(
            servers=0 if settings.replay else settings.servers,
            replay=_read_capture(settings.replay) if settings.replay else None,
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


def _read_capture(path: Path) -> Capture:
    try:
        return read_capture(path)
    except OSError as error:
        raise ConfigurationError([f"--replay: {path}: cannot be read: {error.strerror}"]) from None
    except BadCapture as error:
        raise ConfigurationError([f"--replay: {path}: {error}"]) from None


def credentials_of(simulator: Simulator) -> Sequence[str]:
    """Return the endpoint and the credentials of the simulator, one per line. They are made up, not secret."""
    user = simulator.user
    return (
        f"endpoint    {simulator.url}",
        f"token       {simulator.token}",
        f"user        {user.name}, password {user.password}, domain {user.domain}",
        f"access key  {simulator.access_key.ak}, secret key {simulator.access_key.sk}",
    )
