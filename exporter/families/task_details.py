"""The collector `task_details`: what the list of tasks adds to the migration task of each source server.

Of several tasks of a server, the newest counts. Tasks of servers that are not in the account's list are left out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from exporter.families.errors import limit_codes
from exporter.families.family import ONE, READ_AT, SERVER_ID, Collector, Sample, SnapshotFamily, seconds
from exporter.polling.launched import list_addresses
from exporter.polling.snapshot import SPEED_UNITS, Snapshot, documented
from exporter.sms.details import SUBTASKS, MigrationTask, NetworkCheck, SubTask

_PATH: Final = "task_details[]"
_SERVER: Final = f"{_PATH}.source_server.id"
_SUBTASK_LABELS: Final = {SERVER_ID: _SERVER, "subtask": f"{_PATH}.sub_tasks[].name"}

BYTES_PER_MEGABYTE: Final = 2**20
BYTES_PER_MEGABIT: Final = SPEED_UNITS["mbit"]


def list_tasks(snapshot: Snapshot) -> Iterator[tuple[str, MigrationTask]]:
    """Return the task of each server of the list that has one, with the id of the server."""
    details = snapshot.details.get("task_details")
    tasks = details.records if details else {}
    return ((server.id, tasks[server.id]) for server in snapshot.servers if server.id in tasks)


def last_sync(task: MigrationTask) -> float | None:
    """Return when the last synchronization ended; None if none has."""
    syncs = [subtask.end_date or 0 for subtask in task.sub_tasks or () if (subtask.name or "").startswith("SYNC_")]
    return seconds(max(syncs, default=None))


def find_address(task: MigrationTask) -> str | None:
    """Return the IP address of the target server in canonical form; None if the API reports none."""
    return next(map(str, list_addresses(task)), None)


def _value(name: str, help_text: str, field: str, read: Callable[[MigrationTask], float | None]) -> SnapshotFamily:
    """Declare one number per task."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        numbers = ((server_id, read(task)) for server_id, task in list_tasks(snapshot))
        return (((server_id,), number) for server_id, number in numbers if number is not None)

    return SnapshotFamily(name, help_text, samples, {SERVER_ID: _SERVER}, (f"{_PATH}.{field}",), polled_at=READ_AT)


def _field(name: str, help_text: str, field: str, factor: float = 1) -> SnapshotFamily:
    """Declare a number that is a field of the task, times a factor."""

    def read(task: MigrationTask) -> float | None:
        number: float | None = getattr(task, field)
        return None if number is None else number * factor

    return _value(name, help_text, field, read)


def _network(name: str, help_text: str, field: str, factor: float) -> SnapshotFamily:
    """Declare a number that is a field of the network check, times a factor."""

    def read(task: MigrationTask) -> float | None:
        number: float | None = getattr(task.network_check_info or NetworkCheck(), field)
        return None if number is None else number * factor

    return _value(name, help_text, f"network_check_info.{field}", read)


def _subtask(name: str, help_text: str, field: str, read: Callable[[SubTask], float | None]) -> SnapshotFamily:
    """Declare one number per subtask; of subtasks with the same name, the last one counts."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for server_id, task in list_tasks(snapshot):
            last = {documented(subtask.name, SUBTASKS): subtask for subtask in task.sub_tasks or ()}
            for label, subtask in last.items():
                number = read(subtask)
                if number is not None:
                    yield (server_id, label), number

    values = (f"{_PATH}.sub_tasks[].{field}",)
    return SnapshotFamily(name, help_text, samples, _SUBTASK_LABELS, values, polled_at=READ_AT)


def _list_errors(snapshot: Snapshot) -> Iterable[Sample]:
    codes = {server_id: task.code for server_id, task in list_tasks(snapshot) if task.code}
    return [((code, server_id), ONE) for server_id, code in limit_codes(codes).items()]


def _list_addresses(snapshot: Snapshot) -> Iterator[Sample]:
    addresses = ((find_address(task), server_id) for server_id, task in list_tasks(snapshot))
    return (((address, server_id), ONE) for address, server_id in addresses if address)


def _list_reachability(snapshot: Snapshot) -> Iterator[Sample]:
    for server_id, task in list_tasks(snapshot):
        check = task.network_check_info or NetworkCheck()
        for destination, reachable in (
            ("domain", check.domain_connectivity),
            ("target", check.destination_connectivity),
        ):
            if reachable is not None:
                yield (destination, server_id), float(reachable)


_REACHABLE_FIELDS: Final = (
    f"{_PATH}.network_check_info.domain_connectivity",
    f"{_PATH}.network_check_info.destination_connectivity",
)

TASK_DETAILS: Final = Collector(
    "task_details",
    (
        SnapshotFamily(
            "task_error",
            "Error code of the task, always 1; unknown if the API reports an error without a code.",
            _list_errors,
            {"error_code": f"{_PATH}.error_json", SERVER_ID: _SERVER},
            polled_at=READ_AT,
        ),
        _subtask(
            "task_subtask_start_timestamp_seconds",
            "Unix time at which the subtask started; undocumented subtasks are other.",
            "start_date",
            lambda subtask: seconds(subtask.start_date),
        ),
        _subtask(
            "task_subtask_end_timestamp_seconds",
            "Unix time at which the subtask ended; absent while it runs.",
            "end_date",
            lambda subtask: seconds(subtask.end_date),
        ),
        _subtask(
            "task_subtask_completed_ratio",
            "Progress of the subtask, from 0 to 1.",
            "progress",
            lambda subtask: None if subtask.progress is None else subtask.progress / 100,
        ),
        _value(
            "task_last_sync_timestamp_seconds",
            "Unix time at which the last synchronization of the task ended; absent before the first.",
            "sub_tasks[].end_date",
            last_sync,
        ),
        _field("task_continuous_sync", "Whether continuous synchronization is on, 1 or 0.", "syncing"),
        _field("task_source_cpu_ratio", "CPU use of the source server, from 0 to 1.", "total_cpu_usage", 0.01),
        _field("task_agent_cpu_ratio", "CPU use of the agent, from 0 to 1.", "agent_cpu_usage", 0.01),
        _field(
            "task_source_memory_bytes",
            "Memory in use on the source server; the API reports megabytes of 1,048,576 bytes.",
            "total_mem_usage",
            BYTES_PER_MEGABYTE,
        ),
        _field(
            "task_agent_memory_bytes",
            "Memory in use by the agent; the API reports megabytes of 1,048,576 bytes.",
            "agent_mem_usage",
            BYTES_PER_MEGABYTE,
        ),
        _field(
            "task_source_disk_bytes_per_second",
            "Disk input and output of the source server.",
            "total_disk_io",
            BYTES_PER_MEGABIT,
        ),
        _field(
            "task_agent_disk_bytes_per_second",
            "Disk input and output of the agent.",
            "agent_disk_io",
            BYTES_PER_MEGABIT,
        ),
        _network("task_network_delay_seconds", "Delay in the network check.", "network_delay", 0.001),
        _network("task_network_jitter_seconds", "Jitter in the network check.", "network_jitter", 0.001),
        _network("task_network_loss_ratio", "Packet loss in the network check, from 0 to 1.", "loss_percentage", 0.01),
        _network(
            "task_network_speed_bytes_per_second",
            "Speed measured in the network check.",
            "migration_speed",
            BYTES_PER_MEGABIT,
        ),
        SnapshotFamily(
            "task_network_reachable",
            "Whether the network check reached the domain names or the target server, 1 or 0.",
            _list_reachability,
            {"destination": _REACHABLE_FIELDS[1], SERVER_ID: _SERVER},
            _REACHABLE_FIELDS,
            polled_at=READ_AT,
        ),
        SnapshotFamily(
            "task_target_info",
            "IP address of the target server, always 1.",
            _list_addresses,
            {"address": f"{_PATH}.migration_ip", SERVER_ID: _SERVER},
            (f"{_PATH}.migration_ip", f"{_PATH}.target_server.ip"),
            polled_at=READ_AT,
        ),
    ),
)
