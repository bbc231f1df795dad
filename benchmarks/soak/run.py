"""What the commands of this package share."""

import os
import platform
import signal
import subprocess
from datetime import UTC, datetime


def describe_run(seed: str) -> str:
    """Return date, commit and machine of a run, and `seed`, which says what it began with."""
    command = ("git", "rev-parse", "--short", "HEAD")
    commit = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {commit.stdout.strip() or 'unknown'}, {os.cpu_count()} "
        f"cores, Python {platform.python_version()}, {seed}."
    )


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that the programs that it started end, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def print_line(line: str) -> None:
    """Write a line of the output of a command."""
    print(line, flush=True)  # noqa: T201 - the output of the command
