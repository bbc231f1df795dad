"""The output of `status` in a terminal: tables and bars that fit its width."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.reading import open_reading
from exporter.commands.status_view import NO_VALUE, StatusSettings, StatusView, build_status_view
from exporter.polling.connections import Runtime
from exporter.views.accounts import AccountView
from exporter.views.fleet import Bar, FleetView
from exporter.views.formatting import (
    escape_unprintable,
    format_duration,
    format_latency,
    format_number,
    format_size,
    format_speed,
)
from exporter.views.problems import Problem
from exporter.views.servers import AttentionView, ServerView

MAX_ROWS: Final = 15
"""Rows per table; the others are only counted. --all and a pipe show all servers."""
MIN_ROWS: Final = 3
"""Rows per table when the status is watched in a low terminal."""
LINES_AROUND_TABLES: Final = 34
"""Lines of a watched status besides the rows of its two tables, at most."""
MIN_WATCH_SECONDS: Final = 5.0
MAX_COLUMNS: Final = 160
"""The width of the tables in a wider terminal, where the eye would lose the row."""
MEDIUM_COLUMNS: Final = 72
WIDE_COLUMNS: Final = 110
"""Terminals of at least these widths show more table columns: names and addresses first, then states and bars."""

MAX_ACCOUNT_COLUMNS: Final = 12

_COLOURS: Final = {"up": "green", "failing": "red", "waiting": "dim"}

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)


@dataclass(frozen=True)
class _Column(Generic[Row_contra]):
    """A table column.

    `ratio` is its share of the remaining width, `max_width` its maximum width, `min_columns` the terminal width
    from which it is shown, and `below_columns` that from which it is not.
    """

    title: str
    cell: Callable[[Row_contra], RenderableType]
    number: bool = False
    ratio: int | None = None
    max_width: int | None = None
    min_columns: int = 0
    below_columns: int = MAX_COLUMNS + 1


@contextlib.contextmanager
def show_progress() -> Iterator[None]:
    """Show a spinner during the context if standard error is a terminal."""
    console = Console(stderr=True)
    with console.status("Polling …") if console.is_terminal else contextlib.nullcontext():
        yield


def show_status(status: StatusView) -> None:
    """Write the status to standard output."""
    _print(Console(), status, MAX_ROWS)


async def watch_status(settings: StatusSettings, runtime: Runtime) -> int:
    """Show the status again after each interval, until Ctrl-C. Return the exit code."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    console = Console()
    interval = max(MIN_WATCH_SECONDS, min(account.poll.interval for account in settings.targets()))
    async with open_reading(settings, runtime) as reading:
        while not stop.is_set():
            await _first_done(reading.poll(), stop.wait())
            if not stop.is_set():
                console.clear()
                max_rows = max(MIN_ROWS, min(MAX_ROWS, (console.height - LINES_AROUND_TABLES) // 2))
                _print(console, build_status_view(reading, settings, runtime.clock.time()), max_rows)
                console.print(f"Polled every {format_duration(interval)}; press Ctrl-C to stop.", style="dim")
            await _first_done(runtime.clock.sleep(interval), stop.wait())
    return 0


async def _first_done(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of these is done, and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _print(console: Console, status: StatusView, max_rows: int) -> None:
    width = min(console.width, MAX_COLUMNS)
    for part in _parts(status, width, None if status.show_all else max_rows):
        console.print(part, width=width)


def _parts(status: StatusView, width: int, max_rows: int | None) -> Iterator[RenderableType]:
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
    if status.servers is not None:
        columns = (*_server(status.accounts), *_SERVER)
        yield _title("Servers", len(status.servers), "")
        yield from _first_rows(status.servers, columns, width, max_rows, "--all shows")
        return
    yield _title("Needs attention", len(status.attention.servers), _problem_counts(status.attention))
    yield from _first_rows(
        status.attention.servers,
        (*_server(status.accounts), *_problem(status.now)),
        width,
        max_rows,
        "--problem=any --all shows",
    )
    yield _title("Running migrations", len(status.migrations), "first to finish first")
    yield from _first_rows(
        status.migrations,
        (*_server(status.accounts), *_MIGRATION),
        width,
        max_rows,
        "--state=replicate,syncing --all shows",
    )
    yield Text("\nServers by state", style="bold")
    bars = [bar for bar in status.fleet.states if bar.count]
    yield _table(bars, _state(max(bar.count for bar in bars)), width)


def _failure(account: AccountView, *, several: bool) -> Iterator[Text]:
    name = f"{escape_unprintable(account.name)}: " if several else ""
    yield Text(f"\n{name}{escape_unprintable(account.message)}", style="red")
    yield Text.assemble(("Hint: ", "bold"), account.hint)


def _summary(fleet: FleetView) -> str:
    return (
        f"{format_number(fleet.servers)} servers, {format_number(fleet.connected)} connected · "
        f"{fleet.share:.1f} % of {format_size(fleet.size)} replicated · {format_speed(fleet.speed)}"
    )


def _problem_counts(attention: AttentionView) -> str:
    return ", ".join(f"{format_number(count)} {problem}" for problem, count in attention.counts if count)


def _title(name: str, count: int, note: str) -> Text:
    return Text.assemble(
        "\n", (name, "bold"), f"  {format_number(count)}", (f"  {note}" if count and note else "", "dim")
    )


def _first_rows(
    rows: Sequence[Row], columns: Iterable[_Column[Row]], width: int, max_rows: int | None, hint: str
) -> Iterator[RenderableType]:
    if rows:
        yield _table(rows[:max_rows], columns, width)
    if max_rows is not None and len(rows) > max_rows:
        yield Text(f"{format_number(len(rows) - max_rows)} more: {hint} them", style="dim")


def _table(rows: Iterable[Row], columns: Iterable[_Column[Row]], width: int) -> Table:
    shown = [column for column in columns if column.min_columns <= width < column.below_columns]
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
    _Column("Servers", lambda row: NO_VALUE if row.servers is None else format_number(row.servers), number=True),
    _Column("Pages", lambda row: format_number(row.pages), number=True),
    _Column("Duration", lambda row: _optional(row.duration, format_latency), number=True),
)


def _server(accounts: Sequence[AccountView]) -> Sequence[_Column[ServerView]]:
    """Return the columns that identify a server of one account or of several."""
    longest = max(len(account.name) for account in accounts)
    # A long name shares the remaining width with the other columns, a short one is never cut.
    ratio = 4 if longest > MAX_ACCOUNT_COLUMNS else None
    account: Sequence[_Column[ServerView]] = [_Column("Account", lambda row: _text(row.account), ratio=ratio)]
    return (
        *(account if len(accounts) > 1 else ()),
        _Column("Server", lambda row: _text(row.name), ratio=5),
        _Column("Address", lambda row: _text(row.ip), max_width=39, min_columns=MEDIUM_COLUMNS),
        _Column("State", lambda row: _text(row.state), min_columns=WIDE_COLUMNS),
    )


def _problem(now: float) -> Sequence[_Column[ServerView]]:
    def since(row: ServerView) -> str:
        return _optional(row.since, lambda began: format_duration(now - began))

    return (
        _Column("Problem", _describe, ratio=5),
        _Column("Replicated", _replicated_share, number=True, min_columns=WIDE_COLUMNS),
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
    _Column("Progress", lambda row: _bar(row.share or 0.0, 100), ratio=3, min_columns=WIDE_COLUMNS),
    _Column("Done", _replicated_share, number=True),
    _Column("Of", lambda row: _optional(row.size, format_size), number=True, min_columns=WIDE_COLUMNS),
    _Column("Speed", lambda row: _optional(row.speed, format_speed), number=True, min_columns=MEDIUM_COLUMNS),
    _Column("Left", lambda row: _optional(row.remaining, format_duration), number=True),
)

_SERVER: Final[Sequence[_Column[ServerView]]] = (
    _Column("State", lambda row: _text(row.state), max_width=12, below_columns=WIDE_COLUMNS),
    _Column("Stage", lambda row: _text(row.stage), min_columns=WIDE_COLUMNS),
    _Column("Done", _replicated_share, number=True),
    _Column("Of", lambda row: _optional(row.size, format_size), number=True, min_columns=WIDE_COLUMNS),
    _Column("Speed", lambda row: _optional(row.speed, format_speed), number=True, min_columns=WIDE_COLUMNS),
    _Column("Left", lambda row: _optional(row.remaining, format_duration), number=True, min_columns=WIDE_COLUMNS),
    _Column("Problem", _describe, ratio=4),
)


def _state(largest: int) -> Sequence[_Column[Bar]]:
    return (
        _Column("State", lambda bar: bar.name),
        _Column("Servers", lambda bar: format_number(bar.count), number=True),
        _Column("Share", lambda bar: _percent(bar.share), number=True),
        _Column("", lambda bar: _bar(bar.count, largest), ratio=1),
    )
