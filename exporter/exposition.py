"""The exposition of all targets, rendered once for each change and handed out many times.

Each snapshot becomes lines once. A body is the snapshots' part, made when its format and encoding are
first asked for and kept until a snapshot changes, with a tail behind it that is fresh at every scrape.
"""

import asyncio
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.families import Collector
from exporter.negotiation import Encoding
from exporter.rendering import Syntax, header, lines
from exporter.snapshot import Snapshot
from exporter.target import Target

_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVEL: Final = 1
"""The fastest: rendering is paid by the exporter, and most scrapers are near."""

REMEMBERED: Final = 300.0
"""Seconds after its last scrape that a format is still rendered ahead of the next one."""


@dataclass(frozen=True, slots=True)
class _Body:
    """The snapshots' part of a body, up to where the tail goes. `crc` and `size` are of the plain text."""

    data: bytes
    crc: int
    size: int


class Exposition:
    """Bodies of /metrics for `targets`, with the families of `collectors`."""

    def __init__(self, collectors: Iterable[Collector], targets: Sequence[Target]) -> None:
        self._families = tuple(family for collector in collectors for family in collector.families)
        self._targets = targets
        self._lines: dict[str, tuple[Snapshot, list[bytes]]] = {}
        self._shown: tuple[Snapshot, ...] = ()
        self._bodies: dict[tuple[Syntax, Encoding], _Body] = {}
        self._asked_at: dict[tuple[Syntax, Encoding], float] = {}
        self._rendering = asyncio.Lock()

    async def body(self, syntax: Syntax, encoding: Encoding, tail: bytes, now: float) -> bytes:
        """Give a whole body: every snapshot that is to be served at `now`, then `tail`."""
        self._asked_at[syntax, encoding] = now
        shown = self._visible(now)
        # By identity: snapshots are equal only when they are the same.
        body = self._bodies.get((syntax, encoding)) if _same(shown, self._shown) else None
        if body is None:
            body = await self._render_shared(syntax, encoding, now)
        return _closed(body, encoding, tail)

    async def refresh(self, now: float) -> None:
        """Render what was asked for lately, so that the next scrape finds it ready; forget the rest."""
        async with self._rendering:
            asked = [key for key, asked_at in self._asked_at.items() if now - asked_at <= REMEMBERED]
            shown = self._visible(now)
            bodies = {key: await asyncio.to_thread(self._render, shown, *key) for key in asked}
            self._shown, self._bodies = shown, bodies

    async def _render_shared(self, syntax: Syntax, encoding: Encoding, now: float) -> _Body:
        """Render once for all scrapes that wait for the same body."""
        async with self._rendering:
            shown = self._visible(now)
            if not _same(shown, self._shown):
                self._shown, self._bodies = shown, {}
            body = self._bodies.get((syntax, encoding))
            if body is None:
                body = await asyncio.to_thread(self._render, shown, syntax, encoding)
                self._bodies[syntax, encoding] = body
            return body

    def _visible(self, now: float) -> tuple[Snapshot, ...]:
        return tuple(snapshot for target in self._targets if (snapshot := target.visible(now)) is not None)

    def _render(self, shown: tuple[Snapshot, ...], syntax: Syntax, encoding: Encoding) -> _Body:
        """Join the lines of all snapshots family by family. Runs in a thread, one at a time."""
        by_snapshot = [self._lines_of(snapshot) for snapshot in shown]
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        parts = [] if encoding == "identity" else [_GZIP_HEADER]
        crc = size = 0
        for number, family in enumerate(self._families):
            family_lines = [chunk for chunks in by_snapshot if (chunk := chunks[number])]
            for chunk in (header(family, syntax), *family_lines) if family_lines else ():
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                parts.append(chunk if encoding == "identity" else deflate.compress(chunk))
        if encoding == "gzip":
            # A full flush ends on a byte, and what follows refers to nothing before it.
            parts.append(deflate.flush(zlib.Z_FULL_FLUSH))
        return _Body(b"".join(parts), crc, size)

    def _lines_of(self, snapshot: Snapshot) -> list[bytes]:
        kept = self._lines.get(snapshot.account)
        if kept is None or kept[0] is not snapshot:
            kept = (snapshot, [lines(family, snapshot) for family in self._families])
            self._lines[snapshot.account] = kept
        return kept[1]


def _same(these: tuple[Snapshot, ...], those: tuple[Snapshot, ...]) -> bool:
    return len(these) == len(those) and all(this is that for this, that in zip(these, those, strict=True))


def _closed(body: _Body, encoding: Encoding, tail: bytes) -> bytes:
    """Put the tail behind the body; with gzip the whole stays one ordinary member."""
    if encoding == "identity":
        return body.data + tail
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = zlib.crc32(tail, body.crc)
    size = (body.size + len(tail)) & 0xFFFFFFFF
    return b"".join((body.data, deflate.compress(tail), deflate.flush(), struct.pack("<LL", crc, size)))
