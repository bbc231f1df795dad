"""The dashboard of one source server: state, progress, speed, checks, disks and target."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import SERVER, account, board, chosen_server, state, system, window
from grafana.panels import Frame, Panel, Tile, dashed, graph, stats, timeline
from grafana.promql import CHOSEN_SERVER, matching, own
from grafana.server_details import checks, disks, facts
from grafana.style import (
    CONNECTED,
    CYCLE_COLOURS,
    CYCLES,
    GREEN,
    RED,
    SHARE,
    STATE_COLOURS,
    STATES,
    numbered,
)

_SIZE: Final = own("source_server_size_bytes")
_ACROSS: Final = own("source_server_replicated_bytes")
_LEFT: Final = f"clamp_min({_SIZE} - {_ACROSS}, 0)"
_GROWTH: Final = f"deriv({promql.selector('source_server_replicated_bytes', CHOSEN_SERVER)}[$window])"
_PACE: Final = f"clamp_min({promql.one(_GROWTH, 'server_id')}, 0)"
_SUBTASK: Final = (
    f"{own('task_subtask_info', 'subtask')} * on (account, server_id) group_left () "
    f"{own('task_subtask_progress_ratio')}"
)


def _number(metric: str, label: str, values: Sequence[str]) -> str:
    """Return the number, from 1, of the label value whose series is 1; a timeline needs one number per row."""
    return " or ".join(
        f"({promql.server(metric, where=f'{CHOSEN_SERVER},{matching(label, value)}')} == 1) * {number}"
        for number, value in enumerate(values, start=1)
    )


_STATE: Final = _number("source_server_state", "state", STATES)
_CYCLE: Final = _number("source_server_migration_cycle", "migration_cycle", CYCLES)


def source_server() -> Dashboard:
    """Build the dashboard."""
    return board(
        SERVER,
        "One source server: state, progress, speed, checks, disks and target.",
        [account(), system(), state(), chosen_server(), window()],
        [
            ("Now", _now()),
            ("State", [_timeline()]),
            ("Progress", _progress()),
            ("Server and target", facts()),
            ("Checks", checks()),
            ("Disks (with the option collector.disks)", disks()),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile(
                "State",
                "The current state of the server.",
                unit="none",
                mappings=numbered(STATES, STATE_COLOURS),
            ),
            (_STATE, ""),
        ),
        stats(
            Tile(
                "Agent",
                "Whether the agent on the server is connected to SMS.",
                unit="none",
                mappings=CONNECTED,
            ),
            (own("source_server_connected"), ""),
        ),
        stats(
            Tile(
                "Progress",
                "Replicated bytes / total bytes; empty before the API reports the size.",
                unit="percentunit",
                steps=SHARE,
                decimals=1,
            ),
            (f"{_ACROSS} / ({_SIZE} > 0)", ""),
        ),
        stats(
            Tile("Remaining data", "Data that is not yet replicated.", unit="bytes"),
            (_LEFT, ""),
        ),
        stats(
            Tile(
                "Completion (measured)",
                "When all data will be replicated, at the measured speed.",
                unit="dateTimeFromNow",
                empty="no progress",
            ),
            (f"(time() + {_LEFT} / ({_PACE} > 0)) * 1000", ""),
        ),
        stats(
            Tile(
                "Completion (API)",
                "When the task will be complete, by the API's estimate; none while no data is replicated.",
                unit="dateTimeFromNow",
                empty="no estimate",
            ),
            (f"{own('task_estimated_completion_timestamp_seconds')} * 1000", ""),
        ),
    ]


def _timeline() -> Panel:
    return timeline(
        Frame(
            "State over time",
            "State, stage and agent connection, as detected by polls.",
            unit="none",
            width=24,
            height=6,
        ),
        {
            "State": (_STATE, numbered(STATES, STATE_COLOURS)),
            "Stage": (_CYCLE, numbered(CYCLES, CYCLE_COLOURS)),
            "Agent": (own("source_server_connected"), CONNECTED),
        },
    )


def _progress() -> list[Panel]:
    done = graph(
        Frame("Replicated data", "Replicated bytes and total bytes.", unit="bytes", width=8),
        (_ACROSS, "replicated"),
        (_SIZE, "total"),
    )
    speed = graph(
        Frame(
            "Speed",
            "The speed reported by the API, the measured replication speed, and the speed limit of the task, if any.",
            unit="Bps",
            width=8,
            empty="no task",
        ),
        (own("task_migrate_speed_bytes_per_second"), "reported by the API"),
        (_PACE, "measured"),
        (own("task_speed_limit_bytes_per_second"), "limit"),
    )
    return [
        dashed(done, "total", GREEN),
        dashed(speed, "limit", RED),
        graph(
            Frame(
                "Current subtask",
                "Progress of the current subtask of the task.",
                unit="percentunit",
                width=8,
                empty="no task",
            ),
            (_SUBTASK, "{{subtask}}"),
        ).max(1),
    ]
