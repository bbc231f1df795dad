"""Standard output and error as a shell expects them of a program."""

import contextlib
import io
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

PROG: Final = "sms-exporter"


class OutputError(Exception):
    """Standard output cannot be written; the message says why."""


def write_utf8() -> None:
    """Write UTF-8 to files and pipes, whatever the locale says; a terminal is shown `?` for what it does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def in_terminal() -> bool:
    """Tell whether a person looks at standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def say(text: str) -> None:
    """Write what was asked for, whole lines, to standard output. Raises OutputError, and BrokenPipeError."""
    if sys.stdout is None:
        raise OutputError("standard output cannot be written: it is closed")
    try:
        print(text, flush=True)  # noqa: T201 - what was asked for
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def say_report(lines: Iterable[str], column: int) -> None:
    """Write lines, one each in a pipe; in a terminal what is too long goes on in the next line, at `column`."""
    if in_terminal():
        width, indent = shutil.get_terminal_size().columns, " " * column
        lines = (textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False) for line in lines)
    say("\n".join(lines))


def complain(lines: Iterable[str]) -> None:
    """Write what went wrong to standard error, a line each, if it can be written: the exit status tells it too."""
    if sys.stderr is None:
        return
    try:
        for line in lines:
            sys.stderr.write(f"{PROG}: error: {line}\n")
    except OSError:
        # Python would try again at its end, and make that the exit status.
        sys.stderr = None


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End without a word where a person interrupts, or who reads the output has gone.

    The process ends by the signal itself, so that a shell sees why, and ends its own loop too.
    """
    try:
        yield
    except KeyboardInterrupt:
        _end_by(signal.SIGINT)
    except BrokenPipeError:
        _end_by(signal.SIGPIPE)


def _end_by(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
