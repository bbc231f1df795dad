"""The exposition of all targets, rendered once for each change and handed out many times.

Each snapshot becomes lines once. A body is the snapshots' part, made when it is first asked for and kept
until a snapshot changes, with a tail behind it that is fresh at every scrape.
"""

import asyncio
import operator
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from exporter.families import Collector
from exporter.families.ceiling import over_ceiling
from exporter.negotiation import Encoding
from exporter.rendering import Syntax, header, lines
from exporter.snapshot import Snapshot
from exporter.target import Target

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVEL: Final = 1
"""The fastest: rendering is paid by the exporter, and most scrapers are near."""

REMEMBERED: Final = 300.0
"""Seconds after its last scrape that a body is still rendered ahead of the next one."""

MOST_BODIES: Final = 32
"""Bodies that are kept; of more, the one that was asked for longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class View:
    """What a scrape asks for: the collectors by name, one account or all, and how it is written."""

    collectors: frozenset[str]
    account: str | None
    syntax: Syntax
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class _Body:
    """The snapshots' part of a body, up to where the tail goes. `crc` and `size` are of the plain text."""

    shown: tuple[Snapshot, ...]
    data: bytes
    crc: int
    size: int


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The lines of one snapshot by collector and family, without the collectors that had to be dropped."""

    snapshot: Snapshot
    lines: Mapping[str, Sequence[bytes]]
    dropped: tuple[str, ...]
    series_dropped: int


class Exposition:
    """Bodies of /metrics for `targets`, with the families of `collectors`."""

    def __init__(self, collectors: Iterable[Collector], targets: Sequence[Target]) -> None:
        self._collectors = tuple(collectors)
        self.collector_names = tuple(collector.name for collector in self._collectors)
        self._targets = targets
        self._ceilings = {target.name: target.account.limits.series for target in targets}
        self._rendered: dict[str, _Rendered] = {}
        self._bodies: dict[View, _Body] = {}
        self._asked_at: dict[View, float] = {}
        self._rendering = asyncio.Lock()

    async def body(self, view: View, tail: bytes, now: float) -> bytes:
        """Give a whole body: what the view has of each snapshot to be served at `now`, then `tail`."""
        self._asked_at[view] = now
        body = self._current(view, now) or await self._render_shared(view, now)
        return _closed(body, view.encoding, tail)

    def series_dropped(self, account: str) -> int:
        """Give how many series of the account's last rendered snapshot were over its ceiling."""
        rendered = self._rendered.get(account)
        return rendered.series_dropped if rendered else 0

    async def refresh(self, now: float) -> None:
        """Render the snapshots that are new, and the bodies that were asked for lately; forget the others."""
        async with self._rendering:
            for target in self._targets:
                if (snapshot := target.visible(now)) is not None:
                    await asyncio.to_thread(self._lines_of, snapshot)
            recent = sorted(self._asked_at.items(), key=lambda asked: asked[1])[-MOST_BODIES:]
            self._asked_at = {view: asked_at for view, asked_at in recent if now - asked_at <= REMEMBERED}
            self._bodies = {view: body for view, body in self._bodies.items() if view in self._asked_at}
            for view in list(self._asked_at):
                if self._current(view, now) is None:
                    self._bodies[view] = await asyncio.to_thread(self._render, view, self._shown(view, now))

    async def _render_shared(self, view: View, now: float) -> _Body:
        """Render once for all scrapes that wait for the same body."""
        async with self._rendering:
            body = self._current(view, now)
            if body is None:
                body = await asyncio.to_thread(self._render, view, self._shown(view, now))
                self._bodies[view] = body
                if len(self._bodies) > MOST_BODIES:
                    oldest = min(self._bodies, key=self._asked_at.__getitem__)
                    del self._bodies[oldest]
            return body

    def _current(self, view: View, now: float) -> _Body | None:
        """Give the body that is kept, if it is of the very snapshots that are to be served."""
        body = self._bodies.get(view)
        if body is None:
            return None
        shown = self._shown(view, now)
        # By identity: to compare snapshots by value would be to compare every server.
        same = len(shown) == len(body.shown) and all(map(operator.is_, shown, body.shown))
        return body if same else None

    def _shown(self, view: View, now: float) -> tuple[Snapshot, ...]:
        snapshots = (target.visible(now) for target in self._targets if view.account in {None, target.name})
        return tuple(snapshot for snapshot in snapshots if snapshot is not None)

    def _render(self, view: View, shown: tuple[Snapshot, ...]) -> _Body:
        """Join the lines of all snapshots family by family. Runs in a thread, one at a time."""
        by_snapshot = [self._lines_of(snapshot) for snapshot in shown]
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        parts = [] if view.encoding == "identity" else [_GZIP_HEADER]
        crc = size = 0
        for collector in self._collectors:
            if collector.name not in view.collectors:
                continue
            of_all = [lines for of_one in by_snapshot if (lines := of_one.get(collector.name))]
            for number, family in enumerate(collector.families):
                chunks = [chunk for lines in of_all if (chunk := lines[number])]
                for chunk in (header(family, view.syntax), *chunks) if chunks else ():
                    crc = zlib.crc32(chunk, crc)
                    size += len(chunk)
                    parts.append(chunk if view.encoding == "identity" else deflate.compress(chunk))
        if view.encoding == "gzip":
            # A full flush ends on a byte, and what follows refers to nothing before it.
            parts.append(deflate.flush(zlib.Z_FULL_FLUSH))
        return _Body(shown, b"".join(parts), crc, size)

    def _lines_of(self, snapshot: Snapshot) -> Mapping[str, Sequence[bytes]]:
        """Give the lines of a snapshot by collector, rendered when they are first asked for."""
        kept = self._rendered.get(snapshot.account)
        if kept is None or kept.snapshot is not snapshot:
            previously = kept.dropped if kept else ()
            kept = self._render_lines(snapshot)
            self._rendered[snapshot.account] = kept
            if kept.dropped and kept.dropped != previously:
                log.warning(
                    "collectors are dropped: the account has more series than limits.series",
                    account=snapshot.account,
                    dropped=",".join(kept.dropped),
                    series=kept.series_dropped,
                    advice="raise limits.series, or switch collectors off that nobody looks at",
                )
        return kept.lines

    def _render_lines(self, snapshot: Snapshot) -> _Rendered:
        all_lines = {
            collector.name: [lines(family, snapshot) for family in collector.families] for collector in self._collectors
        }
        series = {name: sum(chunk.count(b"\n") for chunk in chunks) for name, chunks in all_lines.items()}
        dropped = over_ceiling(series, self._ceilings[snapshot.account])
        kept = {name: chunks for name, chunks in all_lines.items() if name not in dropped}
        return _Rendered(snapshot, kept, dropped, sum(series[name] for name in dropped))


def _closed(body: _Body, encoding: Encoding, tail: bytes) -> bytes:
    """Put the tail behind the body; with gzip the whole stays one ordinary member."""
    if encoding == "identity":
        return body.data + tail
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = zlib.crc32(tail, body.crc)
    size = (body.size + len(tail)) & 0xFFFFFFFF
    return b"".join((body.data, deflate.compress(tail), deflate.flush(), struct.pack("<LL", crc, size)))
