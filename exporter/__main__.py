"""Entry point of `sms-exporter` and of `python -m exporter`.

Importing the other modules takes about half a second. Signals that arrive meanwhile are handled already: this module
imports only the standard library until its handlers are set.
"""

import gc
import os
import signal
import sys
from types import FrameType

ONE_SHOT_COMMANDS = frozenset({"check", "once", "status", "capture", "help"})
"""Commands that end by themselves. All others serve until a signal stops them."""


def main() -> int:
    """Run the command of the command line and return its exit code."""
    is_serving = not ONE_SHOT_COMMANDS.intersection(sys.argv[1:2])
    handle_early_signals(_end_serving if is_serving else _end_one_shot)
    if is_serving:
        # SIGHUP requests a reload, and no configuration has been read yet.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # While modules are imported, few cycles are created, and looking for them takes a sixth of the CPU time.
    gc.disable()
    from exporter.cli import main as run  # After the handlers are set.

    if not is_serving and signal.getsignal(signal.SIGINT) is _end_one_shot:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


def handle_early_signals(end: "signal._HANDLER") -> None:
    """Handle the signals that end the process until the event loop does.

    The kernel applies no default actions to PID 1 of a container. A signal that the parent process ignores, as a shell
    does for background jobs, stays ignored.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _end_serving(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # A module that is being imported could catch SystemExit.


def _end_one_shot(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # The signal does not end PID 1.


if __name__ == "__main__":
    sys.exit(main())
