"""What the commands of this package share."""

import signal


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that the programs that it started end, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def print_line(line: str) -> None:
    """Write a line of the output of a command."""
    print(line, flush=True)  # noqa: T201 - the output of the command
