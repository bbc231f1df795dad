"""The commands of `sms-exporter`, each wired to what it does.

Exit statuses: 0 is success, 1 a failure while running, 2 a configuration that cannot be used.
"""

import asyncio
import difflib
import gc
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from exporter import __version__, revision
from exporter.clock import SystemClock
from exporter.commands import check, once, status
from exporter.commands.output import (
    PROG,
    OutputError,
    complain,
    ended_by_signals,
    in_terminal,
    say,
    say_report,
    write_utf8,
)
from exporter.commands.reading import OnceSettings, Reading, read_once
from exporter.commands.terminal import show_progress, show_status
from exporter.errors import ConfigurationError
from exporter.logs import configure_logs
from exporter.polling.connections import Runtime
from exporter.service import running
from exporter.settings import Settings
from exporter.settings.loading import explained, load_settings
from exporter.settings.manual import Manual, help_text
from exporter.web import ListenError
from exporter.web.toolkit import read_policy, summary

DESCRIPTION: Final = "Exposes the source servers of Huawei Cloud's Server Migration Service to Prometheus."
FAILED: Final = 1
UNUSABLE: Final = 2

SERVING: Final = MappingProxyType(
    {
        0: "It was asked to end.",
        FAILED: "An address cannot be listened on.",
        UNUSABLE: "The configuration cannot be used, or an account has no credentials.",
    },
)
"""What a command that serves ends with."""
NOTATIONS: Final = (
    "Every option is also a variable and a key of the configuration file: --poll.interval is "
    "SMS_EXPORTER_POLL_INTERVAL and poll: {interval: ...}. Flags win over variables, variables over the file; what an "
    "entry of accounts in the file sets wins over all of them, for its own account."
)
THREADS: Final = 16
"""Started as they are needed: names that are looked up in an outage of DNS take one each for a while."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that renders lets the event loop go on, instead of Python's 5 ms."""

ELSEWHERE: Final = f"All options, and how else they are given: {PROG} --help"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    write_utf8()
    try:
        with ended_by_signals():
            return _main(argv)
    except ConfigurationError as error:
        complain(error.lines)
        return UNUSABLE
    except (ListenError, OutputError) as error:
        complain([str(error)])
        return FAILED


def _main(argv: list[str]) -> int:
    match argv:
        case _ if "--version" in argv:
            return _version()
        case ["help", name, *_]:
            return _command(name)(["--help"])
        case ["help"] | ["-h"] | ["--help"]:
            return _help(brief=argv != ["--help"])
        case [name, *rest] if not name.startswith("-"):
            return _command(name)(rest)
    return _run(argv)


def _command(name: str) -> Callable[[Sequence[str]], int]:
    """Give the command of a name. Raises ConfigurationError where there is none."""
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        question = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError([f"{name}: no such command{question}; there are {', '.join(COMMANDS)}"])
    return COMMANDS[name][1]


def _version() -> int:
    say(
        f"{PROG}, version {__version__} (revision: {revision()})\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {sys.platform}/{platform.machine()}",
    )
    return 0


def _help(*, brief: bool) -> int:
    further = f"{PROG} COMMAND --help tells of a command, {PROG} --help of all options." if brief else NOTATIONS
    told = {name: summary for name, (summary, _) in COMMANDS.items()}
    manual = Manual(PROG, DESCRIPTION, SERVING, further, brief=brief, commands=told)
    say(help_text(manual, Settings, shutil.get_terminal_size().columns).rstrip())
    return 0


def _run(argv: Sequence[str]) -> int:
    def read() -> Settings:
        settings = load_settings(Settings, argv, Manual(f"{PROG} run", DESCRIPTION, SERVING, NOTATIONS))
        with explained(Settings):
            settings.targets()
        return settings

    settings = read()
    configure_logs(settings.log.level, settings.log.format)
    if settings.config.check:
        return _report(settings, live=False)

    async def serve() -> None:
        asked_to_stop, asked_to_reload = _asked_to_stop(), _heard(signal.SIGHUP)
        async with running(settings, _runtime(), read) as service, service.reloading_when(asked_to_reload):
            log.info("listening", version=__version__, urls=" ".join(service.urls))
            await asked_to_stop.wait()
            log.info("stopping")

    run_server(serve)
    return 0


def _check(argv: Sequence[str]) -> int:
    manual = Manual(f"{PROG} check", check.DESCRIPTION, check.STATUSES, ELSEWHERE, brief=True)
    settings = load_settings(check.CheckSettings, argv, manual)
    configure_logs(settings.log.level, settings.log.format)
    return _report(settings, live=settings.live)


def _report(settings: Settings, *, live: bool) -> int:
    with explained(Settings):
        settings.targets()
    file = settings.web.config_file
    policy = read_policy(file, SystemClock()) if file else None
    findings = asyncio.run(check.check(settings, _runtime(), live=live))
    say_report((line for finding in findings for line in finding.lines()), check.COLUMN)
    if policy is not None:
        say(f"web: {summary(policy.config)}")
    return max(finding.status for finding in findings)


def _once(argv: Sequence[str]) -> int:
    settings = _once_settings(argv, Manual(f"{PROG} once", once.DESCRIPTION, once.STATUSES, ELSEWHERE, brief=True))
    reading = asyncio.run(read_once(settings, _runtime()))
    say(asyncio.run(once.exposition_text(reading, SystemClock().time())).rstrip("\n"))
    return _told(reading)


def _status(argv: Sequence[str]) -> int:
    manual = Manual(f"{PROG} status", status.DESCRIPTION, status.STATUSES, ELSEWHERE, brief=True)
    settings = _once_settings(argv, manual)
    if not in_terminal():
        reading = asyncio.run(read_once(settings, _runtime()))
        say("\n".join(status.plain_lines(reading)))
        return _told(reading)
    with show_progress():
        reading = asyncio.run(read_once(settings, _runtime()))
    show_status(status.build_status_view(reading, SystemClock().time()))
    return FAILED if reading.failures() else 0


def _once_settings(argv: Sequence[str], manual: Manual) -> Settings:
    settings = load_settings(OnceSettings, argv, manual)
    with explained(Settings):
        settings.targets()
    configure_logs(settings.log.level, settings.log.format)
    return settings


def _told(reading: Reading) -> int:
    failures = reading.failures()
    complain(failures)
    return FAILED if failures else 0


def _demo(argv: Sequence[str]) -> int:
    # Imported here: who polls an account needs no simulator in memory.
    from exporter.commands.demo import DemoSettings, demonstrating  # noqa: PLC0415

    description = "Runs the exporter on a simulated fleet, both on this machine alone."

    def read() -> DemoSettings:
        return load_settings(DemoSettings, argv, Manual(f"{PROG} demo", description, SERVING, ELSEWHERE, brief=True))

    settings = read()
    configure_logs(settings.log.level, settings.log.format)

    async def serve() -> None:
        asked_to_stop = _asked_to_stop()
        async with demonstrating(settings, _runtime(), read) as service:
            await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
            say(f"Open {service.urls[0]} (Ctrl-C ends the demo)")
            await asked_to_stop.wait()

    run_server(serve)
    return 0


def _simulate(argv: Sequence[str]) -> int:
    from exporter.commands.demo import SimulatorSettings, credentials_of, simulator_of  # noqa: PLC0415 - as above

    description = "Serves a simulated fleet as the SMS and IAM APIs would, for trying things out."
    settings = load_settings(SimulatorSettings, argv, Manual(f"{PROG} simulate", description, SERVING))

    async def serve() -> None:
        asked_to_stop = _asked_to_stop()
        try:
            async with simulator_of(settings) as simulator:
                say("\n".join(credentials_of(simulator)))
                await asked_to_stop.wait()
        except OSError as error:
            raise ListenError(f"--listen: cannot listen on {settings.listen}: {error.strerror}") from error

    asyncio.run(serve())
    return 0


def run_server(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run an event loop until `main` ends."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What was made until here lives as long as the process: no collection need look through it again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "worker"))
        await main()

    asyncio.run(run())


def _runtime() -> Runtime:
    return Runtime(SystemClock(), os.environ, Path.home())


def _asked_to_stop() -> asyncio.Event:
    """Give what is set when the process is asked to end, heard from now on: before anybody is told it is up."""
    return _heard(signal.SIGTERM, signal.SIGINT)


def _heard(*signals: signal.Signals) -> asyncio.Event:
    """Give what is set when the process receives one of these signals."""
    heard = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, heard.set)
    return heard


COMMANDS: Final = MappingProxyType(
    {
        "run": ("serve the metrics; done where no command is given", _run),
        "check": ("check the configuration; with --live, ask the API too", _check),
        "once": ("poll each account once, print the metrics and end", _once),
        "status": ("poll each account once, show how it stands and end", _status),
        "demo": ("serve the metrics of a simulated fleet, to look around", _demo),
        "simulate": ("serve a simulated API, for an exporter of your own", _simulate),
    },
)
"""What each does in a line, and the function that does it."""
