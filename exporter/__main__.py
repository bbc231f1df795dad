"""Entry point of `sms-exporter` and of `python -m exporter`.

Importing the other modules takes about a second. Signals that arrive meanwhile are handled already: this module
imports only the standard library until its handlers are set.
"""

import os
import signal
import sys
from types import FrameType

ONE_SHOT_COMMANDS = frozenset({"check", "once", "status", "help"})
"""Commands that end by themselves. All others serve until a signal stops them."""


def main() -> int:
    """Run the command of the command line and return its exit code."""
    handle_early_signals(is_serving=not ONE_SHOT_COMMANDS.intersection(sys.argv[1:2]))
    from exporter.cli import main as run  # noqa: PLC0415 - after the signal handlers are set

    return run()


def handle_early_signals(*, is_serving: bool) -> None:
    """Handle signals until the event loop does.

    A command that serves ends with exit code 0 when it is stopped. It ignores SIGHUP, because the configuration that
    the signal asks to reload has not been read yet. A command that ends by itself is ended by the signal. Handlers
    instead of default actions, because the kernel does not apply the latter to PID 1 of a container.
    """
    signal.signal(signal.SIGTERM, _end_served if is_serving else _end_one_shot)
    signal.signal(signal.SIGINT, _end_served if is_serving else _end_one_shot)
    if is_serving:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end_served(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # SystemExit could be swallowed by the module that is being imported.


def _end_one_shot(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # PID 1 of a container survives the signal.


if __name__ == "__main__":
    sys.exit(main())
