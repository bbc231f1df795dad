"""The command line of `sms-exporter`: which command runs, and with what exit code it ends.

Exit codes: 0 success, 1 a failure at run time, 2 an invalid configuration.
"""

import asyncio
import contextlib
import difflib
import gc
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import structlog

from exporter import __version__, revision
from exporter.clock import SystemClock
from exporter.commands import check, once, status
from exporter.commands.output import (
    PROG,
    OutputError,
    configure_encoding,
    exit_by_signal,
    is_terminal,
    print_errors,
    print_report,
    print_text,
)
from exporter.commands.reading import OnceSettings, Reading, read_once
from exporter.commands.terminal import show_progress, show_status, watch_status
from exporter.errors import ConfigurationError, HelpRequested
from exporter.logs import configure_logs
from exporter.polling.connections import Runtime
from exporter.service import running
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual, help_text
from exporter.settings.quantities import mask_credentials
from exporter.web import ListenError
from exporter.web.toolkit import read_policy, summary

DESCRIPTION: Final = "Exports the source servers of Huawei Cloud Server Migration Service (SMS) to Prometheus."
EXIT_FAILURE: Final = 1
EXIT_INVALID_CONFIGURATION: Final = 2

SERVING_EXIT_CODES: Final = MappingProxyType(
    {
        0: "Clean shutdown (SIGTERM or SIGINT).",
        EXIT_FAILURE: "An address cannot be listened on.",
        EXIT_INVALID_CONFIGURATION: "The configuration is invalid, or an account has no credentials.",
    },
)
OPTION_SOURCES: Final = (
    "Every option is also an environment variable and a key of the configuration file: --poll.interval is "
    "SMS_EXPORTER_POLL_INTERVAL and poll: {interval: ...}. Flags take precedence over variables, variables over the "
    "file; an account entry in the file takes precedence over all of them for that account."
)
SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""Time after which a rendering thread yields to the event loop; Python's default of 5 ms delays scrapes."""

ALL_OPTIONS_HINT: Final = f"All options: {PROG} --help"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name and return its exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    configure_encoding()
    try:
        with exit_by_signal():
            try:
                return _main(argv)
            except HelpRequested as request:
                print_text(request.text.rstrip("\n"))
                return 0
    except ConfigurationError as error:
        print_errors(error.lines)
        return EXIT_INVALID_CONFIGURATION
    except (ListenError, OutputError) as error:
        print_errors([str(error)])
        return EXIT_FAILURE


def _main(argv: list[str]) -> int:
    match argv:
        case _ if "--version" in argv:
            return _version()
        case ["help", name, *_]:
            return _get_command(name)(["--help"])
        case ["help"] | ["-h"] | ["--help"]:
            return _help(brief=argv != ["--help"])
        case [name, *rest] if not name.startswith("-"):
            return _get_command(name)(rest)
    return _run(argv)


def _get_command(name: str) -> Callable[[Sequence[str]], int]:
    """Return the command of that name. Raise ConfigurationError if there is none."""
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        question = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(
            [f"{mask_credentials(name)}: no such command{question}; the commands are {', '.join(COMMANDS)}"]
        )
    return COMMANDS[name][1]


def _version() -> int:
    print_text(
        f"{PROG}, version {__version__} (revision: {revision()})\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {sys.platform}/{platform.machine()}",
    )
    return 0


def _help(*, brief: bool) -> int:
    hint = f"Help for a command: {PROG} COMMAND --help. {ALL_OPTIONS_HINT}." if brief else OPTION_SOURCES
    commands = {name: summary for name, (summary, _) in COMMANDS.items()}
    manual = Manual(PROG, DESCRIPTION, SERVING_EXIT_CODES, hint, brief=brief, commands=commands)
    print_text(help_text(manual, Settings, shutil.get_terminal_size().columns).rstrip())
    return 0


def _run(argv: Sequence[str]) -> int:
    def read() -> Settings:
        settings = load_settings(Settings, argv, Manual(f"{PROG} run", DESCRIPTION, SERVING_EXIT_CODES, OPTION_SOURCES))
        settings.targets()
        return settings

    settings = read()
    configure_logs(settings.log.level, settings.log.format)
    if settings.config.check:
        return _report(settings, live=False)

    async def serve() -> None:
        reload = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
        async with running(settings, _runtime(), read) as service, service.reloading_when(reload):
            log.info("listening", version=__version__, urls=" ".join(service.urls))
            try:
                await _until_stopped()
            finally:
                log.info("stopping")

    run_server(serve)
    return 0


def _check(argv: Sequence[str]) -> int:
    manual = Manual(f"{PROG} check", check.DESCRIPTION, check.EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = load_settings(check.CheckSettings, argv, manual)
    configure_logs(settings.log.level, settings.log.format)
    return _report(settings, live=settings.live)


def _report(settings: Settings, *, live: bool) -> int:
    file = settings.web.config_file
    policy = read_policy(file, SystemClock()) if file else None
    findings = asyncio.run(check.check(settings, _runtime(), live=live))
    print_report((line for finding in findings for line in finding.lines()), check.COLUMN)
    if policy is not None:
        print_text(f"web: {summary(policy.config)}")
    return max(finding.exit_code for finding in findings)


def _once(argv: Sequence[str]) -> int:
    settings = _load_once(
        OnceSettings, argv, Manual(f"{PROG} once", once.DESCRIPTION, once.EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    )
    reading = asyncio.run(read_once(settings, _runtime()))
    print_text(asyncio.run(once.exposition_text(reading, SystemClock().time())).rstrip("\n"))
    return _report_failures(reading)


def _status(argv: Sequence[str]) -> int:
    manual = Manual(f"{PROG} status", status.DESCRIPTION, status.EXIT_CODES, ALL_OPTIONS_HINT, brief=True)
    settings = _load_once(status.StatusSettings, argv, manual)
    output = settings.output or ("table" if is_terminal() else "tsv")
    if settings.watch and not (output == "table" and is_terminal()):
        raise ConfigurationError(["--watch: needs a terminal and --output=table"])
    if settings.watch:
        return asyncio.run(watch_status(settings, _runtime()))
    with show_progress():
        reading = asyncio.run(read_once(settings, _runtime()))
    if output == "table":
        show_status(status.build_status_view(reading, settings, SystemClock().time()))
        if is_terminal():
            # The table shows the failures.
            return EXIT_FAILURE if reading.failures() else 0
    else:
        print_text(status.format_servers(reading, settings, output).removesuffix("\n"))
    return _report_failures(reading)


S = TypeVar("S", bound=OnceSettings)


def _load_once(tree: type[S], argv: Sequence[str], manual: Manual) -> S:
    settings = load_settings(tree, argv, manual)
    configure_logs(settings.log.level, settings.log.format)
    return settings


def _report_failures(reading: Reading) -> int:
    """Write the failed polls to standard error and return the exit code."""
    failures = reading.failures()
    print_errors(failures)
    return EXIT_FAILURE if failures else 0


def _demo(argv: Sequence[str]) -> int:
    # Imported here: an exporter that polls real accounts does not need the simulator in memory.
    from exporter.commands.demo import DemoSettings, demonstrating  # noqa: PLC0415
    from exporter.simulator import TargetsUnavailable  # noqa: PLC0415

    description = "Runs the exporter on a simulated fleet; nothing leaves this machine."
    manual = Manual(f"{PROG} demo", description, SERVING_EXIT_CODES, ALL_OPTIONS_HINT, brief=True)

    def read() -> DemoSettings:
        return load_settings(DemoSettings, argv, manual)

    settings = read()
    configure_logs(settings.log.level, settings.log.format)

    async def serve() -> None:
        try:
            async with demonstrating(settings, _runtime(), read) as service:
                await asyncio.gather(*(poller.polled.wait() for poller in service.pollers))
                print_text(f"Open {service.urls[0]} (press Ctrl-C to stop)")
                await _until_stopped()
        except TargetsUnavailable as error:
            raise ListenError(f"--target-port: {error}") from error

    run_server(serve)
    return 0


def _simulate(argv: Sequence[str]) -> int:
    from exporter.commands.demo import SimulatorSettings, credentials_of, simulator_of  # noqa: PLC0415 - as above
    from exporter.simulator import TargetsUnavailable  # noqa: PLC0415 - as above

    description = "Serves a simulated fleet through the SMS and IAM APIs, for experiments with an exporter."
    settings = load_settings(SimulatorSettings, argv, Manual(f"{PROG} simulate", description, SERVING_EXIT_CODES))

    async def serve() -> None:
        try:
            async with simulator_of(settings) as simulator:
                print_text("\n".join(credentials_of(simulator)))
                await _until_stopped()
        except TargetsUnavailable as error:
            raise ListenError(f"--target-port: {error}") from error
        except OSError as error:
            raise ListenError(f"--listen: cannot listen on {settings.listen}: {error.strerror}") from error

    run_server(serve)
    return 0


def run_server(serve: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run an event loop until `serve` ends. SIGTERM and SIGINT cancel it, also while it is starting."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    # Objects created until now live as long as the process: the garbage collector need not visit them again.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        server = asyncio.create_task(serve())

        def stop() -> None:
            if not server.cancelling():  # A second signal must not cut the running scrapes.
                server.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with contextlib.suppress(asyncio.CancelledError):
            await server

    asyncio.run(run())


async def _until_stopped() -> None:
    """Wait until the task is cancelled."""
    await asyncio.Event().wait()


def _runtime() -> Runtime:
    try:
        home = Path.home()
    except RuntimeError:  # A service often has neither HOME nor a user with a home directory.
        home = None
    return Runtime(SystemClock(), os.environ, home)


COMMANDS: Final = MappingProxyType(
    {
        "run": ("serve the metrics (the default command)", _run),
        "check": ("check the configuration, and with --live also the API", _check),
        "once": ("poll each account once, print the metrics and exit", _once),
        "status": ("poll each account once, show the migrations and exit", _status),
        "demo": ("serve the metrics of a simulated fleet", _demo),
        "simulate": ("serve a simulated API", _simulate),
    },
)
"""Each command's summary and function."""
