"""The commands of `sms-exporter`.

Exit statuses: 0 is success, 1 a failure while running, 2 a configuration that cannot be used.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from exporter import __version__
from exporter.accounts import Surroundings
from exporter.clock import SystemClock
from exporter.demo import DemoSettings, SimulatorSettings, credentials_of, demonstrating, simulator_of
from exporter.errors import ConfigurationError
from exporter.logs import configure_logs
from exporter.service import Service, check, running
from exporter.settings import Settings
from exporter.settings.loading import explained, load_settings
from exporter.web import ListenError

PROG: Final = "sms-exporter"
FAILED: Final = 1
UNUSABLE: Final = 2

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv == ["--version"]:
        _say(f"{PROG} {__version__}")
        return 0
    name = argv.pop(0) if argv and not argv[0].startswith("-") else "run"
    command = COMMANDS.get(name)
    try:
        if command is None:
            return _fail([f"{name}: no such command; there are {', '.join(COMMANDS)}"], UNUSABLE)
        command(argv)
    except ConfigurationError as error:
        return _fail(error.lines, UNUSABLE)
    except ListenError as error:
        return _fail([str(error)], FAILED)
    return 0


def _run(argv: Sequence[str]) -> None:
    settings = load_settings(
        Settings,
        argv,
        prog=PROG,
        description="Exposes the source servers of Huawei Cloud's Server Migration Service to Prometheus.",
        epilog=f"Commands: {', '.join(COMMANDS)}; '{PROG} COMMAND --help' tells of each. "
        "Every option is also a variable and a key of the configuration file: "
        "--poll.interval is SMS_EXPORTER_POLL_INTERVAL and poll: {interval: ...}.",
    )
    with explained(Settings):
        settings.targets()
    configure_logs(settings.log.level, settings.log.format)
    if settings.config.check:
        for line in asyncio.run(check(settings, _surroundings())):
            _say(line)
        return

    async def serve() -> None:
        asked_to_stop = _asked_to_stop()
        async with running(settings, _surroundings()) as service:
            _log_start(service)
            await asked_to_stop.wait()
            log.info("stopping")

    _start(serve)


def _demo(argv: Sequence[str]) -> None:
    settings = load_settings(
        DemoSettings,
        argv,
        prog=f"{PROG} demo",
        description="Runs the exporter on a simulated fleet, both on this machine alone.",
    )
    configure_logs(settings.log.level, settings.log.format)

    async def serve() -> None:
        asked_to_stop = _asked_to_stop()
        async with demonstrating(settings, _surroundings()) as service:
            _log_start(service)
            await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
            _say(f"Open {service.urls[0]} (Ctrl-C ends the demo)")
            await asked_to_stop.wait()

    _start(serve)


def _simulate(argv: Sequence[str]) -> None:
    settings = load_settings(
        SimulatorSettings,
        argv,
        prog=f"{PROG} simulate",
        description="Serves a simulated fleet as the SMS and IAM APIs would, for trying things out.",
    )

    async def serve() -> None:
        asked_to_stop = _asked_to_stop()
        try:
            async with simulator_of(settings) as simulator:
                for line in credentials_of(simulator):
                    _say(line)
                await asked_to_stop.wait()
        except OSError as error:
            raise ListenError(f"--listen: cannot listen on {settings.listen}: {error.strerror}") from error

    _start(serve)


COMMANDS: Final[Mapping[str, Callable[[Sequence[str]], None]]] = MappingProxyType(
    {"run": _run, "demo": _demo, "simulate": _simulate},
)


def _start(serve: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(serve())


def _surroundings() -> Surroundings:
    return Surroundings(SystemClock(), os.environ, Path.home())


def _log_start(service: Service) -> None:
    for target, credentials in zip(service.targets, service.credentials, strict=True):
        log.info("polling", account=target.name, api=target.account.api.url, auth=credentials.source)
    log.info("listening", version=__version__, urls=" ".join(service.urls))


def _asked_to_stop() -> asyncio.Event:
    """Give what is set when the process is asked to end, heard from now on: before anybody is told it is up."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    return asked


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what was asked for, on standard output


def _fail(lines: Iterable[str], status: int) -> int:
    for line in lines:
        print(f"{PROG}: error: {line}", file=sys.stderr)  # noqa: T201 - what a person reads
    return status
