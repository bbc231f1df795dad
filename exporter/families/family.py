"""What a metric family is: one declared value with its name, help, labels and the source of its samples."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from exporter.model import SourceServer
from exporter.snapshot import Snapshot

PREFIX: Final = "huaweicloud_sms_"
AGE: Final = f"{PREFIX}last_success_timestamp_seconds"

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""Label values in the order of the family's labels, and the value in base units."""

Value: TypeAlias = Callable[[SourceServer], float | None]
"""A number of a server, or None where it has none."""

Kind: TypeAlias = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class SnapshotFamily:
    """A family whose samples need the snapshot as a whole.

    `name` has no prefix, and no `_total` where it is a counter. `labels` are those beside `account`.
    `source` names the fields of the API that it is made from.
    """

    name: str
    help: str
    source: str
    samples: Callable[[Snapshot], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"


@dataclass(frozen=True, slots=True)
class ServerFamily:
    """A family with series for each server; `labels` are those beside `account` and `server_id`.

    `samples` looks at nothing but the record, so that an unchanged record has unchanged samples. Of samples
    with the same label values, which bad data can lead to, the first is exposed.
    """

    name: str
    help: str
    source: str
    samples: Callable[[SourceServer], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"
    value: Value | None = None
    """The one number that `samples` gives, where there is never more and no label."""


Family: TypeAlias = SnapshotFamily | ServerFamily


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


def value_of(
    name: str,
    text: str,
    source: str,
    value: Value,
) -> ServerFamily:
    """Declare a family with at most one sample a server: `value`, absent where that is None."""

    def samples(server: SourceServer) -> tuple[Sample, ...]:
        number = value(server)
        return () if number is None else (((), number),)

    return ServerFamily(name, text, source, samples, value=value)


def seconds(milliseconds: int | None) -> float | None:
    """Give a date of the API, milliseconds since the epoch, in seconds; 0 is a date that was not set."""
    return milliseconds / 1000 if milliseconds else None
