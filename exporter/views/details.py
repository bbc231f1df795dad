"""Everything that is known about one server, as titled lists of facts in a language and as chart lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.families.tasks import read_subtask
from exporter.polling.progress import Sample
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import NO_CLONE, NO_TASK, SourceServer, TargetServer, Task
from exporter.translation import Translator
from exporter.views.formatting import format_duration, format_size, format_speed
from exporter.views.meanings import explain_value

CHART_WIDTH: Final = 600
CHART_HEIGHT: Final = 80


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value; a time is in seconds since the epoch instead of `text`."""

    name: str
    text: str = ""
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A titled list of facts."""

    title: str
    facts: Sequence[Fact]


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
    _ = translator.gettext
    sections = [
        Facts(_("Source server"), tuple(_source(server, translator))),
        Facts(_("Migration task"), tuple(_task(task, snapshot, translator))),
        Facts(_("Target"), tuple(_target(task, translator))),
        Facts(_("Clone for a drill"), tuple(_clone(task, translator))),
    ]
    return [section for section in sections if section.facts]


def _source(server: SourceServer, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    yield from _texts(
        (_("Address"), server.ip),
        (_("Operating system"), " ".join(part for part in (server.os_type, server.os_version) if part)),
        (_("CPUs"), server.cpu_quantity),
        (_("Memory"), format_size(server.memory) if server.memory is not None else None),
        (_("Enterprise project"), server.enterprise_project_id),
        (_("Agent connected"), _yes_or_no(server.connected, translator)),
        (_("OEM system"), _yes_or_no(server.oem_system, translator)),
        (_("Consistency verification"), _("result available") if server.is_consistency_result_exist else None),
    )
    yield from _times(
        (_("Agent last seen"), server.last_visit_time),
        (_("Added"), server.add_date),
        (_("State since"), server.state_action_time),
        (_("Stage since"), server.stage_action_time),
    )


def _task(task: Task, snapshot: Snapshot, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    subtask, progress = read_subtask(task.subtask_info or "")
    share = "" if progress is None else f", {progress:.0%}"
    speed, remaining = task.migrate_speed, task.remain_seconds
    yield from _texts(
        (_("Name"), task.name),
        (_("Id"), task.id),
        (_("Type"), task.type),
        (_("State"), explain_value(task.state or "", "task state", translator)),
        (_("Sub-task"), f"{explain_value(subtask, 'subtask', translator)}{share}" if subtask else None),
        (_("Speed"), None if speed is None else format_speed(speed * snapshot.speed_unit_bytes)),
        (_("Speed limit"), _speed_limit(task.speed_limit, translator)),
        (_("Compression"), None if task.compress_rate is None else f"{task.compress_rate:g}"),
        (_("Time left"), None if remaining is None else format_duration(remaining, translator)),
        (_("Starts the target after migration"), _yes_or_no(task.start_target_server, translator)),
        (_("Uses public addresses"), _yes_or_no(task.use_public_ip, translator)),
        (_("Log collection"), explain_value(task.log_collect_status or "", "log status", translator)),
    )
    yield from _times((_("Started"), task.start_date), (_("Estimated end"), task.estimate_complete_time))


def _speed_limit(limit: int | None, translator: Translator) -> str | None:
    # Mbit/s in the reference; 0 is no limit.
    if limit is None:
        return None
    return f"{limit} Mbit/s" if limit else translator.pgettext("no speed limit", "none")


def _target(task: Task, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    target = task.target_server or TargetServer()
    yield from _texts(
        (_("Name"), target.name),
        (_("Id"), target.vm_id),
        (_("Region"), task.region_id),
        (_("Project"), task.project_name),
        (_("Project id"), task.project_id),
        (_("Template"), task.vm_template_id),
        (_("Existing server"), _yes_or_no(task.exist_server, translator)),
    )


def _clone(task: Task, translator: Translator) -> Iterator[Fact]:
    _ = translator.gettext
    clone = task.clone_server or NO_CLONE
    yield from _texts(
        (_("Name"), clone.name),
        (_("Id"), clone.vm_id),
        (_("State"), explain_value(clone.clone_state or "", "clone state", translator)),
        (_("Error"), clone.clone_error),
    )


def _texts(*facts: tuple[str, str | int | None]) -> Iterator[Fact]:
    return (Fact(name, str(value)) for name, value in facts if value not in {None, ""})


def _times(*facts: tuple[str, int | None]) -> Iterator[Fact]:
    """Return facts of times that the API gives in milliseconds."""
    return (Fact(name, time=milliseconds / 1000) for name, milliseconds in facts if milliseconds)


def _yes_or_no(value: bool | None, translator: Translator) -> str | None:
    if value is None:
        return None
    return translator.gettext("yes") if value else translator.gettext("no")


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
    return f'huaweicloud_sms_{name}{{account="{_escape_label(account)}",server_id="{_escape_label(server_id)}"}}'


def _escape_label(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
