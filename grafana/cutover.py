"""The dashboard for a cut-over: all servers that still replicate data, by remaining time."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import CUTOVER, LINK_OF_ROW, LINK_OF_SERIES, account, board, hours, moving_state, system
from grafana.panels import Column, Frame, Panel, Tile, dashed, graph, linked, painted, rows, stacked, stats
from grafana.promql import among, matching, record, server, total
from grafana.style import (
    BAD_ABOVE_ZERO,
    ENDLESS,
    GREEN,
    ORANGE,
    RED,
    SHARE,
    STATE_COLOURS,
    WARN_ABOVE_ZERO,
    coloured,
    endless,
    words,
)

_STATE: Final = record("replicating_info", matching("state", "$state"), matching("os_type", "$os"))
_CHOSEN: Final = promql.one(_STATE, "server_id")
_REMAINING: Final = among(record("remaining_bytes"), _STATE)
_SPEED: Final = among(record("replicated_bytes", operation="deriv30m"), _STATE)
_MEASURED: Final = record("remaining_seconds", operation="measured")
_ESTIMATED: Final = record("remaining_seconds", operation="estimated")
_SHORTEST: Final = record("remaining_seconds", operation="min")
_REMAINING_TIME: Final = f"clamp_max({among(_SHORTEST, _STATE)}, {ENDLESS:.0f}) or {ENDLESS:.0f} * {_CHOSEN}"
"""The smaller of the API's and the measured estimate; ENDLESS for a server that replicates nothing."""
_LATE: Final = f"({_REMAINING_TIME}) > 3600 * $hours"
_STALLED: Final = among(record("stalled"), _STATE)
_DISCONNECTED: Final = among(record("disconnected"), _STATE)

_MOVEMENT: Final = words({"0": ("active", GREEN), "1": ("disconnected", ORANGE), "2": ("stalled", RED)})
_IN_TIME: Final = words({"0": ("on time", GREEN), "1": ("late", RED)})
_NO_END: Final = endless("no progress")


def cutover() -> Dashboard:
    """Build the dashboard."""
    return board(
        CUTOVER,
        "All servers that still replicate data: remaining time compared with the hours until the cut-over.",
        [account(), system(), moving_state(), hours()],
        [
            ("Will the cut-over be on time?", _now()),
            ("By remaining time", [_table()]),
            ("Over time", _over_time()),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile("Replicating", "Servers in state replicate or syncing."),
            (promql.count(_STATE), ""),
        ),
        stats(
            Tile(
                "Late",
                "Servers that will not finish replication before the cut-over, neither by the API's estimate nor "
                "by their measured speed. A server that replicates nothing is late.",
                steps=BAD_ABOVE_ZERO,
            ),
            (promql.count(_LATE), ""),
        ),
        stats(
            Tile(
                "Stalled",
                "Connected servers with data left to replicate and no data replicated for 30 minutes and three polls.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(_STALLED), ""),
        ),
        stats(
            Tile(
                "Disconnected",
                "Servers whose agent is not connected to SMS.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(_DISCONNECTED), ""),
        ),
        stats(
            Tile("Remaining data", "Data that these servers still have to replicate.", unit="bytes"),
            (total(_REMAINING), ""),
        ),
        stats(
            Tile(
                "Speed / required speed",
                "The measured replication speed, relative to the speed required to finish at the cut-over. Below 100 % "
                "the cut-over will be late.",
                unit="percentunit",
                steps=((None, RED), (1, ORANGE), (1.2, GREEN)),
                empty="no data left",
                decimals=0,
            ),
            (f"{total(_SPEED)} / ({total(_REMAINING)} / (3600 * $hours) > 0)", ""),
        ),
    ]


def _table() -> Panel:
    late = f"({_REMAINING_TIME}) > bool 3600 * $hours"
    stalled, disconnected = (promql.one(problem, "server_id") for problem in (_STALLED, _DISCONNECTED))
    movement = f"2 * {stalled} or {disconnected} or 0 * {_CHOSEN}"
    columns = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("state", "State", mappings=coloured(STATE_COLOURS), coloured=True),
        Column("Value #B", "Remaining time", "dtdurations", mappings=_NO_END, coloured=True),
        Column("Value #C", "At the cut-over", mappings=_IN_TIME, coloured=True),
        Column("Value #D", "Replication", mappings=_MOVEMENT, coloured=True),
        Column("Value #E", "Progress", "percentunit", SHARE, gauge=True, decimals=1),
        Column("Value #F", "Remaining data", "bytes"),
        Column("Value #G", "Speed (API)", "Bps"),
        Column("Value #H", "Speed (measured)", "Bps"),
        Column("Value #I", "Speed limit", "Bps"),
        Column("Value #J", "Remaining time (API)", "dtdurations"),
        Column("Value #K", "Remaining time (measured)", "dtdurations"),
        Column("Value #L", "Since last progress", "dtdurations"),
        Column("os_type", "OS"),
        Column("ip", "Address"),
        Column("account", "Account"),
        Column("server_id", "ID"),
    )
    replicated = among(record("replicated_bytes"), _STATE)
    return rows(
        Frame(
            "Servers by remaining time",
            "Servers without progress first, then by remaining time. Remaining time is the smaller of the API's "
            "estimate and the estimate from the measured speed; both are in columns to the right. The name links "
            "to the dashboard of the server.",
            width=24,
            height=14,
            empty="no server is replicating",
        ),
        columns,
        f"max by (account, server_id, name, ip, os_type, state) ({_STATE})",
        *(
            _only(expression)
            for expression in (
                _REMAINING_TIME,
                late,
                movement,
                f"({replicated}) / (({replicated}) + ({_REMAINING}))",
                _REMAINING,
                among(server("task_migrate_speed_bytes_per_second"), _STATE),
                _SPEED,
                among(server("task_speed_limit_bytes_per_second"), _STATE),
                among(_ESTIMATED, _STATE),
                among(f"{_MEASURED} < Inf", _STATE),
                f"time() - ({among(record('last_increase_timestamp_seconds'), _STATE)})",
            )
        ),
        sort_by="Remaining time",
    )


def _only(expression: str) -> str:
    """Keep only the label server_id, by which the rows are joined."""
    return f"max by (server_id) ({expression})"


def _over_time() -> list[Panel]:
    by_state = graph(
        Frame("Replicating servers", "Number of servers in state replicate and syncing.", width=8),
        (total(_STATE, "state"), "{{state}}"),
    )
    needed = graph(
        Frame(
            "Speed and required speed",
            "The measured replication speed, the speed reported by the API, and the speed required to finish within "
            "the selected hours.",
            unit="Bps",
            width=8,
        ),
        (total(_SPEED), "measured"),
        (total(among(server("task_migrate_speed_bytes_per_second"), _STATE)), "reported by the API"),
        (f"{total(_REMAINING)} / (3600 * $hours)", "required"),
    )
    return [
        painted(stacked(by_state), STATE_COLOURS),
        dashed(needed, "required", RED),
        linked(
            graph(
                Frame(
                    "Longest remaining time",
                    "The ten servers with the longest remaining time by the API's estimate. Lines should fall by one "
                    "second per second.",
                    unit="s",
                    width=8,
                    empty="no estimate",
                ),
                (promql.named(f"topk(10, {among(_ESTIMATED, _STATE)})", "name"), "{{name}}"),
            ),
            LINK_OF_SERIES,
        ),
    ]
