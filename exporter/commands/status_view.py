"""What `status` shows: its options, and what they select of the polled accounts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from exporter.commands.options import OnceSettings
from exporter.commands.reading import Reading
from exporter.settings import AccountSettings
from exporter.settings.options import Flag
from exporter.settings.quantities import Words
from exporter.sms.model import SOURCE_STATES
from exporter.views.accounts import AccountView, build_account_views
from exporter.views.fleet import FleetView, build_fleet_view
from exporter.views.problems import ANY_PROBLEM, Problem
from exporter.views.selection import DEFAULT_SORT, SORTS, ServerQuery, select_servers
from exporter.views.servers import (
    AttentionView,
    ServerView,
    build_attention_view,
    build_server_views,
    running_migrations,
)
from exporter.views.tables import write_csv, write_json, write_tsv

NO_VALUE: Final = "-"
"""Shown for a missing value."""

Output = Literal["table", "tsv", "json", "csv"]

WRITERS: Final[Mapping[str, Callable[[Sequence[ServerView]], str]]] = MappingProxyType(
    {"tsv": write_tsv, "csv": write_csv, "json": lambda servers: write_json(servers).decode()}
)


def _check_sort(value: str) -> str:
    if value not in SORTS:
        msg = f"must be one of {', '.join(SORTS)}"
        raise ValueError(msg)
    return value


def _check_states(values: tuple[str, ...]) -> tuple[str, ...]:
    return _check_words(values, SOURCE_STATES)


def _check_problems(values: tuple[str, ...]) -> tuple[str, ...]:
    return _check_words(values, (ANY_PROBLEM, *Problem))


def _check_words(values: tuple[str, ...], allowed: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value not in allowed:
            msg = f"{value!r} is not one of {', '.join(allowed)}"
            raise ValueError(msg)
    return values


class StatusSettings(OnceSettings):
    """Options of the status."""

    only_account: Annotated[str | None, Flag("account")] = Field(None, description="Poll and show only this account.")
    only_state: Annotated[Words, Flag("state"), AfterValidator(_check_states)] = Field(
        (), description="Show servers in one of these states, separated by commas."
    )
    problem: Annotated[Words, AfterValidator(_check_problems)] = Field(
        (), description="Show servers with one of these problems: any, failed, disconnected, stalled, checks."
    )
    search: str = Field("", description="Show servers whose name, address or ID contains this text.")
    sort: Annotated[str, AfterValidator(_check_sort)] = Field(
        DEFAULT_SORT, description="Sort by a column, descending with a leading minus sign, for example -speed."
    )
    all: bool = Field(False, description="Show all rows of the table.")
    watch: bool = Field(False, description="Poll again on the interval and refresh the table, until Ctrl-C.")
    output: Output | None = Field(
        None,
        description="Output format (default: table in a terminal, tsv in a pipe); tsv, json and csv have all rows.",
    )

    @model_validator(mode="after")
    def _check_account(self) -> "StatusSettings":
        names = [account.name for account in super().targets()]
        if self.only_account is not None and self.only_account not in names:
            msg = f"--account: no account is called {self.only_account!r}; the accounts are {', '.join(names)}"
            raise ValueError(msg)
        return self

    def targets(self) -> tuple[AccountSettings, ...]:
        """Return the chosen account, or all accounts."""
        return tuple(account for account in super().targets() if self.only_account in {None, account.name})

    @property
    def is_query(self) -> bool:
        """Whether the options select or sort servers, so that one table of servers is shown."""
        return bool(self.only_state or self.problem or self.search or self.all or self.sort != DEFAULT_SORT)

    @property
    def query(self) -> ServerQuery:
        """Which servers are shown, in which order."""
        filters = {"state": frozenset(self.only_state), "problem": frozenset(self.problem)}
        return ServerQuery(self.search, {name: values for name, values in filters.items() if values}, self.sort)


@dataclass(frozen=True)
class StatusView:
    """Everything that a terminal shows, at `now` in seconds since the epoch. `servers` is None without a query."""

    now: float
    accounts: Sequence[AccountView]
    fleet: FleetView
    attention: AttentionView
    migrations: Sequence[ServerView]
    servers: Sequence[ServerView] | None
    show_all: bool


def build_status_view(reading: Reading, settings: StatusSettings, now: float) -> StatusView:
    """Return what a terminal shows of the polls."""
    servers = build_server_views(reading.snapshots())
    return StatusView(
        now,
        build_account_views(reading.accounts, now),
        build_fleet_view(servers),
        build_attention_view(servers),
        running_migrations(servers),
        select_servers(servers, settings.query) if settings.is_query else None,
        settings.all,
    )


def format_servers(reading: Reading, settings: StatusSettings, output: str) -> str:
    """Return the selected servers as tab-separated lines, CSV or JSON."""
    return WRITERS[output](select_servers(build_server_views(reading.snapshots()), settings.query))
