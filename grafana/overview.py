"""The board of all migrations: where the fleet stands, when it will be done, who needs attention."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import LINK_OF_ROW, OVERVIEW, account, board, window
from grafana.panels import Column, Frame, Panel, Tile, bars, dashed, graph, painted, rows, stacked, stats
from grafana.promql import FAILED_STATES, MOVING_STATES, fleet, health, matching, total
from grafana.style import (
    BAD_ABOVE_ZERO,
    CYCLE_COLOURS,
    GREEN,
    INTERVALS,
    SHARE,
    STATE_COLOURS,
    WARN_ABOVE_ZERO,
    unknown,
)

_MOVING: Final = promql.servers_in(MOVING_STATES)
_LEFT: Final = promql.left(_MOVING)
_PACE: Final = promql.pace(_MOVING)
_SIZE: Final = fleet("source_servers_size_bytes", "state")
_ACROSS: Final = fleet("source_servers_replicated_bytes", "state")
_ESTIMATED_END: Final = promql.among(promql.server("task_estimated_completion_timestamp_seconds"), _MOVING)
_ESTIMATED_TIME: Final = promql.among(promql.server("task_remaining_seconds"), _MOVING)
_FAILED: Final = fleet("source_servers", "state", where=matching("state", FAILED_STATES))
_SPEED: Final = fleet("source_servers_migrate_speed_bytes_per_second", "state", where=matching("state", MOVING_STATES))
_WITH_ERRORS: Final = promql.server("source_server_check_failed", where='result="ERROR"')
_BY_SLOPE: Final = f"{total(_LEFT)} / ({total(_PACE)} > 0)"


def overview() -> Dashboard:
    """Build the board."""
    return board(
        OVERVIEW,
        "All migrations of the chosen accounts: where the fleet stands, how fast it moves, when it will be done.",
        [account(), window()],
        [
            ("Now", _now()),
            ("The fleet over time", _over_time()),
            ("Data", _data()),
            ("What needs attention", _attention()),
            ("Accounts", [_accounts()]),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile("Source servers", "How many source servers the API lists."),
            (total(fleet("source_servers", "state")), ""),
        ),
        stats(
            Tile(
                "Share across",
                "Replicated bytes of all bytes to migrate. Finished servers whose size the API no longer tells count "
                "on neither side.",
                unit="percentunit",
                steps=SHARE,
                decimals=1,
            ),
            (f"{total(_ACROSS)} / {total(_SIZE)}", ""),
        ),
        stats(
            Tile("Bytes left", "Bytes to migrate that are not yet replicated.", unit="bytes"),
            (f"clamp_min({total(_SIZE)} - {total(_ACROSS)}, 0)", ""),
        ),
        stats(
            Tile("Pace", "Growth of the replicated bytes over the chosen time.", unit="Bps"),
            (total(_PACE), ""),
        ),
        stats(
            Tile(
                "Across at this pace",
                "When all servers that send now will be across, if the growth of their replicated bytes stays "
                "what it was over the chosen time.",
                unit="dateTimeFromNow",
                empty="nothing moves",
            ),
            (f"(time() + {_BY_SLOPE}) * 1000", ""),
        ),
        stats(
            Tile(
                "Across by the API",
                "When the last of the servers that send now will be across, as the API estimates.",
                unit="dateTimeFromNow",
                empty="no estimate",
            ),
            (f"max({_ESTIMATED_END}) * 1000", ""),
        ),
        stats(
            Tile(
                "Failed",
                f"Servers in one of the states {FAILED_STATES.replace('|', ', ')}.",
                steps=BAD_ABOVE_ZERO,
            ),
            (total(_FAILED), ""),
        ),
        stats(
            Tile(
                "Disconnected",
                "Servers whose agent is not connected in the middle of a migration.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(promql.disconnected()), ""),
        ),
        stats(
            Tile(
                "Stalled",
                "Connected servers in replicate or syncing without a byte for 30 minutes. "
                "0 until Prometheus has watched for that long.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(promql.stalled()), ""),
        ),
        stats(
            Tile(
                "Checks in error",
                "Servers with an environment check that ended in ERROR; they cannot migrate until it is mended.",
                steps=BAD_ABOVE_ZERO,
            ),
            (promql.count(_WITH_ERRORS), ""),
        ),
        stats(
            Tile("Accounts whose poll failed", "Their numbers are those of an earlier poll.", steps=BAD_ABOVE_ZERO),
            (f"count({health('up')} == 0) or count({health('up')}) * 0", ""),
        ),
        stats(
            Tile(
                "Oldest data",
                "The age of the data of the account that was read longest ago, in its poll intervals.",
                steps=INTERVALS,
                decimals=1,
            ),
            (f"max({promql.age_in_intervals()})", ""),
        ),
    ]


def _over_time() -> list[Panel]:
    by_state = graph(
        Frame("Servers by state", "How many servers are in each state.", height=10),
        (total(fleet("source_servers", "state"), "state"), "{{state}}"),
        wide_legend=True,
    )
    by_cycle = graph(
        Frame("Servers by stage", "How many servers are in each stage of the migration.", height=10),
        (
            total(fleet("source_servers_by_migration_cycle", "migration_cycle"), "migration_cycle"),
            "{{migration_cycle}}",
        ),
        wide_legend=True,
    )
    increase = f"increase({promql.selector('source_server_state_transitions_total')}[$__rate_interval])"
    transitions = graph(
        Frame("Changes of state", "How many servers came into each state, as polls saw it."),
        (f"{total(promql.one(increase, 'to_state'), 'to_state')}", "{{to_state}}"),
        wide_legend=True,
    )
    return [
        painted(stacked(by_state), STATE_COLOURS),
        painted(stacked(by_cycle), CYCLE_COLOURS),
        painted(stacked(transitions), STATE_COLOURS),
        graph(
            Frame("Share across by account", "Replicated bytes of all bytes to migrate.", unit="percentunit"),
            (f"{total(_ACROSS, 'account')} / {total(_SIZE, 'account')}", "{{account}}"),
        ).max(1),
    ]


def _data() -> list[Panel]:
    done = graph(
        Frame(
            "Bytes across", "Replicated bytes, and the bytes to migrate that they grow towards.", unit="bytes", width=8
        ),
        (total(_ACROSS), "replicated"),
        (total(_SIZE), "to migrate"),
    )
    return [
        dashed(done, "to migrate", GREEN),
        graph(
            Frame(
                "Throughput",
                "The speed that the API tells, and the growth of the replicated bytes over the chosen time. If they "
                "differ by a factor of 8, the option api.migrate-speed-unit is wrong.",
                unit="Bps",
                width=8,
            ),
            (total(_SPEED), "told by the API"),
            (total(_PACE), "seen in replicated bytes"),
        ),
        graph(
            Frame(
                "Time left",
                "Until the servers that send now are across: all together at their pace of the chosen time, the "
                "slowest of them at its own, and the last by the API's estimate.",
                unit="s",
                width=8,
                empty="nothing moves",
            ),
            (_BY_SLOPE, "all at this pace"),
            (f"max({_LEFT} / ({_PACE} > 0))", "the slowest at its pace"),
            (f"max({_ESTIMATED_TIME})", "the last by the API"),
        ),
    ]


def _attention() -> list[Panel]:
    columns = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("ip", "Address"),
        Column("account", "Account"),
        Column("problem", "Problem"),
        Column("Value", "In this state for", "dtdurations", mappings=unknown("not told")),
        Column("server_id", "ID"),
    )
    return [
        rows(
            Frame(
                "Servers that need attention",
                "Failed, disconnected while migrating, stalled for 30 minutes, or with a check in ERROR; a server "
                "with several problems has several rows. The name leads to the server's board.",
                width=16,
                height=12,
                empty="nothing",
            ),
            columns,
            promql.attention(),
            sort_by="In this state for",
        ),
        bars(
            Frame(
                "Failed checks",
                "Servers by environment check that ended in WARN or ERROR.",
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


def _accounts() -> Panel:
    columns = (
        Column("account", "Account"),
        Column("Value #A", "Servers", "short"),
        Column("Value #B", "Failed", "short", BAD_ABOVE_ZERO, coloured=True),
        Column("Value #C", "Share across", "percentunit", SHARE, gauge=True, decimals=1),
        Column("Value #D", "Bytes left", "bytes"),
        Column("Value #E", "Pace", "Bps"),
        Column("Value #F", "Time left at this pace", "dtdurations"),
        Column("Value #G", "Time left by the API", "dtdurations"),
        Column("Value #H", "Age in intervals", "short", INTERVALS, coloured=True, decimals=1),
    )
    return rows(
        Frame(
            "Accounts",
            "Each account by itself. Pace and time left are those of the servers that send now; they are empty "
            "where none does.",
            width=24,
        ),
        columns,
        total(fleet("source_servers", "state"), "account"),
        total(_FAILED, "account"),
        f"{total(_ACROSS, 'account')} / {total(_SIZE, 'account')}",
        f"clamp_min({total(_SIZE, 'account')} - {total(_ACROSS, 'account')}, 0)",
        total(_PACE, "account"),
        f"{total(_LEFT, 'account')} / ({total(_PACE, 'account')} > 0)",
        promql.one(_ESTIMATED_TIME),
        promql.age_in_intervals(),
        key="account",
        sort_by="Account",
        descending=False,
    )
