"""The text of `--help`: what a command does, and its options in groups, the most needed ones first."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from pydantic_settings import BaseSettings

from exporter.settings.options import Option, options

Rows = Iterable[tuple[str, str]]
"""What is written on the left, and what it means."""

WIDEST: Final = 100
"""Columns beyond which a line is hard to read."""
_LEFT: Final = 26
"""Columns of the left side; what is longer stands on a line of its own."""


@dataclass(frozen=True)
class Manual:
    """What a command's help tells beside its options.

    `statuses` are what it may end with, `further` says where to read on. `brief` leaves out the groups of
    options, which are told elsewhere; `commands` tells of each command in a line.
    """

    prog: str
    description: str
    statuses: Mapping[int, str]
    further: str = ""
    brief: bool = False
    commands: Mapping[str, str] = field(default_factory=dict)


def help_text(manual: Manual, tree: type[BaseSettings], width: int) -> str:
    """Write the help of a command that takes the options of `tree`, in lines of at most `width` columns."""
    width = min(width, WIDEST)
    known = tuple(options(tree))
    by_key = {option.key: option for option in known}
    command = " [COMMAND]" if manual.commands else ""
    sections = [f"Usage: {manual.prog}{command} [OPTION ...]", textwrap.fill(manual.description, width)]
    if manual.commands:
        sections.append(_section("Commands:", manual.commands.items(), width))
    if own := [option for option in known if not option.group]:
        sections.append(_section("Options:", map(_row, own), width))
    if most_used := [by_key[key] for key in getattr(tree, "MOST_USED", ())]:
        sections.append(_section("Most used options:", map(_row, most_used), width))
    if not manual.brief:
        sections += _groups(known, tree, width)
    sections.append(_section("Exit status:", ((str(status), told) for status, told in manual.statuses.items()), width))
    if manual.further:
        sections.append(textwrap.fill(manual.further, width, break_on_hyphens=False))
    return "\n\n".join(sections) + "\n"


def _groups(known: Iterable[Option], tree: type[BaseSettings], width: int) -> Iterator[str]:
    for name, group in groupby(known, key=lambda option: option.group):
        if name:
            told = (type(tree.model_fields[name].default).__doc__ or "").splitlines()[0]
            yield _section(textwrap.fill(f"{name}: {told}", width), map(_row, group), width)


def _row(option: Option) -> tuple[str, str]:
    """Write an option as a person would type it."""
    if option.takes:
        left = f"{option.flag}={option.takes}"
    else:
        left = f"--[no-]{option.flag[2:]}" if option.default == "true" else option.flag
    default = f" (default: {option.default})" if option.default not in {"", "false", "true"} else ""
    return left, f"{option.description}{default}"


def _section(title: str, rows: Rows, width: int) -> str:
    rows = list(rows)
    column = min(_LEFT, max(len(left) for left, _ in rows) + 4)
    lines = [title]
    for left, right in rows:
        start = f"  {left}  ".ljust(column)
        if len(start) > column:
            lines.append(start.rstrip())
            start = ""
        first, further = start.ljust(column), " " * column
        lines += textwrap.wrap(right, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)
    return "\n".join(lines)
