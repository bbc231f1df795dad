"""The exposition of all targets, rendered once for each change and handed out many times.

Each snapshot becomes deflated pieces once. A body is the pieces of all snapshots, joined when it is first asked
for and kept until a snapshot changes, with a tail behind it that is fresh at every scrape. As plain text it is never
whole: who asks for that, a person with curl as a rule, is given it inflated slice by slice.
"""

import asyncio
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import structlog

from exporter.exposition.gzip import Piece, closing, deflated, inflated, joined, opened
from exporter.exposition.negotiation import Encoding
from exporter.exposition.pieces import Rendered, render
from exporter.exposition.text import Syntax, header
from exporter.families import Collector, Family
from exporter.families.selection import DROP_ORDER, over_ceiling
from exporter.polling.snapshot import Snapshot
from exporter.polling.target import Target

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

REMEMBERED: Final = 300.0
"""Seconds after its last scrape that a body is still joined ahead of the next one."""

MOST_BODIES: Final = 32
"""Bodies that are kept; of more, the one that was asked for longest ago is forgotten."""

MOST_AT_ONCE: Final = 2**18
"""Bytes of a slice of a body, about: some hundred microseconds to inflate or to send."""


@dataclass(frozen=True, slots=True)
class View:
    """What a scrape asks for: the collectors by name, one account or all (None), and how it is written."""

    collectors: frozenset[str]
    account: str | None
    syntax: Syntax


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole body in slices, and its `size` in bytes."""

    size: int
    slices: Iterator[bytes | memoryview]


class Body:
    """The snapshots' part of a body, deflated up to where the tail goes, and the tail that it was last closed with."""

    def __init__(self, shown: tuple[Snapshot, ...], piece: Piece) -> None:
        self.shown = shown
        self._data = opened(piece)
        self._text = Piece(b"", piece.crc, piece.size)
        self._closed = (b"", b"")

    def ending_with(self, tail: bytes, encoding: Encoding) -> Answer:
        """Give the whole body."""
        if encoding == "identity":
            return Answer(self._text.size + len(tail), chain(inflated(self._data, MOST_AT_ONCE), (tail,)))
        if self._closed[0] is not tail:
            self._closed = tail, closing(self._text, tail)
        end = self._closed[1]
        return Answer(len(self._data) + len(end), chain(_slices(self._data), (end,)))


@dataclass(frozen=True, slots=True)
class _Account:
    """An account's snapshot as it is exposed: without the collectors that had to be dropped, with their series."""

    rendered: Rendered
    dropped: Mapping[str, int]


class Exposition:
    """Bodies of /metrics for `targets`, with the families of `collectors`."""

    def __init__(self, collectors: Iterable[Collector], targets: Sequence[Target]) -> None:
        self._collectors = tuple(collectors)
        self.collector_names = tuple(collector.name for collector in self._collectors)
        self._targets = targets
        self._targets_of = {target.name: (target,) for target in targets}
        self._ceilings = {target.name: target.account.limits.series for target in targets}
        self._accounts: dict[str, _Account] = {}
        self._headers: dict[tuple[str, Syntax], Piece] = {}
        self._bodies: dict[View, Body] = {}
        self._asked_at: dict[View, float] = {}
        self._rendering = asyncio.Lock()

    async def body(self, view: View, now: float) -> Body:
        """Give what the view has of each snapshot to be served at `now`."""
        self._asked_at[view] = now
        return self._current(view, now) or await self._render_shared(view, now)

    def series_dropped(self, account: str) -> Mapping[str, int]:
        """Give, by collector that can be dropped, how many of its series the account's ceiling cost."""
        rendered = self._accounts.get(account)
        dropped = rendered.dropped if rendered else {}
        return {name: dropped.get(name, 0) for name in DROP_ORDER if name in self.collector_names}

    def recent_views(self, now: float) -> tuple[View, ...]:
        """Give what was asked for lately."""
        recent = sorted(self._asked_at.items(), key=lambda asked: asked[1])[-MOST_BODIES:]
        return tuple(view for view, asked_at in recent if now - asked_at <= REMEMBERED)

    async def refresh(self, now: float) -> None:
        """Render the snapshots that are new, and the bodies that were asked for lately; forget the others."""
        async with self._rendering:
            for target in self._targets:
                snapshot = target.visible(now)
                if snapshot is not None and self._kept(snapshot) is None:
                    await asyncio.to_thread(self._account_of, snapshot)
            self._asked_at = {view: self._asked_at[view] for view in self.recent_views(now)}
            self._bodies = {view: body for view, body in self._bodies.items() if view in self._asked_at}
            for view in list(self._asked_at):
                if self._current(view, now) is None:
                    self._bodies[view] = await asyncio.to_thread(self._body, view, self._shown(view, now))

    async def _render_shared(self, view: View, now: float) -> Body:
        """Render once for all scrapes that wait for the same body."""
        async with self._rendering:
            # While it waited, a poll may have forgotten it among others.
            self._asked_at[view] = now
            body = self._current(view, now)
            if body is None:
                body = await asyncio.to_thread(self._body, view, self._shown(view, now))
                self._bodies[view] = body
                if len(self._bodies) > MOST_BODIES:
                    oldest = min(self._bodies, key=self._asked_at.__getitem__)
                    del self._bodies[oldest]
            return body

    def _current(self, view: View, now: float) -> Body | None:
        """Give the body that is kept, if it is of the very snapshots that are to be served."""
        body = self._bodies.get(view)
        if body is None:
            return None
        shown = self._shown(view, now)
        # By identity: to compare snapshots by value would be to compare every server.
        same = len(shown) == len(body.shown) and all(map(operator.is_, shown, body.shown))
        return body if same else None

    def _shown(self, view: View, now: float) -> tuple[Snapshot, ...]:
        targets = self._targets if view.account is None else self._targets_of.get(view.account, ())
        return tuple(snapshot for target in targets if (snapshot := target.visible(now)) is not None)

    def _body(self, view: View, shown: tuple[Snapshot, ...]) -> Body:
        """Join the pieces of all snapshots family by family. Runs in a thread, one at a time."""
        return Body(shown, joined(self._pieces(view, [self._account_of(snapshot) for snapshot in shown])))

    def _pieces(self, view: View, accounts: Sequence[_Account]) -> Iterator[Piece]:
        for collector in self._collectors:
            if collector.name not in view.collectors:
                continue
            exposed = [account.rendered for account in accounts if collector.name not in account.dropped]
            for family in collector.families:
                pieces = [piece for rendered in exposed if (piece := rendered.pieces[family.name]).lines]
                if pieces:
                    yield self._header(family, view.syntax)
                    yield from pieces

    def _header(self, family: Family, syntax: Syntax) -> Piece:
        key = family.name, syntax
        if key not in self._headers:
            self._headers[key] = deflated(header(family, syntax))
        return self._headers[key]

    def _kept(self, snapshot: Snapshot) -> _Account | None:
        """Give the account of a snapshot if that very snapshot is rendered."""
        kept = self._accounts.get(snapshot.account)
        return kept if kept is not None and kept.rendered.snapshot is snapshot else None

    def _account_of(self, snapshot: Snapshot) -> _Account:
        """Give the account of a snapshot, rendered when it is first asked for."""
        kept = self._kept(snapshot)
        if kept is None:
            before = self._accounts.get(snapshot.account)
            previously = before.dropped if before else {}
            kept = self._rendered(snapshot, before.rendered if before else None)
            self._accounts[snapshot.account] = kept
            if kept.dropped and kept.dropped.keys() != previously.keys():
                log.warning(
                    "collectors are dropped: the account has more series than limits.series",
                    account=snapshot.account,
                    dropped=",".join(kept.dropped),
                    series=sum(kept.dropped.values()),
                    hint="raise limits.series, or switch collectors off that nobody looks at",
                )
        return kept

    def _rendered(self, snapshot: Snapshot, before: Rendered | None) -> _Account:
        families = [family for collector in self._collectors for family in collector.families]
        rendered = render(families, snapshot, before)
        series = {
            collector.name: sum(rendered.pieces[family.name].lines for family in collector.families)
            for collector in self._collectors
        }
        dropped = over_ceiling(series, self._ceilings[snapshot.account])
        return _Account(rendered, {name: series[name] for name in dropped})


def _slices(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + MOST_AT_ONCE] for start in range(0, len(view), MOST_AT_ONCE))
