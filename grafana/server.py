"""The board of one source server: its state, progress, speed, checks, disks and target."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import promql
from grafana.board import SERVER, account, board, chosen_server, state, system, window
from grafana.panels import Frame, Panel, Tile, dashed, graph, stats, timeline
from grafana.promql import CHOSEN_SERVER, matching, own
from grafana.server_details import checks, disks, words
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
    """Give the number, from 1 on, of the label value whose series is 1: a timeline needs one number a row."""
    return " or ".join(
        f"({promql.server(metric, where=f'{CHOSEN_SERVER},{matching(label, value)}')} == 1) * {number}"
        for number, value in enumerate(values, start=1)
    )


_STATE: Final = _number("source_server_state", "state", STATES)
_CYCLE: Final = _number("source_server_migration_cycle", "migration_cycle", CYCLES)


def source_server() -> Dashboard:
    """Build the board."""
    return board(
        SERVER,
        "One source server: what it does, how far it is, what it runs into, and where it goes.",
        [account(), system(), state(), chosen_server(), window()],
        [
            ("Now", _now()),
            ("State", [_timeline()]),
            ("Progress", _progress()),
            ("Server and target", words()),
            ("Checks", checks()),
            ("Disks (with the option collector.disks)", disks()),
        ],
    )


def _now() -> list[Panel]:
    return [
        stats(
            Tile(
                "State",
                "The state that the server is in.",
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
                "Share across",
                "Replicated bytes of the bytes to migrate; empty before the API knows the size.",
                unit="percentunit",
                steps=SHARE,
                decimals=1,
            ),
            (f"{_ACROSS} / ({_SIZE} > 0)", ""),
        ),
        stats(
            Tile("Bytes left", "Bytes that are not yet replicated.", unit="bytes"),
            (_LEFT, ""),
        ),
        stats(
            Tile(
                "Across at this pace",
                "When the rest is across, if the replicated bytes grow on as over the chosen time.",
                unit="dateTimeFromNow",
                empty="nothing moves",
            ),
            (f"(time() + {_LEFT} / ({_PACE} > 0)) * 1000", ""),
        ),
        stats(
            Tile(
                "Across by the API",
                "When the task is complete, as the API estimates; it gives no estimate while nothing moves.",
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
            "State, stage and agent's connection, as polls saw them.",
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
        Frame(
            "Bytes across", "Replicated bytes, and the bytes to migrate that they grow towards.", unit="bytes", width=8
        ),
        (_ACROSS, "replicated"),
        (_SIZE, "to migrate"),
    )
    speed = graph(
        Frame(
            "Speed",
            "The speed that the API tells, the growth of the replicated bytes over the chosen time, and the limit of "
            "the task; a task without a limit has no such line.",
            unit="Bps",
            width=8,
            empty="no task",
        ),
        (own("task_migrate_speed_bytes_per_second"), "told by the API"),
        (_PACE, "seen in replicated bytes"),
        (own("task_speed_limit_bytes_per_second"), "limit"),
    )
    return [
        dashed(done, "to migrate", GREEN),
        dashed(speed, "limit", RED),
        graph(
            Frame(
                "Current subtask",
                "Progress of the subtask that the task is at; it starts anew with each subtask.",
                unit="percentunit",
                width=8,
                empty="no task",
            ),
            (_SUBTASK, "{{subtask}}"),
        ).max(1),
    ]
