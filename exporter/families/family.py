"""What a metric family is: its name, HELP text, labels, and the fields of the API that it is read from.

A family declares every field of a source server that it reads, by its path in the API's answer: `totalsize`,
`current_task.state`, `checks[].name` (`[]` stands for each element of a list). The documentation of metrics and fields
is built from these paths, and a family is rendered again only if one of its fields has changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, TypeAlias

from exporter.polling.snapshot import OTHER, Snapshot
from exporter.sms.model import SourceServer

PREFIX: Final = "huaweicloud_sms_"
POLLED_AT: Final = f"{PREFIX}last_success_timestamp_seconds"
READ_AT: Final = f"{PREFIX}collector_last_success_timestamp_seconds"
"""The metric with the time at which a collector read a list of its own."""

UNITS: Final = ("bytes_per_second", "seconds", "bytes", "ratio")
"""Units of metrics, from the most specific one."""

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value in base units."""

Labels: TypeAlias = Mapping[str, str]
"""Label names, in alphabetical order, and the field that each value is read from."""

SERVER_ID: Final = "server_id"
"""The label of all series of one server."""

ONE: Final = 1.0
"""The value of a sample whose labels carry the information."""

Kind: TypeAlias = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotFamily:
    """A family whose samples need the whole snapshot, such as a sum over all servers.

    `name` has no prefix, and no `_total` if it is a counter. `labels` are those besides `account`. `values` are the
    fields that the numbers are read from; none if servers are counted. Fields of another list than that of source
    servers begin with the name of the collector, such as `errors[].error_json`. `polled_at` is the metric with the time
    at which the data was read.
    """

    name: str
    help: str
    samples: Callable[[Snapshot], Iterable[Sample]]
    labels: Labels = field(default_factory=dict)
    values: tuple[str, ...] = ()
    kind: Kind = "gauge"
    polled_at: str = POLLED_AT


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Parts of a server that have samples of their own, such as its disks.

    `path` is the field that contains them; empty for the server itself. Rows without labels are one record per server.
    Else `read_all` returns the label values, which follow `labels`, and the record of each row. If two rows have the
    same label values, which bad data can cause, the first is used.
    """

    path: str
    labels: Labels = field(default_factory=dict)
    read_all: Callable[[SourceServer], Sequence[tuple[tuple[str, ...], Any]]] | None = None

    def read(self, server: SourceServer) -> Sequence[tuple[tuple[str, ...], Any]]:
        """Return label values and record of each row of a server."""
        if self.read_all is not None:
            return first_of_each(self.read_all(server))
        (record,) = self.read_records((server,))
        return () if record is None else (((), record),)

    def read_records(self, servers: Iterable[SourceServer]) -> Iterable[Any]:
        """Return the record of each server, None if it has none; only for rows without labels."""
        return map(attrgetter(self.path), servers) if self.path else servers

    def path_of(self, name: str) -> str:
        """Return the path of a field of the rows' records."""
        return f"{self.path}.{name}" if self.path else name


SERVER: Final = Rows("")
"""The server itself."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelFamily:
    """A family whose label values are computed from a row's record, with any number of samples; the general kind.

    `labels` are those besides `account` and `server_id`; the rows have none. If `field` names a field of the record,
    `samples` is computed from its value, once for all records that share it, such as a state; else from the record.
    There is no sample where that is None. Of samples with the same label values the first is exposed. `values` are the
    fields that the numbers are read from; none if they are always 1 or a count. `labels_optional` is whether the
    options `collector.info-labels-…` apply.
    """

    name: str
    help: str
    samples: Callable[[Any], Sequence[Sample]]
    labels: Labels
    field: str | None = None
    rows: Rows = SERVER
    values: tuple[str, ...] = ()
    labels_optional: bool = False
    kind: ClassVar[Kind] = "gauge"
    polled_at: ClassVar[str] = POLLED_AT

    def read_values(self, records: Iterable[Any]) -> Iterable[Any]:
        """Return what the samples of each record are computed from."""
        return map(attrgetter(self.field), records) if self.field else records


@dataclass(frozen=True, slots=True, eq=False)
class ValueFamily:
    """A family with at most one sample per row, whose value is one number of the row's record.

    Most samples are of this kind, so it is the fast one: numbers are read in C, and the labels of a row are written
    once for all its families. `field` is the field of the record, or several whose values are a tuple. `convert`
    returns the number in base units of a value, which may be None, and None if there is no sample; `convert_in` returns
    that function for a snapshot, if it depends on one. `source` is the field of the record that the number is derived
    from, if it is not `field`.
    """

    name: str
    help: str
    field: str | tuple[str, ...]
    convert: Callable[[Any], float | None] | None = None
    rows: Rows = SERVER
    convert_in: Callable[[Snapshot], Callable[[Any], float | None]] | None = None
    source: str | None = None
    kind: ClassVar[Kind] = "gauge"
    polled_at: ClassVar[str] = POLLED_AT

    @property
    def labels(self) -> Labels:
        """The labels besides `account` and `server_id`."""
        return self.rows.labels

    @property
    def values(self) -> tuple[str, ...]:
        """The fields that the number is read from."""
        return tuple(self.rows.path_of(field) for field in _as_tuple(self.source or self.field))

    def read_values(self, records: Iterable[Any]) -> Iterable[Any]:
        """Return the value of each record as the API gave it."""
        return map(attrgetter(*_as_tuple(self.field)), records)

    def read_numbers(self, records: Iterable[Any], snapshot: Snapshot) -> Iterable[float | None]:
        """Return the number of each record in base units; None if it has no sample."""
        values = self.read_values(records)
        convert = self.convert_in(snapshot) if self.convert_in else self.convert
        return values if convert is None else map(convert, values)


def _as_tuple(field: str | tuple[str, ...]) -> tuple[str, ...]:
    return (field,) if isinstance(field, str) else field


RowFamily: TypeAlias = LabelFamily | ValueFamily
Family: TypeAlias = SnapshotFamily | RowFamily


@dataclass(frozen=True, slots=True)
class Collector:
    """Families that are turned on and off together."""

    name: str
    families: tuple[Family, ...]


def fields_of(family: Family) -> frozenset[str]:
    """Return the fields that the samples of the family depend on."""
    return frozenset((*family.labels.values(), *family.values))


def full_name(family: Family) -> str:
    """Return the name of the family with the prefix; the samples of a counter add `_total`."""
    return f"{PREFIX}{family.name}"


def sample_name(family: Family) -> str:
    """Return the name of the family's samples."""
    return f"{full_name(family)}_total" if family.kind == "counter" else full_name(family)


def unit_of(name: str) -> str:
    """Return the unit in which the name of a metric ends, before any `_total`; empty if it has none."""
    return next((unit for unit in UNITS if name.removesuffix("_total").endswith(f"_{unit}")), "")


def help_text(family: Family) -> str:
    """Return the HELP text, which for all polled data names the metric with the time of the poll."""
    return f"{family.help} Polled at {family.polled_at}."


def label_names(family: Family) -> tuple[str, ...]:
    """Return the names of the labels besides `account`."""
    return tuple(family.labels) if isinstance(family, SnapshotFamily) else (SERVER_ID, *family.labels)


def build_state_reader(states: Sequence[str]) -> Callable[[str], Sequence[Sample]]:
    """Return a function from a value of an enumeration to the one sample of a family; OTHER if it is undocumented."""
    documented_states = frozenset(states)
    return lambda state: (((state if state in documented_states else OTHER,), ONE),)


def build_label_reader(labels: Labels, rows: Rows = SERVER) -> Callable[[Any], tuple[str, ...]]:
    """Return a function from a record to the values of labels that are its fields; empty where it has no value."""
    paths = [field.removeprefix(rows.path_of("")) for field in labels.values()]
    read_all: Callable[[object], tuple[object, ...]] = attrgetter(*paths, "id")

    def read(record: object) -> tuple[str, ...]:
        try:
            *values, _ = read_all(record)
        except AttributeError:
            # A record on the way to a field is absent.
            values = [_read_path(record, path) for path in paths]
        return tuple(["" if value is None else str(value) for value in values])

    return read


def _read_path(record: object, path: str) -> object:
    for name in path.split("."):
        record = getattr(record, name, None)
    return record


def first_of_each(rows: Sequence[tuple[tuple[str, ...], Any]]) -> Sequence[tuple[tuple[str, ...], Any]]:
    """Return the samples or rows without those whose label values an earlier one has, which bad data can cause."""
    if len(rows) < 2:  # noqa: PLR2004 - a single one has no duplicate
        return rows
    first: dict[tuple[str, ...], Any] = {}
    for labels, value in rows:
        first.setdefault(labels, value)
    return rows if len(first) == len(rows) else tuple(first.items())


def seconds(milliseconds: int | None) -> float | None:
    """Return a date of the API, in milliseconds since the epoch, in seconds; 0 means that it was not set."""
    return milliseconds / 1000 if milliseconds else None
