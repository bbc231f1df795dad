"""The output of `status` in a terminal: tables and bars that fit its width."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.output import PROG
from exporter.commands.status import NO_VALUE, StatusView
from exporter.views.accounts import AccountView
from exporter.views.fleet import Bar, FleetView
from exporter.views.formatting import escape_unprintable, format_duration, format_latency, format_size, format_speed
from exporter.views.problems import Problem
from exporter.views.servers import AttentionView, ServerView

MAX_ROWS: Final = 15
"""Rows per table; the others are only counted. A pipe gets all servers."""
MAX_COLUMNS: Final = 160
"""The width of the tables in a wider terminal, where the eye would lose the row."""
MEDIUM_COLUMNS: Final = 76
WIDE_COLUMNS: Final = 110
"""Terminals of at least these widths show more table columns."""

_COLOURS: Final = {"up": "green", "failing": "red", "waiting": "dim"}

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)


@dataclass(frozen=True)
class _Column(Generic[Row_contra]):
    """A table column.

    `ratio` is its share of the remaining width, `max_width` its maximum width, `min_columns` the terminal width
    from which it is shown.
    """

    title: str
    cell: Callable[[Row_contra], RenderableType]
    number: bool = False
    ratio: int | None = None
    max_width: int | None = None
    min_columns: int = 0


@contextlib.contextmanager
def show_progress() -> Iterator[None]:
    """Show a spinner during the context if standard error is a terminal."""
    console = Console(stderr=True)
    with console.status("Polling …") if console.is_terminal else contextlib.nullcontext():
        yield


def show_status(status: StatusView) -> None:
    """Write the status to the terminal."""
    console = Console()
    width = min(console.width, MAX_COLUMNS)
    for part in _parts(status, width):
        console.print(part, width=width)


def _parts(status: StatusView, width: int) -> Iterator[RenderableType]:
    several = len(status.accounts) > 1
    yield _table(status.accounts, _ACCOUNT, width)
    for account in status.accounts:
        if account.status == "failing":
            yield from _failure(account, several=several)
    if not status.fleet.servers:
        if any(account.status == "up" for account in status.accounts):
            yield Text("\nThere are no source servers.")
        return
    yield Text(f"\n{_summary(status.fleet)}")
    yield _title("Needs attention", len(status.attention.servers), _problem_counts(status.attention))
    yield from _first_rows(status.attention.servers, (*_server(several=several), *_problem(status.now)), width)
    yield _title("Running migrations", len(status.migrations), "first to finish first")
    yield from _first_rows(status.migrations, (*_server(several=several), *_MIGRATION), width)
    yield Text("\nServers by state", style="bold")
    bars = [bar for bar in status.fleet.states if bar.count]
    yield _table(bars, _state(max(bar.count for bar in bars)), width)


def _failure(account: AccountView, *, several: bool) -> Iterator[Text]:
    name = f"{escape_unprintable(account.name)}: " if several else ""
    yield Text(f"\n{name}{escape_unprintable(account.message)}", style="red")
    yield Text.assemble(("Hint: ", "bold"), account.hint)


def _summary(fleet: FleetView) -> str:
    return (
        f"{fleet.servers} servers, {fleet.connected} connected · "
        f"{fleet.share:.1f} % of {format_size(fleet.size)} replicated · {format_speed(fleet.speed)}"
    )


def _problem_counts(attention: AttentionView) -> str:
    return ", ".join(f"{count} {problem}" for problem, count in attention.counts if count)


def _title(name: str, count: int, note: str) -> Text:
    return Text.assemble("\n", (name, "bold"), f"  {count}", (f"  {note}" if count and note else "", "dim"))


def _first_rows(rows: Sequence[Row], columns: Iterable[_Column[Row]], width: int) -> Iterator[RenderableType]:
    if rows:
        yield _table(rows[:MAX_ROWS], columns, width)
    if len(rows) > MAX_ROWS:
        yield Text(f"{len(rows) - MAX_ROWS} more; `{PROG} status | less` shows all servers", style="dim")


def _table(rows: Iterable[Row], columns: Iterable[_Column[Row]], width: int) -> Table:
    shown = [column for column in columns if column.min_columns <= width]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="dim")
    for column in shown:
        table.add_column(
            Text(column.title),
            justify="right" if column.number else "left",
            ratio=column.ratio,
            max_width=column.max_width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(column.cell(row) for column in shown))
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(escape_unprintable(text) or NO_VALUE, style=style)


def _optional(value: float | None, write: Callable[[float], str]) -> str:
    return NO_VALUE if value is None else write(value)


def _percent(share: float) -> str:
    return f"{share:.1f} %"


def _bar(part: float, whole: float) -> ProgressBar:
    # The named colours follow the terminal's theme, light or dark.
    return ProgressBar(total=whole, completed=part, style="bright_black", complete_style="blue", finished_style="blue")


_ACCOUNT: Final[Sequence[_Column[AccountView]]] = (
    _Column("Account", lambda row: _text(row.name), ratio=1),
    _Column(
        "Status",
        lambda row: Text(f"failing: {row.reason}" if row.reason else row.status, _COLOURS[row.status]),
    ),
    _Column("Servers", lambda row: _optional(row.servers, str), number=True),
    _Column("Pages", lambda row: str(row.pages), number=True),
    _Column("Duration", lambda row: _optional(row.duration, format_latency), number=True),
)


def _server(*, several: bool) -> Sequence[_Column[ServerView]]:
    """Return the columns that identify a server of one account or of several."""
    account: Sequence[_Column[ServerView]] = [_Column("Account", lambda row: _text(row.account), max_width=16)]
    return (
        *(account if several else ()),
        _Column("Server", lambda row: _text(row.name), ratio=4),
        _Column("Address", lambda row: _text(row.ip), min_columns=WIDE_COLUMNS),
        _Column("State", lambda row: _text(row.state)),
    )


def _problem(now: float) -> Sequence[_Column[ServerView]]:
    def since(row: ServerView) -> str:
        return _optional(row.since, lambda began: format_duration(now - began))

    return (
        _Column("Problem", _describe, ratio=5),
        _Column("Replicated", _replicated_share, number=True, min_columns=MEDIUM_COLUMNS),
        _Column("Of", lambda row: _optional(row.size, format_size), number=True, min_columns=WIDE_COLUMNS),
        _Column("Since", since, number=True),
    )


def _describe(row: ServerView) -> Text:
    """Name the problems, except those that a detail describes better."""
    described = {Problem.CHECKS, Problem.FAILED} if row.details else set()
    parts = [*(problem for problem in row.problems if problem not in described), *row.details]
    return _text("; ".join(parts), "yellow" if row.problems == (Problem.CHECKS,) else "red")


def _replicated_share(row: ServerView) -> str:
    return _optional(row.share, _percent)


_MIGRATION: Final[Sequence[_Column[ServerView]]] = (
    _Column("Progress", lambda row: _bar(row.share or 0.0, 100), ratio=5),
    _Column("Replicated", _replicated_share, number=True),
    _Column("Of", lambda row: _optional(row.size, format_size), number=True, min_columns=WIDE_COLUMNS),
    _Column("Speed", lambda row: _optional(row.speed, format_speed), number=True, min_columns=MEDIUM_COLUMNS),
    _Column("Left", lambda row: _optional(row.remaining, format_duration), number=True),
)


def _state(largest: int) -> Sequence[_Column[Bar]]:
    return (
        _Column("State", lambda bar: bar.name),
        _Column("Servers", lambda bar: str(bar.count), number=True),
        _Column("Share", lambda bar: _percent(bar.share), number=True),
        _Column("", lambda bar: _bar(bar.count, largest), ratio=1),
    )
