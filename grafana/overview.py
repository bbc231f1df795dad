"""The dashboard of all migrations: progress, estimated completion, and servers that need attention."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import LINK_OF_ROW, OVERVIEW, account, alerts, board
from grafana.panels import (
    Column,
    Frame,
    Panel,
    Tile,
    bars,
    bars_over_time,
    dashed,
    graph,
    painted,
    rows,
    stacked,
    stats,
)
from grafana.promql import FAILED_STATES, MOVING_STATES, fleet, health, matching, record, total
from grafana.style import (
    BAD_ABOVE_ZERO,
    CYCLE_COLOURS,
    GREEN,
    INTERVALS,
    SHARE,
    STATE_COLOURS,
    WARN_ABOVE_ZERO,
    missing,
)

_SIZE: Final = record("size_bytes", level="account", operation="sum")
_REPLICATED: Final = record("replicated_bytes", level="account", operation="sum")
_SPEED: Final = record("replicated_bytes", level="account", operation="deriv30m")
_REPORTED_SPEED: Final = fleet(
    "source_servers_migrate_speed_bytes_per_second", "state", where=matching("state", MOVING_STATES)
)
_REMAINING: Final = record("remaining_bytes", level="account_state_os_type", operation="sum")
_MEASURED_TIME: Final = record("remaining_seconds", operation="measured")
_ESTIMATED_TIME: Final = record("remaining_seconds", operation="estimated")
_FAILED: Final = fleet("source_servers", "state", where=matching("state", FAILED_STATES))
_ALL_MEASURED: Final = f"{total(_REMAINING)} / ({total(_SPEED)} > 0)"
_CHECKS: Final = promql.one(promql.selector("source_server_check_failed", 'result="ERROR"'), "server_id")


def overview() -> Dashboard:
    """Build the dashboard."""
    return board(
        OVERVIEW,
        "All migrations of the selected accounts: progress, speed, estimated completion, and what needs attention.",
        [account()],
        [
            ("Now", _now()),
            ("Servers over time", _over_time()),
            ("Data", _data()),
            ("Alerts", [alerts()]),
            ("Needs attention", _attention()),
            ("Why did servers fail? (with collector.errors)", _errors()),
            ("Migration projects (with collector.projects)", [_projects()]),
            ("Accounts", [_accounts()]),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile("Source servers", "Number of source servers in the API's lists."),
            (total(fleet("source_servers", "state")), ""),
        ),
        stats(
            Tile(
                "Progress",
                "Replicated bytes / total bytes. Finished servers whose size the API no longer reports count with "
                "their last size.",
                unit="percentunit",
                steps=SHARE,
                decimals=1,
            ),
            (f"{total(_REPLICATED)} / {total(_SIZE)}", ""),
        ),
        stats(
            Tile("Remaining data", "Data that is not yet replicated.", unit="bytes"),
            (f"clamp_min({total(_SIZE)} - {total(_REPLICATED)}, 0)", ""),
        ),
        stats(
            Tile("Speed", "Measured replication speed of the last 30 minutes.", unit="Bps"),
            (total(_SPEED), ""),
        ),
        stats(
            Tile(
                "Completion (measured)",
                "When the servers that replicate now will have replicated all data, at the measured speed.",
                unit="dateTimeFromNow",
                empty="no progress",
            ),
            (f"(time() + {_ALL_MEASURED}) * 1000", ""),
        ),
        stats(
            Tile(
                "Completion (API)",
                "When the last of the servers that replicate now will finish, by the API's estimate.",
                unit="dateTimeFromNow",
                empty="no estimate",
            ),
            (f"(time() + max({_ESTIMATED_TIME})) * 1000", ""),
        ),
        stats(
            Tile(
                "Failed",
                f"Servers in state {FAILED_STATES.replace('|', ', ')}.",
                steps=BAD_ABOVE_ZERO,
            ),
            (total(_FAILED), ""),
        ),
        stats(
            Tile(
                "Disconnected",
                "Migrating servers whose agent is not connected to SMS.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(record("disconnected")), ""),
        ),
        stats(
            Tile(
                "Stalled",
                "Connected servers with data left to replicate and no data replicated for 30 minutes and three polls.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(record("stalled")), ""),
        ),
        stats(
            Tile(
                "Failed checks (ERROR)",
                "Servers with an environment check in ERROR. They cannot be migrated until it is fixed.",
                steps=BAD_ABOVE_ZERO,
            ),
            (promql.count(_CHECKS), ""),
        ),
        stats(
            Tile("Accounts with failed polls", "Their data is from an earlier poll.", steps=BAD_ABOVE_ZERO),
            (f"count({health('up')} == 0) or count({health('up')}) * 0", ""),
        ),
        stats(
            Tile(
                "Oldest data",
                "Age of the oldest account data, in poll intervals of that account.",
                steps=INTERVALS,
                decimals=1,
            ),
            (f"max({promql.age_in_intervals()})", ""),
        ),
    ]


def _over_time() -> list[Panel]:
    by_state = graph(
        Frame("Servers by state", "Number of servers in each state.", height=10),
        (total(fleet("source_servers", "state"), "state"), "{{state}}"),
        wide_legend=True,
    )
    by_cycle = graph(
        Frame("Servers by stage", "Number of servers in each stage of the migration.", height=10),
        (
            total(fleet("source_servers_by_migration_cycle", "migration_cycle"), "migration_cycle"),
            "{{migration_cycle}}",
        ),
        wide_legend=True,
    )
    changes = bars_over_time(
        Frame("State changes", "Number of servers that entered each state, as detected by polls."),
        (total(promql.changes("source_server_state_transitions_total", "to_state"), "to_state"), "{{to_state}}"),
    )
    return [
        painted(stacked(by_state), STATE_COLOURS),
        painted(stacked(by_cycle), CYCLE_COLOURS),
        painted(changes, STATE_COLOURS),
        graph(
            Frame("Progress by account", "Replicated bytes / total bytes.", unit="percentunit"),
            (f"{total(_REPLICATED, 'account')} / {total(_SIZE, 'account')}", "{{account}}"),
        ).max(1),
    ]


def _data() -> list[Panel]:
    done = graph(
        Frame("Replicated data", "Replicated bytes and total bytes.", unit="bytes", width=8),
        (total(_REPLICATED), "replicated"),
        (total(_SIZE), "total"),
    )
    return [
        dashed(done, "total", GREEN),
        graph(
            Frame(
                "Throughput",
                "The speed reported by the API and the measured replication speed. If they differ by a factor of 8, "
                "the option api.migrate-speed-unit is wrong.",
                unit="Bps",
                width=8,
            ),
            (total(_REPORTED_SPEED), "reported by the API"),
            (total(_SPEED), "measured"),
        ),
        graph(
            Frame(
                "Remaining time",
                "Remaining time of the servers that replicate now: of all together at their measured speed, of the "
                "slowest server at its own measured speed, and of the last server by the API's estimate.",
                unit="s",
                width=8,
                empty="no progress",
            ),
            (_ALL_MEASURED, "all (measured)"),
            (f"max({_MEASURED_TIME} < Inf)", "slowest server (measured)"),
            (f"max({_ESTIMATED_TIME})", "last server (API)"),
        ),
    ]


def _attention() -> list[Panel]:
    columns = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("ip", "Address"),
        Column("account", "Account"),
        Column("problem", "Problem"),
        Column("Value", "In this state for", "dtdurations", mappings=missing("unknown")),
        Column("server_id", "ID"),
    )
    return [
        rows(
            Frame(
                "Servers that need attention",
                "Servers that failed, disconnected while migrating, stalled, or have a check in ERROR. One row per "
                "problem. The name links to the dashboard of the server.",
                width=16,
                height=12,
                empty="none",
            ),
            columns,
            promql.attention(),
            sort_by="In this state for",
        ),
        bars(
            Frame(
                "Failed checks",
                "Number of servers by environment check in WARN or ERROR.",
                width=8,
                height=12,
                steps=WARN_ABOVE_ZERO,
                empty="none",
            ),
            (
                f"sort_desc({total(fleet('source_servers_failed_checks', 'check', 'result'), 'check', 'result')})",
                "{{check}} ({{result}})",
            ),
        ),
    ]


def _errors() -> list[Panel]:
    columns = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("account", "Account"),
        Column("error_code", "Error code"),
        Column("remedy", "Usual remedy"),
        Column("server_id", "ID"),
    )
    return [
        bars(
            Frame(
                "Servers by error code",
                "Number of servers in the list of errors, by error code. Requires the option collector.errors.",
                width=8,
                height=10,
                steps=BAD_ABOVE_ZERO,
                empty="none, or collector.errors is off",
            ),
            (f"sort_desc({total(fleet('source_servers_by_error', 'error_code'), 'error_code')})", "{{error_code}}"),
        ),
        rows(
            Frame(
                "Errors",
                "The error code of each server, and the usual remedy of common codes. Requires the option "
                "collector.errors or collector.task_details.",
                width=16,
                height=10,
                empty="none, or the collectors are off",
            ),
            columns,
            promql.named(record("error_remedy"), "name"),
            sort_by="Error code",
            descending=False,
        ),
    ]


def _projects() -> Panel:
    columns = (
        Column("project", "Project"),
        Column("account", "Account"),
        Column("Value #A", "Servers", "short"),
        Column("Value #B", "Failed", "short", BAD_ABOVE_ZERO, coloured=True),
        Column("Value #C", "Launched", "short"),
        Column("Value #D", "Replicated", "bytes"),
        Column("Value #E", "Total data", "bytes"),
        Column("Value #F", "Speed limit", "Bps"),
        Column("project_id", "ID"),
    )
    servers = fleet("migration_project_source_servers", "project_id", "state")
    info = promql.one(promql.selector("migration_project_info"), "project_id", "project")
    named = promql.unique(info, "account", "project_id")
    launched = promql.matching("state", "finished|clearing|cleared|clearfailed")
    return rows(
        Frame(
            "Migration projects",
            "One row per migration project (wave). Finished servers whose size the API no longer reports are not "
            "included in the bytes. Requires the option collector.projects.",
            width=24,
            empty="collector.projects is off",
        ),
        columns,
        f"{total(servers, 'account', 'project_id')} * on (account, project_id) group_left (project) {named}",
        *(
            f"sum by (project_id) ({expression})"
            for expression in (
                fleet(
                    "migration_project_source_servers", "project_id", "state", where=matching("state", FAILED_STATES)
                ),
                fleet("migration_project_source_servers", "project_id", "state", where=launched),
                fleet("migration_project_replicated_bytes", "project_id", "state"),
                fleet("migration_project_size_bytes", "project_id", "state"),
                fleet("migration_project_speed_limit_bytes_per_second", "project_id"),
            )
        ),
        key="project_id",
        sort_by="Project",
        descending=False,
    )


def _accounts() -> Panel:
    columns = (
        Column("account", "Account"),
        Column("Value #A", "Servers", "short"),
        Column("Value #B", "Failed", "short", BAD_ABOVE_ZERO, coloured=True),
        Column("Value #C", "Progress", "percentunit", SHARE, gauge=True, decimals=1),
        Column("Value #D", "Remaining data", "bytes"),
        Column("Value #E", "Speed", "Bps"),
        Column("Value #F", "Remaining time (measured)", "dtdurations"),
        Column("Value #G", "Remaining time (API)", "dtdurations"),
        Column("Value #H", "Data age (intervals)", "short", INTERVALS, coloured=True, decimals=1),
    )
    return rows(
        Frame(
            "Accounts",
            "One row per account. Speed and remaining time are those of the servers that replicate now.",
            width=24,
        ),
        columns,
        total(fleet("source_servers", "state"), "account"),
        total(_FAILED, "account"),
        f"{total(_REPLICATED, 'account')} / {total(_SIZE, 'account')}",
        f"clamp_min({total(_SIZE, 'account')} - {total(_REPLICATED, 'account')}, 0)",
        _SPEED,
        f"{total(_REMAINING, 'account')} / ({total(_SPEED, 'account')} > 0)",
        promql.one(_ESTIMATED_TIME),
        promql.age_in_intervals(),
        key="account",
        sort_by="Account",
        descending=False,
    )
