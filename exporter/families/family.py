"""What a metric family is: one declared value with its name, help, labels and the source of its samples."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from exporter.polling.snapshot import OTHER, Snapshot
from exporter.sms.model import SourceServer

PREFIX: Final = "huaweicloud_sms_"
AGE: Final = f"{PREFIX}last_success_timestamp_seconds"

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value in base units."""

Value: TypeAlias = Callable[[SourceServer], float | None]
"""A number of a server, or None where it has none."""

SERVER_ID: Final = "server_id"
"""The label of everything that is told of one server."""

ONE: Final = 1.0
"""The value of a sample whose labels say it all."""

Kind: TypeAlias = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class SnapshotFamily:
    """A family with a few samples that need the snapshot as a whole.

    `name` has no prefix, and no `_total` where it is a counter. `labels` are those beside `account`.
    `source` names the fields of the API that it is made from.
    """

    name: str
    help: str
    source: str
    samples: Callable[[Snapshot], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"
    reads: Callable[[SourceServer], object] | None = None
    """What of each record `samples` looks at, where it looks at nothing else."""


@dataclass(frozen=True, slots=True)
class ServerFamily:
    """A family with series for each server; `labels` are those beside `account` and `server_id`.

    `samples` looks at nothing but the record, so that an unchanged record has unchanged samples. Of samples
    with the same label values, which bad data can lead to, the first is exposed.
    """

    name: str
    help: str
    source: str
    samples: Callable[[SourceServer], Sequence[Sample]]
    labels: tuple[str, ...] = ()
    kind: ClassVar[Kind] = "gauge"


@dataclass(frozen=True, slots=True)
class ValueFamily:
    """A family with at most one sample a server, whose labels are `account` and `server_id`.

    `value` looks at nothing but the record, as the samples of a ServerFamily do.
    """

    name: str
    help: str
    source: str
    value: Value
    labels: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[Kind] = "gauge"


@dataclass(frozen=True, slots=True)
class SnapshotValueFamily:
    """Like a ValueFamily, where the number depends on the snapshot around the record as well.

    `value_in` gives what reads it, for the servers of a snapshot.
    """

    name: str
    help: str
    source: str
    value_in: Callable[[Snapshot], Value]
    labels: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[Kind] = "gauge"


FamilyOfServers: TypeAlias = ServerFamily | ValueFamily | SnapshotValueFamily
Family: TypeAlias = SnapshotFamily | FamilyOfServers


@dataclass(frozen=True, slots=True)
class Collector:
    """Families that are turned on and off together."""

    name: str
    families: tuple[Family, ...]


def full_name(family: Family) -> str:
    """Give the family's name with the prefix; a counter's samples have `_total` behind it."""
    return f"{PREFIX}{family.name}"


def help_text(family: Family) -> str:
    """Give the help with what every polled family owes its reader: where its age stands."""
    return f"{family.help} Polled; as old as {AGE} says."


def labels_of(family: Family) -> tuple[str, ...]:
    """Give the names of the labels beside `account`."""
    return family.labels if isinstance(family, SnapshotFamily) else (SERVER_ID, *family.labels)


def one_of(enumeration: Sequence[str]) -> Callable[[str | None], Sequence[Sample]]:
    """Give what makes a value of a documented enumeration the one sample of a family; OTHER if it is no such value."""
    samples = {word: (((word,), ONE),) for word in (*enumeration, OTHER)}
    other = samples[OTHER]

    def read(word: str | None) -> Sequence[Sample]:
        return () if word is None else samples.get(word, other)

    return read


def value_in(family: ValueFamily | SnapshotValueFamily, snapshot: Snapshot) -> Value:
    """Give what reads the number of a server of the snapshot."""
    return family.value if isinstance(family, ValueFamily) else family.value_in(snapshot)


def first_of_each(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Give the samples without those whose label values a sample before them has: bad data can lead to such."""
    if len(samples) < 2:  # noqa: PLR2004 - one alone is no other's double
        return samples
    first: dict[tuple[str, ...], float] = {}
    for values, number in samples:
        first.setdefault(values, number)
    return samples if len(first) == len(samples) else tuple(first.items())


def seconds(milliseconds: int | None) -> float | None:
    """Give a date of the API, milliseconds since the epoch, in seconds; 0 is a date that was not set."""
    return milliseconds / 1000 if milliseconds else None
