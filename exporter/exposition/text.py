"""Families as lines of the text exposition, byte for byte as prometheus-client writes them, but many times faster.

Sample lines are the same in all formats; only the header of a family differs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from prometheus_client import Metric

from exporter.exposition.numbers import format_milliseconds, format_value
from exporter.families import Family, LabelFamily, SnapshotFamily, ValueFamily, full_name, help_text
from exporter.families.family import (
    SERVER_ID,
    RowFamily,
    Rows,
    first_of_each,
    label_names,
    sample_name,
    seconds,
    unit_of,
)
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer

Syntax: TypeAlias = Literal["text", "openmetrics"]
"""Either the Prometheus text format, 0.0.4 and 1.0.0 alike, or OpenMetrics 1.0.0."""


def render_header(family: Family, syntax: Syntax) -> bytes:
    """Return the lines before the samples of a family."""
    return _render_header(full_name(family), family.kind, help_text(family), unit_of(family.name), syntax).encode()


def render_lines(family: Family, snapshot: Snapshot) -> bytes:
    """Return all sample lines of a family; empty if it has no sample."""
    if isinstance(family, SnapshotFamily):
        return write_snapshot_family(family, snapshot).encode()
    return PartWriter(snapshot, snapshot.servers, LabelCache()).write(family).encode()


def render_metrics(collected: Iterable[Metric], syntax: Syntax) -> bytes:
    """Return the exposition of gauges, counters and histograms of a prometheus-client registry.

    In OpenMetrics they are the last ones of a body, and the line that ends it follows.
    """
    parts = []
    for metric in collected:
        parts.append(_render_header(metric.name, metric.type, metric.documentation, metric.unit, syntax))
        for sample in metric.samples:
            labels = ",".join([f'{label}="{escape(value)}"' for label, value in sorted(sample.labels.items())])
            parts.append(f"{sample.name}{f'{{{labels}}}' if labels else ''} {format_value(sample.value)}\n")
    if syntax == "openmetrics":
        parts.append("# EOF\n")
    return "".join(parts).encode()


def _render_header(name: str, kind: str, help_text: str, unit: str, syntax: Syntax) -> str:
    if syntax == "text" and kind == "counter":
        name += "_total"
    header = f"# HELP {name} {_escape_help(help_text, syntax)}\n# TYPE {name} {kind}\n"
    return f"{header}# UNIT {name} {unit}\n" if unit and syntax == "openmetrics" else header


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


_MAX_CACHED_ROWS: Final = 4096
"""Maximum number of label combinations of rows that are kept as text."""


class LabelCache:
    """Text before and after the id of a server, which many servers have in common.

    `lines` has it by family and value, for each line of the value, and `rows` by kind of row and its label values.
    """

    def __init__(self) -> None:
        self.lines: dict[str, dict[object, list[tuple[str, str]]]] = {}
        self.rows: dict[Rows, dict[tuple[str, ...], tuple[str, str]]] = {}


class PartWriter:
    """Writes the sample lines of some servers of a snapshot, family by family. All parts share `cache`."""

    def __init__(self, snapshot: Snapshot, servers: Sequence[SourceServer], cache: LabelCache) -> None:
        self._snapshot = snapshot
        self._servers = servers
        self._rows: dict[Rows, _RowTexts] = {}
        self._cache = cache

    def write(self, family: RowFamily) -> str:
        """Return the lines that the family has for these servers."""
        rows = self._rows.get(family.rows)
        if rows is None:
            rows = self._rows[family.rows] = self._read_rows(family.rows)
        if isinstance(family, ValueFamily):
            return self._write_values(family, rows)
        return self._write_shared(family, rows) if family.field else self._write_records(family, rows)

    def _write_values(self, family: ValueFamily, rows: "_RowTexts") -> str:
        name = sample_name(family)
        if family.convert is seconds:
            # Most values that change are dates: the text of the milliseconds has the digits of the seconds.
            return "".join(
                [
                    f"{name}{labels}{format_milliseconds(milliseconds)}\n"
                    for labels, milliseconds in zip(rows.labels, family.read_values(rows.records), strict=True)
                    if milliseconds
                ]
            )
        numbers = family.read_numbers(rows.records, self._snapshot)
        return "".join(
            [
                f"{name}{labels}{format_value(number)}\n"
                for labels, number in zip(rows.labels, numbers, strict=True)
                if number is not None
            ]
        )

    def _write_shared(self, family: LabelFamily, rows: "_RowTexts") -> str:
        """Write samples that depend on one field: the same text, except for the id, for all records that share it."""
        texts = self._cache.lines.setdefault(family.name, {})
        write_around_id = self._around_id_writer(family)
        values = list(family.read_values(rows.records))
        # Records and lists are known by identity, which is quicker: the snapshot keeps them alive, so it is unique.
        keys = [value if value.__class__ is str else id(value) for value in values]
        for key, value in zip(keys, values, strict=True):
            if key not in texts:
                texts[key] = [] if value is None else write_around_id(value)
        return "".join(
            [
                f"{before}{server_id}{after}"
                for server_id, key in zip(rows.ids, keys, strict=True)
                for before, after in texts[key]
            ]
        )

    def _write_records(self, family: LabelFamily, rows: "_RowTexts") -> str:
        write_around_id = self._around_id_writer(family)
        return "".join(
            [
                f"{before}{server_id}{after}"
                for server_id, record in zip(rows.ids, rows.records, strict=True)
                for before, after in write_around_id(record)
            ]
        )

    def _around_id_writer(self, family: LabelFamily) -> Callable[[object], list[tuple[str, str]]]:
        """Return a function from a value to the text of its lines before and after the id of the server."""
        before, after, place = self._split_pattern(tuple(family.labels))
        before = sample_name(family) + before

        def write(value: object) -> list[tuple[str, str]]:
            lines = []
            for values, number in first_of_each(family.samples(value)):
                texts = _escape_all(values)
                lines.append((before % texts[:place], f"{after % texts[place:]}{format_value(number)}\n"))
            return lines

        return write

    def _read_rows(self, rows: Rows) -> "_RowTexts":
        before, after, place = self._split_pattern(tuple(rows.labels))
        texts = _RowTexts([], [], [])
        if not rows.labels:
            for server, record in zip(self._servers, rows.read_records(self._servers), strict=True):
                if record is not None:
                    texts.ids.append(server_id := escape(server.id))
                    texts.labels.append(f"{before}{server_id}{after}")
                    texts.records.append(record)
            return texts
        # Most servers have disks and volumes of the same names.
        cache = self._cache.rows.setdefault(rows, {})
        for server in self._servers:
            server_id = escape(server.id)
            for values, record in rows.read(server):
                around_id = cache.get(values)
                if around_id is None:
                    escaped = _escape_all(values)
                    around_id = before % escaped[:place], after % escaped[place:]
                    if len(cache) < _MAX_CACHED_ROWS:
                        cache[values] = around_id
                texts.labels.append(f"{around_id[0]}{server_id}{around_id[1]}")
                texts.records.append(record)
        return texts

    def _split_pattern(self, labels: tuple[str, ...]) -> tuple[str, str, int]:
        """Return the label pattern before and after the id of the server, and how many labels are before it."""
        # Escaped text has no line feed, so one can mark the place of the id.
        pattern = _label_pattern((SERVER_ID, *labels), self._snapshot.account, {SERVER_ID: "\n"})
        before, _, after = pattern.partition("\n")
        return before, after, sum(label < SERVER_ID for label in labels)


@dataclass(frozen=True, slots=True)
class _RowTexts:
    """Rows of some servers: the labels of each as text, and its record.

    `ids` has the ids of the servers if rows have no labels of their own, and is empty otherwise: nothing reads it then.
    """

    ids: list[str]
    labels: list[str]
    records: list[Any]


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
