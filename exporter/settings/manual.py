"""The text of `--help`: what a command does, its options by group, and its exit codes."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from exporter.settings.options import Option, Tree, options

Rows = Iterable[tuple[str, str]]
"""Pairs of a name and its meaning."""

MAX_COLUMNS: Final = 100
"""Longer lines are hard to read."""
_NAME_COLUMNS: Final = 26
"""Columns of the names; a longer name is on a line of its own."""


@dataclass(frozen=True)
class Manual:
    """What the help of a command contains besides its options.

    `hint` is the last paragraph. `brief` leaves out the options by group. `commands` are the summaries of commands.
    """

    prog: str
    description: str
    exit_codes: Mapping[int, str]
    hint: str = ""
    brief: bool = False
    commands: Mapping[str, str] = field(default_factory=dict)


def help_text(manual: Manual, tree: type[Tree], width: int) -> str:
    """Return the help of a command with the options of `tree`, in lines of at most `width` columns."""
    width = min(width, MAX_COLUMNS)
    known = tuple(options(tree))
    by_key = {option.key: option for option in known}
    command = " [COMMAND]" if manual.commands else ""
    sections = [f"Usage: {manual.prog}{command} [OPTION ...]", textwrap.fill(manual.description, width)]
    if manual.commands:
        sections.append(_section("Commands:", manual.commands.items(), width))
    if own := [option for option in known if not option.group]:
        sections.append(_section("Options:", map(_row, own), width))
    if most_used := [by_key[key] for key in tree.MOST_USED]:
        sections.append(_section("Most used options:", map(_row, most_used), width))
    if not manual.brief:
        sections += _groups(known, tree, width)
    sections.append(_section("Exit codes:", ((str(code), text) for code, text in manual.exit_codes.items()), width))
    if manual.hint:
        sections.append(textwrap.fill(manual.hint, width, break_on_hyphens=False))
    return "\n\n".join(sections) + "\n"


def _groups(known: Iterable[Option], tree: type[Tree], width: int) -> Iterator[str]:
    for name, group in groupby(known, key=lambda option: option.group):
        if name:
            summary = (type(tree.model_fields[name].default).__doc__ or "").splitlines()[0]
            yield _section(textwrap.fill(f"{name}: {summary}", width), map(_row, group), width)


def _row(option: Option) -> tuple[str, str]:
    """Return an option as it is typed, and its description with its default."""
    if option.placeholder:
        left = f"{option.flag}={option.placeholder}"
    else:
        left = f"--[no-]{option.flag[2:]}" if option.default == "true" else option.flag
    default = f" (default: {option.default})" if option.default not in {"", "false", "true"} else ""
    return left, f"{option.description}{default}"


def _section(title: str, rows: Rows, width: int) -> str:
    rows = list(rows)
    column = min(_NAME_COLUMNS, max(len(left) for left, _ in rows) + 4)
    lines = [title]
    for left, right in rows:
        start = f"  {left}  ".ljust(column)
        if len(start) > column:
            lines.append(start.rstrip())
            start = ""
        first, further = start.ljust(column), " " * column
        lines += textwrap.wrap(right, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)
    return "\n".join(lines)
