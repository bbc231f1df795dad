"""Standard output and standard error, used as a shell expects it of a program."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn

from exporter.errors import escape_unprintable

PROG: Final = "sms-exporter"


class OutputError(Exception):
    """Standard output cannot be written; the message says why."""


def configure_encoding() -> None:
    """Write UTF-8 to files and pipes in every locale; a terminal shows `?` for a character that it lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_text(text: str) -> None:
    """Write whole lines to standard output. Raise OutputError, or BrokenPipeError if the reader is gone."""
    with checked_output():
        print(text, flush=True)  # noqa: T201 - the output of the command


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """Raise OutputError if standard output is closed, or cannot be written in the context.

    Raise BrokenPipeError if the reader is gone.
    """
    if sys.stdout is None:
        raise OutputError("standard output cannot be written: it is closed")
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # Otherwise Python tries to flush it again at exit, fails, and changes the exit code.
        sys.stdout = None
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def print_errors(messages: Iterable[str]) -> None:
    """Write one line per error to standard error, without control characters, which an API's text may contain.

    If that fails, the exit code still reports the errors.
    """
    if sys.stderr is None:
        return
    try:
        for message in messages:
            sys.stderr.write(f"{PROG}: error: {escape_unprintable(message)}\n")
    except OSError:
        # Otherwise Python tries to flush it again at exit, fails, and changes the exit code.
        sys.stderr = None


@contextlib.contextmanager
def exit_by_signal() -> Iterator[None]:
    """End the process by SIGINT on Ctrl-C and by SIGPIPE if the reader of the output is gone, without a message.

    A shell that runs the command in a loop then ends the loop, too.
    """
    try:
        yield
    except KeyboardInterrupt:
        end_by_signal(signal.SIGINT)
    except BrokenPipeError:
        end_by_signal(signal.SIGPIPE)


def end_by_signal(number: int) -> NoReturn:
    """End the process by a signal, or with the exit code of a shell if the signal has no effect (as PID 1)."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
