"""The dashboard for a cut-over: all servers that still replicate data, by remaining time."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import CUTOVER, LINK_OF_ROW, LINK_OF_SERIES, account, board, hours, moving_state, system
from grafana.panels import Column, Frame, Panel, Tile, bars, dashed, graph, linked, painted, rows, stacked, stats
from grafana.promql import among, matching, record, server, total
from grafana.style import (
    BAD_ABOVE_ZERO,
    ENDLESS,
    GREEN,
    ORANGE,
    RED,
    SHARE,
    STATE_COLOURS,
    VERDICT_COLOURS,
    WARN_ABOVE_ZERO,
    coloured,
    endless,
    missing,
    words,
)

_CHOSEN: Final = (matching("state", "$state"), matching("os_type", "$os"))
_STATE: Final = record("state", *_CHOSEN)
_SPEED: Final = record("replicated_bytes", *_CHOSEN, operation="deriv30m")
_MEASURED: Final = record("remaining_seconds", *_CHOSEN, operation="measured")
_ESTIMATED: Final = record("remaining_seconds", *_CHOSEN, operation="estimated")
_SHORTEST: Final = record("remaining_seconds", *_CHOSEN, operation="min")
_REMAINING_TIME: Final = f"clamp_max({_SHORTEST}, {ENDLESS:.0f}) or on (account, server_id) {ENDLESS:.0f} * {_STATE}"
"""The smaller of the API's and the measured estimate; ENDLESS for a server that replicates nothing."""
_LATE: Final = f"({_REMAINING_TIME}) > 3600 * $hours"
_STALLED: Final = record("stalled", *_CHOSEN)
_DISCONNECTED: Final = record("disconnected", *_CHOSEN)


def _sums(name: str, operation: str = "sum") -> str:
    """Select sums over the selected servers."""
    return record(name, *_CHOSEN, level="account_state_os_type", operation=operation)


_SERVERS: Final = _sums("source_servers", "count")
_TOTAL_SPEED: Final = total(_sums("replicated_bytes", "deriv30m"))
_TOTAL_REMAINING: Final = total(_sums("remaining_bytes"))

_MOVEMENT: Final = [*words({"1": ("disconnected", ORANGE), "2": ("stalled", RED)}), *missing("active", GREEN)]
_IN_TIME: Final = [*words({"0": ("on time", GREEN), "1": ("late", RED)}), *missing("late", RED)]
"""A server that replicates nothing is late."""
_NO_END: Final = endless("no progress")


def cutover() -> Dashboard:
    """Build the dashboard."""
    return board(
        CUTOVER,
        "All servers that still replicate data: remaining time compared with the hours until the cut-over, and what is "
        "ready.",
        [account(), system(), moving_state(), hours()],
        [
            ("Will the cut-over be on time?", _now()),
            ("By remaining time", [_table()]),
            ("Ready for the cut-over?", _readiness()),
            ("Over time", _over_time()),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile("Replicating", "Servers in state replicate or syncing."),
            (f"{total(_SERVERS)} or 0 * {total(record('source_servers', level='account'))}", ""),
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
            (_TOTAL_REMAINING, ""),
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
            (f"{_TOTAL_SPEED} / ({_TOTAL_REMAINING} / (3600 * $hours) > 0)", ""),
        ),
    ]


def _table() -> Panel:
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
    replicated, remaining = record("replicated_bytes"), record("remaining_bytes")
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
                f"{_SHORTEST} > bool 3600 * $hours",
                f"2 * {_STALLED} or on (account, server_id) {_DISCONNECTED}",
                f"1 / (1 + {remaining} / {replicated})",
                remaining,
                promql.freshest(among(promql.selector("task_migrate_speed_bytes_per_second"), _STATE)),
                _SPEED,
                promql.freshest(promql.selector("task_speed_limit_bytes_per_second")),
                _ESTIMATED,
                f"{_MEASURED} < Inf",
                f"time() - {record('last_increase_timestamp_seconds')}",
            )
        ),
        required="name",
        sort_by="Remaining time",
    )


def _only(expression: str) -> str:
    """Keep only the label server_id, by which the rows are joined."""
    return f"max by (server_id) ({expression})"


def _readiness() -> list[Panel]:
    of_project = (
        Column("project", "Project"),
        Column("verdict", "Verdict", mappings=coloured(VERDICT_COLOURS), coloured=True),
        Column("Value #B", "Servers", "short"),
        Column("Value #C", "Ready", "short"),
        Column("Value #D", "Launched", "short"),
        Column("account", "Account"),
        Column("project_id", "Project ID"),
    )
    of_server = (
        Column("name", "Server", link=LINK_OF_ROW),
        Column("verdict", "Verdict", mappings=coloured(VERDICT_COLOURS), coloured=True),
        Column("Value #B", "Lag", "dtdurations"),
        Column("Value #C", "Missing files", "short"),
        Column("Value #D", "Different files", "short"),
        Column("project", "Project"),
        Column("os_type", "OS"),
        Column("ip", "Address"),
        Column("account", "Account"),
        Column("server_id", "ID"),
    )
    verdict = record("verdict", matching("os_type", "$os"), 'state="syncing"', operation="first")
    differing = "task_consistency_files"
    return [
        bars(
            Frame(
                "Servers by verdict",
                "Number of servers by verdict: ready, launching, launched, or the first reason why not.",
                width=8,
                height=10,
            ),
            (f"sort_desc({promql.verdicts('verdict')})", "{{verdict}}"),
        ),
        rows(
            Frame(
                "Migration projects by verdict",
                "A project is ready if all its servers are; otherwise its verdict is the first reason. Without the "
                "option collector.projects, all servers of an account are one project without a name.",
                width=16,
                height=10,
            ),
            of_project,
            *(
                _of_project(expression, *labels)
                for expression, labels in (
                    (record("verdict", level="project", operation="first"), ("account", "project", "verdict")),
                    (record("verdict", level="project", operation="count"), ()),
                    (_count_of("ready"), ()),
                    (_count_of("launched"), ()),
                )
            ),
            key="project_id",
            sort_by="Project",
            descending=False,
        ),
        rows(
            Frame(
                "Servers in continuous synchronization",
                "The verdict of each server, and the time since its last synchronization ended. Lag requires the "
                "option collector.task_details, files require collector.consistency.",
                width=24,
                height=14,
                empty="no server is in continuous synchronization",
            ),
            of_server,
            f"max by (account, server_id, name, ip, os_type, verdict) ({verdict})",
            _only(record("sync_lag_seconds", matching("os_type", "$os"))),
            _only(server(differing, where='result="missing"')),
            _only(server(differing, where='result="different"')),
            f"max by (server_id, project) ({promql.selector('source_server_project_info')})",
            sort_by="Verdict",
        ),
    ]


def _count_of(verdict: str) -> str:
    """Return the number of servers with a verdict in each project, 0 for none."""
    counts = record("verdict", f'verdict="{verdict}"', level="project", operation="count")
    return f"{counts} or on (account, project_id) 0 * {record('verdict', level='project', operation='first')}"


def _of_project(expression: str, *labels: str) -> str:
    """Sum by project; servers without a project have the ID `none`."""
    with_id = f'label_replace({expression}, "project_id", "none", "project_id", "")'
    return f"sum by ({', '.join(('project_id', *labels))}) ({with_id})"


def _over_time() -> list[Panel]:
    by_state = graph(
        Frame("Replicating servers", "Number of servers in state replicate and syncing.", width=8),
        (total(_SERVERS, "state"), "{{state}}"),
    )
    needed = graph(
        Frame(
            "Speed and required speed",
            "The measured replication speed, the speed reported by the API, and the speed required to finish within "
            "the selected hours.",
            unit="Bps",
            width=8,
        ),
        (_TOTAL_SPEED, "measured"),
        (total(_sums("task_migrate_speed_bytes_per_second")), "reported by the API"),
        (f"{_TOTAL_REMAINING} / (3600 * $hours)", "required"),
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
                (f"topk(10, {_ESTIMATED})", "{{name}}"),
            ),
            LINK_OF_SERIES,
        ),
    ]
