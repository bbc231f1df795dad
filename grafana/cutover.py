"""The board for a cut-over: everything that still sends data, by the time it has left."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import CUTOVER, LINK_OF_ROW, LINK_OF_SERIES, account, board, hours, moving_state, system, window
from grafana.panels import Column, Frame, Panel, Tile, dashed, graph, linked, painted, rows, stacked, stats
from grafana.promql import among, server, total
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

_STATE: Final = among(promql.servers_in("$state"), server("source_server_info", where='os_type=~"$os"'))
_CHOSEN: Final = promql.one(_STATE, "server_id")
_LEFT: Final = promql.left(_CHOSEN)
_PACE: Final = promql.pace(_CHOSEN)
_BY_SLOPE: Final = f"{_LEFT} / ({_PACE} > 0)"
_BY_API: Final = among(server("task_remaining_seconds"), _CHOSEN)
_BY_ANY: Final = f"({_BY_API} or {_BY_SLOPE} or {_CHOSEN} * {ENDLESS:.0f})"
"""The API's estimate; where it gives none our own; where nothing moves, ENDLESS."""
_STALLED: Final = among(_CHOSEN, promql.stalled())
_DISCONNECTED: Final = among(_CHOSEN, promql.disconnected())
_LATE: Final = f"{_BY_ANY} > 3600 * $hours"

_MOVEMENT: Final = words({"0": ("sending", GREEN), "1": ("disconnected", ORANGE), "2": ("stalled", RED)})
_IN_TIME: Final = words({"0": ("in time", GREEN), "1": ("late", RED)})
_NO_END: Final = endless("no end in sight")


def cutover() -> Dashboard:
    """Build the board."""
    return board(
        CUTOVER,
        "Everything that still sends data, by the time it has left, against the hours until the cut-over.",
        [account(), system(), moving_state(), hours(), window()],
        [
            ("Will it hold?", _now()),
            ("By time left", [_table()]),
            ("Over time", _over_time()),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile("Sending", "Servers in replicate or syncing."),
            (promql.count(_CHOSEN), ""),
        ),
        stats(
            Tile(
                "Late",
                "Servers that will not be across within the hours until the cut-over: by the API's estimate, where it "
                "gives none at their own pace; servers that do not move are late.",
                steps=BAD_ABOVE_ZERO,
            ),
            (promql.count(_LATE), ""),
        ),
        stats(
            Tile(
                "Stalled",
                "Connected servers without a byte for 30 minutes. 0 until Prometheus has watched for that long.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(_STALLED), ""),
        ),
        stats(
            Tile(
                "Disconnected",
                "Servers whose agent is not connected.",
                steps=WARN_ABOVE_ZERO,
            ),
            (promql.count(_DISCONNECTED), ""),
        ),
        stats(
            Tile("Bytes left", "Bytes that these servers have still to send.", unit="bytes"),
            (total(_LEFT), ""),
        ),
        stats(
            Tile(
                "Pace of pace needed",
                "The growth of the replicated bytes of the pace at which all would be across at the cut-over: under "
                "100 % it does not hold.",
                unit="percentunit",
                steps=((None, RED), (1, ORANGE), (1.2, GREEN)),
                empty="nothing left",
                decimals=0,
            ),
            (f"{total(_PACE)} / ({total(_LEFT)} / (3600 * $hours) > 0)", ""),
        ),
    ]


def _table() -> Panel:
    chosen = promql.named(_STATE, "name", "ip", "os_type")
    late = f"(({_BY_ANY}) > bool 3600 * $hours)"
    movement = f"({_STALLED} * 2 or {_DISCONNECTED} or {_CHOSEN} * 0)"
    columns = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("state", "State", mappings=coloured(STATE_COLOURS), coloured=True),
        Column("Value #B", "Time left", "dtdurations", mappings=_NO_END, coloured=True),
        Column("Value #C", "At the cut-over", mappings=_IN_TIME, coloured=True),
        Column("Value #D", "Movement", mappings=_MOVEMENT, coloured=True),
        Column("Value #E", "Share across", "percentunit", SHARE, gauge=True, decimals=1),
        Column("Value #F", "Bytes left", "bytes"),
        Column("Value #G", "Speed by the API", "Bps"),
        Column("Value #H", "Pace seen", "Bps"),
        Column("Value #I", "Limit", "Bps"),
        Column("Value #J", "Time left by the API", "dtdurations"),
        Column("Value #K", "Time left at its pace", "dtdurations"),
        Column("Value #L", "Since the last byte", "dtdurations"),
        Column("os_type", "OS"),
        Column("ip", "Address"),
        Column("account", "Account"),
        Column("server_id", "ID"),
    )
    size = server("source_server_size_bytes")
    grown = server("source_server_replicated_bytes_last_increase_timestamp_seconds")
    return rows(
        Frame(
            "Servers by time left",
            "The longest first, above them those with no end in sight. Time left is the API's estimate, where it gives "
            "none our own; both stand further right, as does the limit of those that have one. The name leads to "
            "the server's board.",
            width=24,
            height=14,
            empty="nothing sends",
        ),
        columns,
        f"max by (account, server_id, name, ip, os_type, state) ({chosen})",
        *(
            _only(expression)
            for expression in (
                _BY_ANY,
                late,
                movement,
                among(f"{server('source_server_replicated_bytes')} / ({size} > 0)", _CHOSEN),
                _LEFT,
                among(server("task_migrate_speed_bytes_per_second"), _CHOSEN),
                _PACE,
                among(server("task_speed_limit_bytes_per_second"), _CHOSEN),
                _BY_API,
                _BY_SLOPE,
                among(f"time() - {grown}", _CHOSEN),
            )
        ),
        sort_by="Time left",
    )


def _only(expression: str) -> str:
    """Leave the server's id as the one label: rows are joined by it."""
    return f"max by (server_id) ({expression})"


def _over_time() -> list[Panel]:
    by_state = graph(
        Frame("Servers that send", "How many servers are in replicate and in syncing.", width=8),
        (total(_STATE, "state"), "{{state}}"),
    )
    needed = graph(
        Frame(
            "Pace and pace needed",
            "The growth of the replicated bytes, the speed that the API tells, and the pace at which what is left "
            "would be across in the hours chosen.",
            unit="Bps",
            width=8,
        ),
        (total(_PACE), "seen in replicated bytes"),
        (total(among(server("task_migrate_speed_bytes_per_second"), _CHOSEN)), "told by the API"),
        (f"{total(_LEFT)} / (3600 * $hours)", "needed"),
    )
    return [
        painted(stacked(by_state), STATE_COLOURS),
        dashed(needed, "needed", RED),
        linked(
            graph(
                Frame(
                    "Longest time left",
                    "The ten servers with the most time left by the API's estimate; its lines should fall by a second "
                    "a second.",
                    unit="s",
                    width=8,
                    empty="no estimate",
                ),
                (promql.named(f"topk(10, {_BY_API})", "name"), "{{name}}"),
            ),
            LINK_OF_SERIES,
        ),
    ]
