"""The panels of the source server dashboard that read collectors of other lists: errors, subtasks, load, network."""

from grafana.panels import Column, Frame, Panel, Tile, graph, rows, stats, words
from grafana.promql import CHOSEN_SERVER, fleet, own, record
from grafana.style import BAD_ABOVE_ZERO, GREEN, RED, VERDICT_COLOURS, YES_NO

_OFF = "collector.task_details is off"


def readiness() -> list[Panel]:
    """Return the tiles about the cut-over: verdict, error, lag and consistency."""
    verdict = record("verdict", CHOSEN_SERVER, operation="first")
    return [
        words(
            Tile("Verdict", "Ready for the cut-over, or the first reason why not.", unit="none"),
            (verdict, "{{verdict}}"),
            VERDICT_COLOURS,
        ),
        words(
            Tile(
                "Error code",
                "The error code of the server or its task. Requires the option collector.errors or "
                "collector.task_details.",
                unit="none",
                width=8,
                empty="none",
            ),
            (record("error_remedy", CHOSEN_SERVER), "{{error_code}} {{remedy}}"),
            {},
        ),
        stats(
            Tile(
                "Lag",
                "Time since the last synchronization ended. Requires the option collector.task_details.",
                unit="dtdurations",
                empty="not synchronizing",
            ),
            (record("sync_lag_seconds", CHOSEN_SERVER), ""),
        ),
        stats(
            Tile(
                "Missing and different files",
                "Files that the last consistency verification found missing on the target, or different. Requires the "
                "option collector.consistency.",
                width=8,
                steps=BAD_ABOVE_ZERO,
                empty="not verified",
            ),
            (
                fleet("task_consistency_files", "result", where=f'{CHOSEN_SERVER},result=~"missing|different"'),
                "{{result}}",
            ),
        ),
    ]


def task_details() -> list[Panel]:
    """Return the panels of the collector `task_details`."""
    start = own("task_subtask_start_timestamp_seconds", "subtask")
    end = own("task_subtask_end_timestamp_seconds", "subtask")
    columns = (
        Column("subtask", "Subtask"),
        Column("Value #A", "Started", "dateTimeFromNow"),
        Column("Value #B", "Ended", "dateTimeFromNow"),
        Column("Value #C", "Duration", "dtdurations"),
        Column("Value #D", "Usual duration", "dtdurations"),
        Column("Value #E", "Progress", "percentunit", gauge=True, decimals=0),
    )
    usual = record("subtask_seconds", level="account_subtask", operation="median")
    return [
        rows(
            Frame(
                "Subtasks",
                "The subtasks of the task. The usual duration is the median of the account's tasks. Requires the "
                "option collector.task_details.",
                empty=_OFF,
            ),
            columns,
            *(
                f"max by (subtask) ({expression})"
                for expression in (
                    f"{start} * 1000",
                    f"{end} * 1000",
                    f"({end} or time() + 0 * {start}) - {start}",
                    f"{usual} and on (account, subtask) {start}",
                    own("task_subtask_completed_ratio", "subtask"),
                )
            ),
            key="subtask",
            sort_by="Started",
            descending=False,
        ),
        graph(
            Frame(
                "CPU of the source server",
                "CPU use of the source server and of the agent on it. Requires the option collector.task_details.",
                unit="percentunit",
                steps=((None, GREEN), (0.9, RED)),
                empty=_OFF,
            ),
            (own("task_source_cpu_ratio"), "source server"),
            (own("task_agent_cpu_ratio"), "agent"),
        ).max(1),
        graph(
            Frame(
                "Memory of the source server",
                "Memory in use on the source server, and by the agent. Requires the option collector.task_details.",
                unit="bytes",
                empty=_OFF,
            ),
            (own("task_source_memory_bytes"), "source server"),
            (own("task_agent_memory_bytes"), "agent"),
        ),
        graph(
            Frame(
                "Disk I/O of the source server",
                "Disk input and output of the source server and of the agent. Requires the option "
                "collector.task_details.",
                unit="Bps",
                empty=_OFF,
            ),
            (own("task_source_disk_bytes_per_second"), "source server"),
            (own("task_agent_disk_bytes_per_second"), "agent"),
        ),
        _network(),
    ]


def _network() -> Panel:
    columns = (
        Column("Value #A", "Delay", "s"),
        Column("Value #B", "Jitter", "s"),
        Column("Value #C", "Packet loss", "percentunit", decimals=1),
        Column("Value #D", "Speed", "Bps"),
        Column("Value #E", "Domain names reachable", mappings=YES_NO, coloured=True),
        Column("Value #F", "Target reachable", mappings=YES_NO, coloured=True),
        Column("address", "Target address"),
    )
    reachable = [
        fleet("task_network_reachable", "server_id", where=f'{CHOSEN_SERVER},destination="{destination}"')
        for destination in ("domain", "target")
    ]
    return rows(
        Frame(
            "Network check",
            "The last network check between source and target. Requires the option collector.task_details.",
            width=24,
            height=4,
            empty="no check, or collector.task_details is off",
        ),
        columns,
        *(
            f"max by (server_id) ({own(f'task_network_{name}')})"
            for name in ("delay_seconds", "jitter_seconds", "loss_ratio", "speed_bytes_per_second")
        ),
        *(f"max by (server_id) ({expression})" for expression in reachable),
        f"max by (server_id, address) ({own('task_target_info', 'address')})",
    )
