"""One snapshot as deflated pieces, one per family; a family is rendered again only if a field that it reads changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.exposition.gzip import Piece, deflate, join
from exporter.exposition.text import LabelCache, PartWriter, write_snapshot_family
from exporter.families import Family, SnapshotFamily
from exporter.families.changes import compared_field, find_changed_fields, split_into_parts
from exporter.families.family import fields_of
from exporter.polling.snapshot import Details, Snapshot


@dataclass(frozen=True, slots=True)
class RenderedSnapshot:
    """The lines of a snapshot's families, by the name of the family; a piece without lines if it has no sample."""

    snapshot: Snapshot
    pieces: Mapping[str, Piece]


def render_snapshot(
    families: Sequence[Family], snapshot: Snapshot, previous: RenderedSnapshot | None
) -> RenderedSnapshot:
    """Render the families of a snapshot. Those with the same fields as in the previous one keep their piece."""
    pieces = dict(_unchanged_pieces(families, snapshot, previous)) if previous else {}
    pieces.update(_render([family for family in families if family.name not in pieces], snapshot))
    return RenderedSnapshot(snapshot, pieces)


def _unchanged_pieces(
    families: Iterable[Family], snapshot: Snapshot, previous: RenderedSnapshot
) -> Iterator[tuple[str, Piece]]:
    if snapshot.speed_unit_bytes != previous.snapshot.speed_unit_bytes:
        return
    changed = find_changed_fields(previous.snapshot.servers, snapshot.servers)
    if changed is None:
        return
    changed |= _find_changed_details(previous.snapshot.details, snapshot.details)
    for family in families:
        if family.name in previous.pieces and changed.isdisjoint(map(compared_field, fields_of(family))):
            yield family.name, previous.pieces[family.name]


def _find_changed_details(old: Mapping[str, Details], new: Mapping[str, Details]) -> frozenset[str]:
    """Return the collectors whose own lists differ."""
    # Records that did not change are the same objects, so comparing them is fast.
    records = [{name: details.records for name, details in each.items()} for each in (old, new)]
    return frozenset(name for name in {*old, *new} if records[0].get(name) != records[1].get(name))


def _render(families: Iterable[Family], snapshot: Snapshot) -> Iterator[tuple[str, Piece]]:
    cache = LabelCache()
    parts: dict[str, list[Piece]] = {}
    of_servers = []
    for family in families:
        if isinstance(family, SnapshotFamily):
            yield family.name, deflate(write_snapshot_family(family, snapshot).encode())
        else:
            of_servers.append(family)
            parts[family.name] = []
    for servers in split_into_parts(snapshot.servers):
        part = PartWriter(snapshot, servers, cache)
        for family in of_servers:
            parts[family.name].append(deflate(part.write(family).encode()))
    while parts:
        # Taken out, so that the parts of a family are freed as soon as they are joined.
        name, pieces = parts.popitem()
        yield name, join(pieces)
