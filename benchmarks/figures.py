"""Figures in the docs: tables between markers, and what run they are from."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime


def find_commit() -> str:
    """Return the short name of the commit that is checked out."""
    command = ("git", "rev-parse", "--short", "HEAD")
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    return found.stdout.strip() or "unknown"


def describe_run(*details: str) -> str:
    """Return date, commit and machine of a run, and `details`, such as its seed or the version of a program."""
    what = ", ".join((f"{os.cpu_count()} cores", f"Python {platform.python_version()}", *details))
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {find_commit()}, {what}."


def replace_tables(text: str, tables: Mapping[str, Sequence[str]], command: str) -> str:
    """Return a page with the rows between the markers of each table replaced; those of `command`, by their name."""
    for name, rows in tables.items():
        begin, end = f"<!-- {name}: {command} -->\n", "<!-- end -->"
        above, _, rest = text.partition(begin)
        heading = rest.partition(end)[0].splitlines()[: 2 if len(rows) > 1 else 0]
        text = "\n".join((f"{above}{begin.rstrip()}", *heading, *rows, f"{end}{rest.partition(end)[2]}"))
    return text
