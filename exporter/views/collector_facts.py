"""What the collectors that send further requests know about one server, as titled lists of facts.

A collector that is off, or whose data is stale, adds nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from exporter.families.projects import list_projects
from exporter.families.task_details import BYTES_PER_MEGABIT, BYTES_PER_MEGABYTE, last_sync
from exporter.http.foreign_text import clean_text
from exporter.polling.snapshot import Snapshot
from exporter.sms.consistency import ConsistencyResult
from exporter.sms.details import MigrationError, MigrationProject, MigrationTask, NetworkCheck, SubTask
from exporter.translation import Translator
from exporter.views.facts import Fact, Facts, format_flag, format_speed_limit, list_texts, list_times
from exporter.views.formatting import format_number, format_percent, format_size, format_speed


def find_task(server_id: str, snapshot: Snapshot) -> MigrationTask | None:
    """Return what the collector `task_details` knows about the task of a server."""
    task: MigrationTask | None = _find_record("task_details", server_id, snapshot)
    return task


def list_subtasks(server_id: str, snapshot: Snapshot) -> Sequence[SubTask]:
    """Return the subtasks of a server's task in the order of the API."""
    task = find_task(server_id, snapshot)
    return (task.sub_tasks or ()) if task else ()


def list_sync_facts(task: MigrationTask | None, translator: Translator) -> Iterator[Fact]:
    """Return the facts about continuous synchronization."""
    if task is not None:
        _ = translator.gettext
        yield from list_texts((_("Continuous synchronization"), format_flag(task.syncing, translator)))
        synced_at = last_sync(task)
        if synced_at is not None:
            yield Fact(_("Last synchronization"), time=synced_at)


def build_error_facts(server_id: str, snapshot: Snapshot, translator: Translator) -> Facts:
    """Return the errors of a server and its task."""
    return Facts(translator.gettext("Migration error"), tuple(_errors(server_id, snapshot, translator)))


def build_collector_facts(server_id: str, snapshot: Snapshot, translator: Translator) -> Iterator[Facts]:
    """Return the facts of each collector that knows something about a server."""
    _ = translator.gettext
    verification = _find_record("consistency", server_id, snapshot)
    task = find_task(server_id, snapshot)
    project = _find_project(server_id, snapshot)
    if task is not None:
        yield Facts(_("Load of the source server"), tuple(_load(task, translator)))
        yield Facts(_("Network check"), tuple(_network(task.network_check_info or NetworkCheck(), translator)))
    if verification is not None and verification.result is not None:
        yield Facts(_("Consistency verification"), tuple(_consistency(verification.result, translator)))
    if project is not None:
        yield Facts(_("Migration project"), tuple(_project(project, translator)))


def _find_record(collector: str, server_id: str, snapshot: Snapshot) -> Any:  # noqa: ANN401 - each collector has its own
    details = snapshot.details.get(collector)
    return details.records.get(server_id) if details else None


def _find_project(server_id: str, snapshot: Snapshot) -> MigrationProject | None:
    return next((each.project for each in list_projects(snapshot) if server_id in (each.servers or ())), None)


def _errors(server_id: str, snapshot: Snapshot, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    error: MigrationError | None = _find_record("errors", server_id, snapshot)
    task = find_task(server_id, snapshot)
    if error is not None:
        yield from list_texts((_("Error code"), error.code), (_("Error text"), clean_text(error.error_json or "")))
    # As a rule, the error of a server is that of its task.
    if task is not None and task.code is not None and (error is None or task.error_json != error.error_json):
        yield from list_texts(
            (_("Error code of the task"), task.code), (_("Error text of the task"), clean_text(task.error_json or ""))
        )


def _load(task: MigrationTask, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from list_texts(
        (_("CPU, in total"), _percent(task.total_cpu_usage, translator)),
        (_("CPU, agent"), _percent(task.agent_cpu_usage, translator)),
        (_("Memory, in total"), _size(task.total_mem_usage)),
        (_("Memory, agent"), _size(task.agent_mem_usage)),
        (_("Disk I/O, in total"), _speed(task.total_disk_io)),
        (_("Disk I/O, agent"), _speed(task.agent_disk_io)),
    )


def _network(check: NetworkCheck, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from list_texts(
        (_("Delay"), _milliseconds(check.network_delay)),
        (_("Jitter"), _milliseconds(check.network_jitter)),
        (_("Packet loss"), _percent(check.loss_percentage, translator)),
        (_("Speed"), _speed(check.migration_speed)),
        (_("Domain names reachable"), format_flag(check.domain_connectivity, translator)),
        (_("Target server reachable"), format_flag(check.destination_connectivity, translator)),
    )


def _consistency(result: ConsistencyResult, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from list_texts(
        (_("Files compared"), _number(result.total_files)),
        (_("Files that differ"), _number(result.different_files)),
        (_("Files missing on the target"), _number(result.missing_files)),
        (_("Files only on the target"), _number(result.extra_files)),
        (_("Result"), clean_text(result.check_result or "")),
    )
    yield from list_times((_("Verified"), result.finished_time))


def _project(project: MigrationProject, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from list_texts(
        (_("Name"), project.name),
        (_("ID"), project.id),
        (_("Type"), project.type),
        (_("Default project"), format_flag(project.isdefault, translator)),
        (_("Speed limit"), format_speed_limit(project.speed_limit, translator)),
    )


def _percent(value: float | None, translator: Translator) -> str | None:
    return None if value is None else format_percent(value, translator)


def _size(megabytes: float | None) -> str | None:
    return None if megabytes is None else format_size(megabytes * BYTES_PER_MEGABYTE)


def _speed(megabits_per_second: float | None) -> str | None:
    return None if megabits_per_second is None else format_speed(megabits_per_second * BYTES_PER_MEGABIT)


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:zg} ms"


def _number(value: int | None) -> str | None:
    return None if value is None else format_number(value)
