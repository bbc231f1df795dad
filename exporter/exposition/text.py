"""Families as lines of the text exposition, byte for byte as prometheus-client writes them, but many times faster.

Sample lines are the same in all formats; only the header of a family differs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

from prometheus_client import Metric

from exporter.exposition.numbers import format_milliseconds, format_value
from exporter.families import Family, ServerFamily, SnapshotFamily, ValueFamily, full_name, help_text
from exporter.families.family import SERVER_ID, Rows, first_of_each, label_names, sample_name, seconds
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer

Syntax: TypeAlias = Literal["text", "openmetrics"]
"""Either the Prometheus text format, 0.0.4 and 1.0.0 alike, or OpenMetrics 1.0.0."""

_MAX_CACHED_LABELS: Final = 1024
"""Maximum number of label combinations of a family that are kept as text; most families have a few."""


def render_header(family: Family, syntax: Syntax) -> bytes:
    """Return the HELP and TYPE lines of a family."""
    name = sample_name(family) if syntax == "text" else full_name(family)
    return f"# HELP {name} {_escape_help(help_text(family), syntax)}\n# TYPE {name} {family.kind}\n".encode()


def render_lines(family: Family, snapshot: Snapshot) -> bytes:
    """Return all sample lines of a family; empty if it has no sample."""
    if isinstance(family, SnapshotFamily):
        return write_snapshot_family(family, snapshot).encode()
    return PartWriter(snapshot, snapshot.servers, {}).write(family).encode()


def render_metrics(collected: Iterable[Metric], syntax: Syntax) -> bytes:
    """Return the exposition of gauges, counters and histograms of a prometheus-client registry.

    In OpenMetrics they are the last ones of a body, and the line that ends it follows.
    """
    parts = []
    for metric in collected:
        name = f"{metric.name}_total" if syntax == "text" and metric.type == "counter" else metric.name
        parts.append(f"# HELP {name} {_escape_help(metric.documentation, syntax)}\n# TYPE {name} {metric.type}\n")
        for sample in metric.samples:
            labels = ",".join([f'{label}="{escape(value)}"' for label, value in sorted(sample.labels.items())])
            parts.append(f"{sample.name}{f'{{{labels}}}' if labels else ''} {format_value(sample.value)}\n")
    if syntax == "openmetrics":
        parts.append("# EOF\n")
    return "".join(parts).encode()


def write_snapshot_family(family: SnapshotFamily, snapshot: Snapshot) -> str:
    """Return all sample lines of a family of the whole snapshot."""
    name = sample_name(family)
    pattern = _label_pattern(label_names(family), snapshot.account)
    return "".join(
        [
            f"{name}{pattern % _escape_all(values)}{format_value(number)}\n"
            for values, number in family.samples(snapshot)
        ]
    )


LabelCache: TypeAlias = dict[str, dict[tuple[str, ...], tuple[str, str]]]
"""By family and label values, the text of a line before and after the id of the server."""


class PartWriter:
    """Writes the sample lines of some servers of a snapshot, family by family. All parts share `cache`."""

    def __init__(self, snapshot: Snapshot, servers: Sequence[SourceServer], cache: LabelCache) -> None:
        self._snapshot = snapshot
        self._servers = servers
        self._ids = [escape(server.id) for server in servers]
        self._rows: dict[Rows, tuple[list[str], list[Any]]] = {}
        self._cache = cache

    def write(self, family: ServerFamily | ValueFamily) -> str:
        """Return the lines that the family has for these servers."""
        return self._write_values(family) if isinstance(family, ValueFamily) else self._write_samples(family)

    def _write_values(self, family: ValueFamily) -> str:
        name = sample_name(family)
        labels, records = self._read_rows(family.rows)
        if family.convert is seconds:
            # Most values that change are dates: the text of the milliseconds has the digits of the seconds.
            return "".join(
                [
                    f"{name}{text}{format_milliseconds(milliseconds)}\n"
                    for text, milliseconds in zip(labels, family.raw_values(records), strict=True)
                    if milliseconds
                ]
            )
        numbers = family.numbers(records, self._snapshot)
        return "".join(
            [
                f"{name}{text}{format_value(number)}\n"
                for text, number in zip(labels, numbers, strict=True)
                if number is not None
            ]
        )

    def _read_rows(self, rows: Rows) -> tuple[list[str], list[Any]]:
        """Return the labels of each row as text, and its record; all families of the rows share them."""
        if rows not in self._rows:
            before, after = self._split_pattern(tuple(rows.labels))
            place = sum(label < SERVER_ID for label in rows.labels)
            labels, records = [], []
            for server_id, server in zip(self._ids, self._servers, strict=True):
                for values, record in first_of_each(rows.read(server)):
                    texts = _escape_all(values)
                    labels.append(f"{before % texts[:place]}{server_id}{after % texts[place:]}")
                    records.append(record)
            self._rows[rows] = labels, records
        return self._rows[rows]

    def _write_samples(self, family: ServerFamily) -> str:
        name = sample_name(family)
        before, after = self._split_pattern(tuple(family.labels))
        place = sum(label < SERVER_ID for label in family.labels)
        cached = self._cache.setdefault(family.name, {})
        lines = []
        for server_id, server in zip(self._ids, self._servers, strict=True):
            for values, number in first_of_each(family.samples(server)):
                around_id = cached.get(values)
                if around_id is None:
                    texts = _escape_all(values)
                    around_id = name + before % texts[:place], after % texts[place:]
                    if len(cached) < _MAX_CACHED_LABELS:
                        cached[values] = around_id
                lines.append(f"{around_id[0]}{server_id}{around_id[1]}{format_value(number)}\n")
        return "".join(lines)

    def _split_pattern(self, labels: tuple[str, ...]) -> tuple[str, str]:
        """Return the label pattern before and after the id of the server."""
        # Escaped text has no line feed, so one can mark the place of the id.
        pattern = _label_pattern((SERVER_ID, *labels), self._snapshot.account, {SERVER_ID: "\n"})
        before, _, after = pattern.partition("\n")
        return before, after


def _label_pattern(labels: Iterable[str], account: str, texts: dict[str, str] | None = None) -> str:
    """Return all labels of a line sorted by name, with `%s` for each value except those that `texts` has."""
    pairs = dict.fromkeys(labels, "%s") | {"account": escape(account).replace("%", "%%")} | (texts or {})
    text = ",".join([f'{label}="{value}"' for label, value in sorted(pairs.items())])
    return f"{{{text}}} "


def _escape_help(text: str, syntax: Syntax) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if syntax == "openmetrics" else escaped


def _escape_all(values: tuple[str, ...]) -> tuple[str, ...]:
    text = "".join(values)
    return tuple(map(escape, values)) if "\\" in text or '"' in text or "\n" in text else values


def escape(value: str) -> str:
    r"""Return a label value with `\`, `"` and line feeds escaped."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
