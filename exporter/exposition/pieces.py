"""One snapshot as deflated pieces, one a family, made anew only where the snapshot before had other samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Final, TypeAlias, TypeVar

from exporter.exposition.gzip import Piece, deflate, join
from exporter.exposition.text import Write, escaped_ids, lines_of_all, writer
from exporter.families import Family, FamilyOfServers, ServerFamily, SnapshotFamily, SnapshotValueFamily
from exporter.polling.snapshot import Snapshot
from exporter.sms.model import SourceServer

_PART: Final = 400
"""Servers that are gone through family by family before the next ones: as many as a processor's cache holds."""

T = TypeVar("T")
Read: TypeAlias = Callable[[SourceServer], object]


@dataclass(frozen=True, slots=True)
class RenderedSnapshot:
    """The lines of a snapshot's families, by the name of the family; a piece without lines where it has no sample."""

    snapshot: Snapshot
    pieces: Mapping[str, Piece]


def render_snapshot(
    families: Sequence[Family], snapshot: Snapshot, before: RenderedSnapshot | None
) -> RenderedSnapshot:
    """Render the families of a snapshot. Those that have the samples of the one before keep their piece."""
    pieces = dict(_unchanged(families, snapshot, before)) if before else {}
    of_servers: list[FamilyOfServers] = []
    for family in families:
        if family.name in pieces:
            continue
        if isinstance(family, SnapshotFamily):
            pieces[family.name] = deflate(lines_of_all(family, snapshot))
        else:
            of_servers.append(family)
    pieces.update(_written(of_servers, snapshot))
    return RenderedSnapshot(snapshot, pieces)


def _written(families: Iterable[FamilyOfServers], snapshot: Snapshot) -> Iterator[tuple[str, Piece]]:
    outputs: list[tuple[str, Write, list[Piece]]] = [(family.name, writer(family, snapshot), []) for family in families]
    for servers in _parts(snapshot.servers):
        ids = escaped_ids(servers)
        for _, write, pieces in outputs:
            pieces.append(deflate(write(servers, ids).encode()))
    for name, _, pieces in outputs:
        yield name, join(pieces)


def _unchanged(families: Iterable[Family], snapshot: Snapshot, before: RenderedSnapshot) -> Iterator[tuple[str, Piece]]:
    """Give the pieces of the families that have the same samples in both snapshots."""
    old, new = before.snapshot, snapshot
    if old.speed_unit_bytes != new.speed_unit_bytes or not _all_equal(_id, old.servers, _id, new.servers):
        return
    known = [family for family in families if family.name in before.pieces]
    reads = {family.name: read for family in known if (read := _read_by(family)) is not None}
    changes = [(was, now) for was, now in zip(old.servers, new.servers, strict=True) if was is not now]
    for part in _parts(changes):
        were, are = zip(*part, strict=True)
        reads = {name: read for name, read in reads.items() if _all_equal(read, were, read, are)}
    names = set(reads)
    for family in known:
        if isinstance(family, SnapshotValueFamily) and _all_equal(
            family.value_in(old), old.servers, family.value_in(new), new.servers
        ):
            names.add(family.name)
    for name in names:
        yield name, before.pieces[name]


def _read_by(family: Family) -> Read | None:
    """Give what of a record the family's samples depend on; None where they depend on more."""
    match family:
        case SnapshotFamily():
            return family.reads
        case ServerFamily():
            return family.samples
        case SnapshotValueFamily():
            return None
    return family.value


def _all_equal(read_one: Read, ones: Sequence[SourceServer], read_other: Read, others: Sequence[SourceServer]) -> bool:
    return len(ones) == len(others) and all(map(eq, map(read_one, ones), map(read_other, others)))


def _id(server: SourceServer) -> str:
    return server.id


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _PART] for start in range(0, len(items), _PART))
