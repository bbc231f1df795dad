"""The command line of `sms-exporter`: which command runs, and with what exit code it ends.

Exit codes: 0 success, 1 a failure at run time, 2 an invalid configuration.

The module of a command is imported when the command runs. So `--version` needs none of the libraries, the help only
those of the options, and the exporter neither the simulator nor the tables of a terminal.
"""

import difflib
import gc
import importlib
import platform
import sys
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

from exporter import __version__, revision
from exporter.commands.output import PROG, OutputError, configure_encoding, exit_by_signal, print_errors, print_text
from exporter.commands.usage import EXIT_FAILURE, EXIT_INVALID_CONFIGURATION
from exporter.errors import ConfigurationError, HelpRequested, ListenError, mask_credentials

DEFAULT_COMMAND: Final = "run"
COMMANDS: Final = MappingProxyType(
    {
        DEFAULT_COMMAND: "serve the metrics (the default command)",
        "check": "check the configuration, and with --live also the API",
        "once": "poll each account once, print the metrics and exit",
        "status": "poll each account once, show the migrations and exit",
        "capture": "save the answers of the API without anything private, for a bug report",
        "demo": "serve the metrics of a simulated fleet",
        "simulate": "serve a simulated API",
    },
)
"""The summary of each command. Its function is `main` of the module of this name in `exporter.commands`."""


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
            return _load_command(name)(["--help"])
        case ["help"] | ["-h"] | ["--help"]:
            return _help(brief=argv != ["--help"])
        case [name, *rest] if not name.startswith("-"):
            return _load_command(name)(rest)
    return _load_command(DEFAULT_COMMAND)(argv)


def _load_command(name: str) -> Callable[[Sequence[str]], int]:
    """Return the command of that name. Raise ConfigurationError if there is none."""
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        question = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(
            [f"{mask_credentials(name)}: no such command{question}; the commands are {', '.join(COMMANDS)}"]
        )
    command: Callable[[Sequence[str]], int] = importlib.import_module(f"exporter.commands.{name}").main
    if not gc.isenabled():
        # Disabled while modules are imported. They live as long as the process: it need not visit them.
        gc.freeze()
        gc.enable()
    return command


def _version() -> int:
    print_text(
        f"{PROG}, version {__version__} (revision: {revision()})\n"
        f"  python version:   {platform.python_version()}\n"
        f"  platform:         {sys.platform}/{platform.machine()}",
    )
    return 0


def _help(*, brief: bool) -> int:
    from exporter.commands.overview import overview

    print_text(overview(COMMANDS, brief=brief).rstrip())
    return 0
