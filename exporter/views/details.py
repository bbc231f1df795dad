"""Everything that is known about one server, as titled lists of facts in a language and as chart lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.exposition.text import escape
from exporter.families.family import PREFIX
from exporter.families.task_details import find_address
from exporter.families.tasks import read_subtask
from exporter.polling.progress import Sample
from exporter.polling.snapshot import Snapshot
from exporter.sms.details import MigrationTask
from exporter.sms.model import NO_CLONE, NO_TASK, SourceServer, TargetServer, Task
from exporter.translation import Translator
from exporter.views.collector_facts import build_collector_facts, build_error_facts, find_task, list_sync_facts
from exporter.views.facts import Fact, Facts, format_flag, format_speed_limit, list_texts, list_times
from exporter.views.formatting import format_duration, format_size, format_speed
from exporter.views.meanings import explain_value

CHART_WIDTH: Final = 600
CHART_HEIGHT: Final = 80


@dataclass(frozen=True, slots=True)
class Line:
    """A chart of one value over time: the points of an SVG polyline, and its first, last and largest values."""

    points: str
    start: float
    end: float
    first: float
    last: float
    largest: float


def build_facts(server: SourceServer, snapshot: Snapshot, translator: Translator) -> list[Facts]:
    """Return all facts that the API reports about a server; what it does not report is left out."""
    task = server.current_task or NO_TASK
    listed = find_task(server.id, snapshot)
    _ = translator.gettext
    sections = [
        build_error_facts(server.id, snapshot, translator),
        Facts(_("Source server"), tuple(_source(server, translator))),
        Facts(_("Migration task"), (*_task(task, snapshot, translator), *list_sync_facts(listed, translator))),
        Facts(_("Target"), tuple(_target(task, listed, translator))),
        Facts(_("Clone for a drill"), tuple(_clone(task, translator))),
        *build_collector_facts(server.id, snapshot, translator),
    ]
    return [section for section in sections if section.facts]


def _source(server: SourceServer, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from list_texts(
        (_("Address"), server.ip),
        (_("Operating system"), " ".join(part for part in (server.os_type, server.os_version) if part)),
        (_("CPUs"), server.cpu_quantity),
        (_("Memory"), format_size(server.memory) if server.memory is not None else None),
        (_("Enterprise project"), server.enterprise_project_id),
        (_("Agent connected"), format_flag(server.connected, translator)),
        (_("OEM system"), format_flag(server.oem_system, translator)),
        (_("Consistency verification"), _("result available") if server.is_consistency_result_exist else None),
    )
    yield from list_times(
        (_("Agent last seen"), server.last_visit_time),
        (_("Registered"), server.add_date),
        (_("State since"), server.state_action_time),
        (_("Stage since"), server.stage_action_time),
    )


def _task(task: Task, snapshot: Snapshot, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    subtask, progress = read_subtask(task.subtask_info or "")
    subtask = explain_value(subtask, "subtask", translator)
    if progress is not None:
        subtask = _("%(subtask)s, %(share)s") % {"subtask": subtask, "share": f"{progress:.0%}"}
    speed, remaining = task.migrate_speed, task.remain_seconds
    yield from list_texts(
        (_("Name"), task.name),
        (_("ID"), task.id),
        (_("Type"), task.type),
        (_("State"), explain_value(task.state or "", "task state", translator)),
        (_("Subtask"), subtask),
        (_("Speed"), None if speed is None else format_speed(speed * snapshot.speed_unit_bytes)),
        (_("Speed limit"), format_speed_limit(task.speed_limit, translator)),
        (_("Compression"), None if task.compress_rate is None else f"{task.compress_rate:zg}"),
        (_("Time left"), None if remaining is None else format_duration(remaining, translator)),
        (_("Starts the target after migration"), format_flag(task.start_target_server, translator)),
        (_("Uses public addresses"), format_flag(task.use_public_ip, translator)),
        (_("Log collection"), explain_value(task.log_collect_status or "", "log status", translator)),
    )
    yield from list_times((_("Started"), task.start_date), (_("Estimated end"), task.estimate_complete_time))


def _target(task: Task, listed: MigrationTask | None, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    target = task.target_server or TargetServer()
    yield from list_texts(
        (_("Name"), target.name),
        (_("Address"), find_address(listed) if listed else None),
        (_("ID"), target.vm_id),
        (_("Region"), task.region_id),
        (_("Project"), task.project_name),
        (_("Project ID"), task.project_id),
        (_("Template"), task.vm_template_id),
        (_("Existing server"), format_flag(task.exist_server, translator)),
    )


def _clone(task: Task, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    clone = task.clone_server or NO_CLONE
    yield from list_texts(
        (_("Name"), clone.name),
        (_("ID"), clone.vm_id),
        (_("State"), explain_value(clone.clone_state or "", "clone state", translator)),
        (_("Error"), clone.clone_error),
    )


def build_line(samples: Sequence[Sample], value: str, now: float) -> Line | None:
    """Return the chart of a field of the samples until `now`, a step at each; None if it has always been 0."""
    values = [float(getattr(sample, value)) for sample in samples]
    if not any(values):
        return None
    start, largest = samples[0].time, max(values)
    width = CHART_WIDTH / max(now - start, 1.0)
    height = CHART_HEIGHT / largest
    # An unchanged value is not stored, so each value lasts until the next sample.
    steps = [(sample.time, number) for sample, number in zip(samples, values, strict=True)] + [(now, values[-1])]
    points = " ".join(f"{(time - start) * width:.1f},{CHART_HEIGHT - number * height:.1f}" for time, number in steps)
    return Line(points, start, now, values[0], values[-1], largest)


def promql_selector(name: str, account: str, server_id: str) -> str:
    """Return the PromQL selector of a metric of one server."""
    return f'{PREFIX}{name}{{account="{escape(account)}",server_id="{escape(server_id)}"}}'
