"""The status laid out in a terminal: tables and bars as wide as it is."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.output import PROG
from exporter.commands.status import NOTHING, StatusView
from exporter.views.accounts import AccountView
from exporter.views.attention import CHECKS, FAILED, AttentionView, Trouble
from exporter.views.fleet import Bar, FleetView
from exporter.views.migrations import Migration
from exporter.views.words import printable, short_span, size, span, speed

MOST_ROWS: Final = 15
"""Rows of a table; the rest is counted, and a pipe has all."""
WIDEST: Final = 160
"""Columns of a terminal beyond which a row falls apart."""
MIDDLE: Final = 76
WIDE: Final = 110
"""Columns of a terminal from which tables have more columns, and from which they have all."""

_COLOURS: Final = {"up": "green", "failing": "red", "waiting": "dim"}

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)


class _Named(Protocol):
    """A row that is a server."""

    @property
    def account(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True)
class _Column(Generic[Row_contra]):
    """A column of a table of rows.

    `ratio` is its share of the room that is left, `most` the columns that it takes at most, `room` the width
    of the terminal from which it is there.
    """

    title: str
    cell: Callable[[Row_contra], RenderableType]
    number: bool = False
    ratio: int | None = None
    most: int | None = None
    room: int = 0


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Show that something is going on, where somebody looks."""
    console = Console(stderr=True)
    with console.status("Reading the lists …") if console.is_terminal else contextlib.nullcontext():
        yield


def show(status: StatusView) -> None:
    """Write the status to the terminal."""
    console = Console()
    width = min(console.width, WIDEST)
    for part in _parts(status, width):
        console.print(part, width=width)


def _parts(status: StatusView, width: int) -> Iterator[RenderableType]:
    several = len(status.accounts) > 1
    yield _table(status.accounts, _ACCOUNT, width)
    for account in status.accounts:
        if account.condition == "failing":
            yield from _failure(account, several=several)
    if not status.fleet.servers:
        if any(account.condition == "up" for account in status.accounts):
            yield Text("\nThere are no source servers.")
        return
    yield Text(f"\n{_summary(status.fleet)}")
    yield _title("Needs a person", len(status.attention.troubles), _kinds(status.attention))
    yield from _cut(status.attention.troubles, (*_server(several=several), *_trouble(status.now)), width)
    yield _title("Running migrations", len(status.migrations), "the next to end first")
    yield from _cut(status.migrations, (*_server(several=several), *_MIGRATION), width)
    yield Text("\nServers by state", style="bold")
    bars = [bar for bar in status.fleet.states if bar.count]
    yield _table(bars, _state(max(bar.count for bar in bars)), width)


def _failure(account: AccountView, *, several: bool) -> Iterator[Text]:
    name = f"{printable(account.name)}: " if several else ""
    yield Text(f"\n{name}{printable(account.message)}", style="red")
    yield Text.assemble(("What to do: ", "bold"), account.hint)


def _summary(fleet: FleetView) -> str:
    return (
        f"{fleet.servers} servers, {fleet.connected} connected · "
        f"{fleet.share:.1f} % of {size(fleet.size)} replicated · {speed(fleet.speed)}"
    )


def _kinds(attention: AttentionView) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in attention.counts if count)


def _title(words: str, count: int, more: str) -> Text:
    return Text.assemble("\n", (words, "bold"), f"  {count}", (f"  {more}" if count and more else "", "dim"))


def _cut(rows: Sequence[Row], columns: Iterable[_Column[Row]], width: int) -> Iterator[RenderableType]:
    if rows:
        yield _table(rows[:MOST_ROWS], columns, width)
    if len(rows) > MOST_ROWS:
        yield Text(f"and {len(rows) - MOST_ROWS} more; {PROG} status | less has all", style="dim")


def _table(rows: Iterable[Row], columns: Iterable[_Column[Row]], width: int) -> Table:
    shown = [column for column in columns if column.room <= width]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="dim")
    for column in shown:
        table.add_column(
            Text(column.title),
            justify="right" if column.number else "left",
            ratio=column.ratio,
            max_width=column.most,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(column.cell(row) for column in shown))
    return table


def _words(text: str, style: str = "") -> Text:
    return Text(printable(text) or NOTHING, style=style)


def _bar(part: float, whole: float) -> ProgressBar:
    # Colours that each terminal has its own shade of, for a light ground and a dark one.
    return ProgressBar(total=whole, completed=part, style="bright_black", complete_style="blue", finished_style="blue")


_ACCOUNT: Final[Sequence[_Column[AccountView]]] = (
    _Column("Account", lambda row: _words(row.name), ratio=1),
    _Column(
        "Condition",
        lambda row: Text(f"failing: {row.reason}" if row.reason else row.condition, _COLOURS[row.condition]),
    ),
    _Column("Servers", lambda row: NOTHING if row.servers is None else str(row.servers), number=True),
    _Column("Pages", lambda row: str(row.pages), number=True),
    _Column("Took", lambda row: NOTHING if row.duration is None else short_span(row.duration), number=True),
)


def _server(*, several: bool) -> Sequence[_Column[_Named]]:
    """Give the columns that name a server, of one account or of several."""
    account: Sequence[_Column[_Named]] = [_Column("Account", lambda row: _words(row.account), most=16)]
    return (
        *(account if several else ()),
        _Column("Server", lambda row: _words(row.name), ratio=4),
        _Column("Address", lambda row: _words(row.ip), room=WIDE),
        _Column("State", lambda row: _words(row.state)),
    )


def _trouble(now: float) -> Sequence[_Column[Trouble]]:
    return (
        _Column("Trouble", _what, ratio=5),
        _Column(
            "Replicated", lambda row: NOTHING if row.share is None else f"{row.share:.1f} %", number=True, room=MIDDLE
        ),
        _Column("Of", lambda row: size(row.size), number=True, room=WIDE),
        _Column("Since", lambda row: NOTHING if row.since is None else span(now - row.since), number=True),
    )


def _what(row: Trouble) -> Text:
    """Name the kinds of trouble, unless a detail says more of it."""
    told = {CHECKS, FAILED} if row.details else set()
    words = [*(kind for kind in row.kinds if kind not in told), *row.details]
    return _words("; ".join(words), "yellow" if row.kinds == (CHECKS,) else "red")


_MIGRATION: Final[Sequence[_Column[Migration]]] = (
    _Column("Progress", lambda row: _bar(row.share, 100), ratio=5),
    _Column("Replicated", lambda row: f"{row.share:.1f} %", number=True),
    _Column("Of", lambda row: size(row.size), number=True, room=WIDE),
    _Column("Speed", lambda row: NOTHING if row.speed is None else speed(row.speed), number=True, room=MIDDLE),
    _Column("Left", lambda row: NOTHING if row.left is None else span(row.left), number=True),
)


def _state(largest: int) -> Sequence[_Column[Bar]]:
    return (
        _Column("State", lambda bar: bar.name),
        _Column("Servers", lambda bar: str(bar.count), number=True),
        _Column("Share", lambda bar: f"{bar.share:.1f} %", number=True),
        _Column("", lambda bar: _bar(bar.count, largest), ratio=1),
    )
