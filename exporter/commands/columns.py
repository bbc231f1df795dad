"""The tables of `status` in a terminal: their columns, and which of them fit its width."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from exporter.commands.status_view import NO_VALUE
from exporter.errors import escape_unprintable
from exporter.translation import Translator
from exporter.views.accounts import AccountView
from exporter.views.fleet import Bar
from exporter.views.formatting import (
    format_duration,
    format_latency,
    format_number,
    format_percent,
    format_size,
    format_speed,
)
from exporter.views.meanings import explain_value
from exporter.views.problems import PROBLEM_NAMES, Problem
from exporter.views.servers import ServerView

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
class Column(Generic[Row_contra]):
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


def build_table(rows: Iterable[Row], columns: Iterable[Column[Row]], width: int) -> Table:
    """Return a table of the columns that a terminal of this width shows."""
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


def account_columns(translator: Translator) -> Sequence[Column[AccountView]]:
    """Return the columns of the table of accounts."""
    _ = translator.gettext
    write_latency = partial(format_latency, translator=translator)

    def status(row: AccountView) -> Text:
        words = {"up": _("up"), "waiting": _("first poll running")}
        failing = _("failing: %(reason)s") % {"reason": row.reason}
        return Text(words.get(row.status, failing), _COLOURS[row.status])

    return (
        Column(_("Account"), lambda row: _text(row.name), ratio=1),
        Column(_("Status"), status),
        Column(_("Servers"), lambda row: NO_VALUE if row.servers is None else format_number(row.servers), number=True),
        Column(_("Pages"), lambda row: format_number(row.pages), number=True),
        Column(_("Duration"), lambda row: _optional(row.duration, write_latency), number=True),
    )


def server_columns(accounts: Sequence[AccountView], translator: Translator) -> Sequence[Column[ServerView]]:
    """Return the columns that identify a server of one account or of several."""
    _ = translator.gettext
    longest = max(len(account.name) for account in accounts)
    # A long name shares the remaining width with the other columns, a short one is never cut.
    ratio = 4 if longest > MAX_ACCOUNT_COLUMNS else None
    account: Sequence[Column[ServerView]] = [Column(_("Account"), lambda row: _text(row.account), ratio=ratio)]
    return (
        *(account if len(accounts) > 1 else ()),
        Column(_("Server"), lambda row: _text(row.name), ratio=5),
        Column(_("Address"), lambda row: _text(row.ip), max_width=39, min_columns=MEDIUM_COLUMNS),
        Column(_("State"), lambda row: _text(row.state), min_columns=WIDE_COLUMNS),
    )


def problem_columns(now: float, translator: Translator) -> Sequence[Column[ServerView]]:
    """Return the columns of a server that needs attention."""
    _ = translator.gettext

    def since(row: ServerView) -> str:
        return _optional(row.since, lambda began: format_duration(now - began, translator))

    return (
        Column(_("Problem"), partial(_describe, translator=translator), ratio=5),
        _share_column(_("Replicated"), translator, WIDE_COLUMNS),
        _size_column(translator),
        Column(_("Since"), since, number=True),
    )


def migration_columns(translator: Translator) -> Sequence[Column[ServerView]]:
    """Return the columns of a running migration."""
    _ = translator.gettext
    return (
        Column(_("Progress"), lambda row: _bar(row.share or 0.0, 100), ratio=3, min_columns=WIDE_COLUMNS),
        _share_column(_("Done"), translator),
        _size_column(translator),
        Column(_("Speed"), lambda row: _optional(row.speed, format_speed), number=True, min_columns=MEDIUM_COLUMNS),
        _remaining_column(translator),
    )


def query_columns(translator: Translator) -> Sequence[Column[ServerView]]:
    """Return the columns of a server that was searched for."""
    _ = translator.gettext
    return (
        Column(_("State"), lambda row: _text(row.state), max_width=12, below_columns=WIDE_COLUMNS),
        Column(_("Stage"), lambda row: _text(row.stage), min_columns=WIDE_COLUMNS),
        _share_column(_("Done"), translator),
        _size_column(translator),
        Column(_("Speed"), lambda row: _optional(row.speed, format_speed), number=True, min_columns=WIDE_COLUMNS),
        _remaining_column(translator, WIDE_COLUMNS),
        Column(_("Problem"), partial(_describe, translator=translator), ratio=4),
    )


def state_columns(largest: int, translator: Translator) -> Sequence[Column[Bar]]:
    """Return the columns of the number of servers in each state, of which the largest has the longest bar."""
    _ = translator.gettext
    return (
        Column(_("State"), lambda bar: explain_value(bar.name, "state", translator)),
        Column(_("Servers"), lambda bar: format_number(bar.count), number=True),
        Column(_("Share"), lambda bar: format_percent(bar.share, translator), number=True),
        Column("", lambda bar: _bar(bar.count, largest), ratio=1),
    )


def _share_column(title: str, translator: Translator, min_columns: int = 0) -> Column[ServerView]:
    write = partial(format_percent, translator=translator)
    return Column(title, lambda row: _optional(row.share, write), number=True, min_columns=min_columns)


def _size_column(translator: Translator) -> Column[ServerView]:
    title = translator.pgettext("size of all data", "Of")
    return Column(title, lambda row: _optional(row.size, format_size), number=True, min_columns=WIDE_COLUMNS)


def _remaining_column(translator: Translator, min_columns: int = 0) -> Column[ServerView]:
    title, write = translator.pgettext("time", "Left"), partial(format_duration, translator=translator)
    return Column(title, lambda row: _optional(row.remaining, write), number=True, min_columns=min_columns)


def _describe(row: ServerView, translator: Translator) -> Text:
    """Name the problems, except those that a detail describes better."""
    described = {Problem.CHECKS, Problem.FAILED} if row.details else set()
    problems = (PROBLEM_NAMES[problem] for problem in row.problems if problem not in described)
    words = translator.pgettext("separator", "; ").join(map(translator.translate, (*problems, *row.details)))
    return _text(words, "yellow" if row.problems == (Problem.CHECKS,) else "red")


def _text(text: str, style: str = "") -> Text:
    return Text(escape_unprintable(text), style=style) if text else Text(NO_VALUE)


def _optional(value: float | None, write: Callable[[float], str]) -> str:
    return NO_VALUE if value is None else write(value)


def _bar(part: float, whole: float) -> ProgressBar:
    # The named colours follow the terminal's theme, light or dark.
    return ProgressBar(total=whole, completed=part, style="bright_black", complete_style="blue", finished_style="blue")
