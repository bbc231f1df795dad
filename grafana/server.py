"""The dashboard of one source server: state, progress, speed, checks, disks and target."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.board import SERVER, account, alerts, board, chosen_server, state, system, window
from grafana.panels import Frame, Panel, Tile, dashed, graph, stats, timeline, words
from grafana.promql import CHOSEN_SERVER, own, record
from grafana.server_details import checks, disks, facts
from grafana.server_task import readiness, task_details
from grafana.style import (
    CONNECTED,
    CYCLE_COLOURS,
    GREEN,
    RED,
    SHARE,
    STATE_COLOURS,
    present,
)

_OWN: Final = CHOSEN_SERVER
_STATE: Final = record("state", _OWN)
_REPLICATED: Final = own("source_server_replicated_bytes")
_SIZE: Final = own("source_server_size_bytes")
_REMAINING: Final = f"clamp_min({_SIZE} - {_REPLICATED}, 0)"
_SPEED: Final = f"clamp_min(deriv({record('replicated_bytes', _OWN)}[$window]), 0)"
_CONNECTED: Final = own("source_server_connected")
_SUBTASK: Final = (
    f"{own('task_subtask_info', 'subtask')} * on (account, server_id) group_left () "
    f"{own('task_subtask_progress_ratio')}"
)


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
            ("Why did it fail, and is it ready?", readiness()),
            ("Alerts", [alerts(CHOSEN_SERVER)]),
            ("Server and target", facts()),
            ("Checks", checks()),
            ("Task (with the option collector.task_details)", task_details()),
            ("Disks (with the option collector.disks)", disks()),
        ],
    )


def _now() -> list[Panel]:
    return [
        words(Tile("State", "The current state of the server.", unit="none"), (_STATE, "{{state}}"), STATE_COLOURS),
        stats(
            Tile(
                "Agent",
                "Whether the agent on the server is connected to SMS.",
                unit="none",
                mappings=CONNECTED,
            ),
            (_CONNECTED, ""),
        ),
        stats(
            Tile(
                "Progress",
                "Replicated bytes / total bytes; empty before the API reports the size.",
                unit="percentunit",
                steps=SHARE,
                decimals=1,
            ),
            (f"{_REPLICATED} / ({_SIZE} > 0)", ""),
        ),
        stats(
            Tile("Remaining data", "Data that is not yet replicated.", unit="bytes"),
            (_REMAINING, ""),
        ),
        stats(
            Tile(
                "Completion (measured)",
                "When all data will be replicated, at the measured speed.",
                unit="dateTimeFromNow",
                empty="no progress",
            ),
            (f"(time() + {_REMAINING} / ({_SPEED} > 0)) * 1000", ""),
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
            "States, stages and agent connection, as detected by polls: one row for each that occurred.",
            unit="none",
            width=24,
            height=8,
        ),
        [
            (_STATE, "{{state}}"),
            (own("source_server_migration_cycle", "migration_cycle") + " == 1", "stage {{migration_cycle}}"),
            (_CONNECTED, "agent"),
        ],
        {
            **{state: present(state, colour) for state, colour in STATE_COLOURS.items()},
            **{f"stage {stage}": present(stage, colour) for stage, colour in CYCLE_COLOURS.items()},
            "agent": CONNECTED,
        },
    )


def _progress() -> list[Panel]:
    done = graph(
        Frame("Replicated data", "Replicated bytes and total bytes.", unit="bytes", width=8),
        (_REPLICATED, "replicated"),
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
        (_SPEED, "measured"),
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
