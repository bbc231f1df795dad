"""The output of `status` in a terminal: tables and bars that fit its width."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.text import Text

from exporter.commands.columns import (
    MAX_COLUMNS,
    Column,
    account_columns,
    build_table,
    migration_columns,
    problem_columns,
    query_columns,
    server_columns,
    state_columns,
)
from exporter.commands.output import checked_output, print_text
from exporter.commands.reading import open_reading
from exporter.commands.report import wrap_cells
from exporter.commands.status_view import StatusSettings, StatusView, build_status_view
from exporter.errors import escape_unprintable
from exporter.polling.connections import Runtime
from exporter.translation import Translator
from exporter.views.accounts import AccountView
from exporter.views.fleet import FleetView
from exporter.views.formatting import (
    format_duration,
    format_number,
    format_percent,
    format_size,
    format_speed,
)
from exporter.views.problems import PROBLEM_NAMES
from exporter.views.servers import AttentionView

MAX_ROWS: Final = 15
"""Rows per table; the others are only counted. --all and a pipe show all servers."""
MIN_ROWS: Final = 3
"""Rows per table when the status is watched in a low terminal."""
MIN_WATCH_SECONDS: Final = 5.0

Row = TypeVar("Row")


@contextlib.contextmanager
def show_progress(translator: Translator) -> Iterator[None]:
    """Show a spinner during the context if standard error is a terminal."""
    console = _open_console(is_of_errors=True)
    with console.status(translator.gettext("Polling …")) if console.is_terminal else contextlib.nullcontext():
        yield


def show_status(status: StatusView, translator: Translator) -> None:
    """Write the status to standard output. Raise OutputError, or BrokenPipeError if the reader is gone."""
    console = _open_console()
    with _printed(console):
        _draw(console, status, translator, MAX_ROWS)


async def watch_status(settings: StatusSettings, runtime: Runtime, translator: Translator) -> int:
    """Show the status again after each interval, until Ctrl-C. Return the exit code."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    console = _open_console()
    interval = max(MIN_WATCH_SECONDS, min(account.poll.interval for account in settings.targets()))
    footer = translator.gettext("Polled every %(interval)s; press Ctrl-C to stop.") % {
        "interval": format_duration(interval, translator)
    }
    async with open_reading(settings, runtime) as reading:
        while not stop.is_set():
            await _first_done(reading.poll(), stop.wait())
            if not stop.is_set():
                status = build_status_view(reading, settings, runtime.clock.time())
                with _printed(console):
                    console.clear()
                    _draw(console, status, translator, _fitting_rows(console, status, translator))
                    console.print(footer, style="dim")
            await _first_done(runtime.clock.sleep(interval), stop.wait())
    return 0


async def _first_done(*waits: Coroutine[object, object, object]) -> None:
    """Wait until one of these is done, cancel the others, and raise what ended it."""
    done, others = await asyncio.wait(map(asyncio.create_task, waits), return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


def _fitting_rows(console: Console, status: StatusView, translator: Translator) -> int:
    """Return how many rows of its two tables leave all of the status visible."""
    options = console.options.update(width=min(console.width, MAX_COLUMNS))
    parts = _Layout(translator, options.max_width, max_rows=0).parts(status)
    other_lines = sum(len(console.render_lines(part, options)) for part in parts)
    # The line below it, and that of the cursor.
    return max(MIN_ROWS, min(MAX_ROWS, (console.height - other_lines - 2) // 2))


def _open_console(*, is_of_errors: bool = False) -> Console:
    """Return the console of standard output or of standard error, which is never without width."""
    console = Console(stderr=is_of_errors)
    # Some programs set COLUMNS and LINES to 0 for a terminal of unknown size.
    if not (console.width and console.height):
        console.size = ConsoleDimensions(*shutil.get_terminal_size())
    return console


@contextlib.contextmanager
def _printed(console: Console) -> Iterator[None]:
    """Write what is printed on a console during the context, with the errors of `print_text`."""
    # A capture also writes: an empty text.
    with checked_output(), console.capture() as capture:
        yield
    print_text(capture.get().removesuffix("\n"))


def _draw(console: Console, status: StatusView, translator: Translator, max_rows: int) -> None:
    width = min(console.width, MAX_COLUMNS)
    for part in _Layout(translator, width, None if status.show_all else max_rows).parts(status):
        console.print(part, width=width)


class _Layout:
    """The parts of a status from top to bottom, for a terminal of a width; tables have at most `max_rows` rows."""

    def __init__(self, translator: Translator, width: int, max_rows: int | None) -> None:
        self._translator = translator
        self._width = width
        self._max_rows = max_rows

    def parts(self, status: StatusView) -> Iterator[RenderableType]:
        """Yield accounts, failures, sums, and either the tables of the overview or the servers that are asked for."""
        _ = self._translator.gettext
        several = len(status.accounts) > 1
        yield build_table(status.accounts, account_columns(self._translator), self._width)
        for account in status.accounts:
            if account.status == "failing":
                yield from self._failure(account, several=several)
        if not status.fleet.servers:
            if any(account.status == "up" for account in status.accounts):
                yield Text(f"\n{_('There are no source servers.')}")
            return
        yield Text(f"\n{self._summary(status.fleet)}")
        server = server_columns(status.accounts, self._translator)
        if status.servers is not None:
            yield self._title(_("Servers"), len(status.servers), "")
            yield from self._rows(status.servers, (*server, *query_columns(self._translator)), "--all")
            return
        attention = status.attention
        yield self._title(_("Needs attention"), len(attention.servers), self._problem_counts(attention))
        columns = (*server, *problem_columns(status.now, self._translator))
        yield from self._rows(attention.servers, columns, "--problem=any --all")
        yield self._title(_("Running migrations"), len(status.migrations), _("first to finish first"))
        columns = (*server, *migration_columns(self._translator))
        yield from self._rows(status.migrations, columns, "--state=replicate,syncing --all")
        yield Text(f"\n{_('Servers by state')}", style="bold")
        bars = [bar for bar in status.fleet.states if bar.count]
        yield build_table(bars, state_columns(max(bar.count for bar in bars), self._translator), self._width)

    def _failure(self, account: AccountView, *, several: bool) -> Iterator[Text]:
        name = f"{escape_unprintable(account.name)}: " if several else ""
        yield Text(f"\n{name}{escape_unprintable(account.message)}", style="red")
        message = self._translator.gettext("Hint: %(hint)s")
        line = message % {"hint": self._translator.translate(account.hint or "")}
        hint = Text(wrap_cells(line, self._width))
        hint.stylize("bold", 0, message.index("%"))
        yield hint

    def _summary(self, fleet: FleetView) -> str:
        number = format_number(fleet.servers)
        servers = self._translator.ngettext("%(number)s server", "%(number)s servers", fleet.servers)
        connected = self._translator.gettext("%(number)s connected")
        replicated = self._translator.gettext("%(share)s of %(size)s replicated")
        share, size = format_percent(fleet.share, self._translator), format_size(fleet.size)
        parts = (
            servers % {"number": number},
            connected % {"number": format_number(fleet.connected)},
            replicated % {"share": share, "size": size},
            format_speed(fleet.speed),
        )
        return " · ".join(parts)

    def _problem_counts(self, attention: AttentionView) -> str:
        counted = self._translator.gettext("%(number)s %(problem)s")
        return self._translator.pgettext("separator", ", ").join(
            counted % {"number": format_number(count), "problem": self._translator.translate(PROBLEM_NAMES[problem])}
            for problem, count in attention.counts
            if count
        )

    def _title(self, name: str, count: int, note: str) -> Text:
        return Text.assemble(
            "\n", (name, "bold"), f"  {format_number(count)}", (f"  {note}" if count and note else "", "dim")
        )

    def _rows(self, rows: Sequence[Row], columns: Iterable[Column[Row]], options: str) -> Iterator[RenderableType]:
        """Yield a table of the first rows, and how many more there are, with the options that show them."""
        if rows:
            yield build_table(rows[: self._max_rows], columns, self._width)
        if self._max_rows is not None and len(rows) > self._max_rows:
            more = self._translator.gettext("%(number)s more: %(options)s shows them")
            values = {"number": format_number(len(rows) - self._max_rows), "options": options}
            yield Text(more % values, style="dim")
