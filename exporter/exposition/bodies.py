"""The bodies of /metrics for all accounts: rendered once per snapshot, served any number of times.

Each snapshot is rendered once, as deflated pieces. A body consists of the pieces of all snapshots, joined at the first
request and cached until a snapshot changes, followed by a tail that is fresh at every scrape. The uncompressed text of
a body is never in memory as a whole: a request without gzip, usually curl, gets it inflated slice by slice.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from exporter.blocking import Worker
from exporter.exposition.gzip import Piece, deflate, gzip_head, gzip_tail, inflate
from exporter.exposition.negotiation import Encoding
from exporter.exposition.pieces import RenderedSnapshot, render_snapshot
from exporter.exposition.text import Syntax, render_header
from exporter.families import Collector, Family, full_name
from exporter.families.family import sample_name
from exporter.families.selection import DROP_ORDER, collectors_over_limit
from exporter.logs import get_logger
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account

log = get_logger(__name__)

VIEW_TTL_SECONDS: Final = 300.0
"""How long after its last scrape the body of a view is still prepared before the next one."""

MAX_BODIES: Final = 32
"""Maximum number of cached bodies besides one per account; above it, the least recently requested one is dropped."""

MAX_SLICE_BYTES: Final = 2**18
"""Size of a slice of a body: a few hundred microseconds to inflate or to send."""


@dataclass(frozen=True, slots=True)
class View:
    """What a scrape asks for: collectors by name, one account or all (None), the format, and metrics by name.

    `names` are names of families or of their samples, None for all.
    """

    collectors: frozenset[str]
    account: str | None
    syntax: Syntax
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete body in slices, and its `size` in bytes."""

    size: int
    slices: Iterator[bytes | memoryview]


class Body:
    """The part of a body that comes from `snapshots`, deflated, with the end of the last answer."""

    def __init__(self, snapshots: tuple[Snapshot, ...], pieces: Iterable[Piece]) -> None:
        self.snapshots = snapshots
        self._head = gzip_head(pieces)
        self._last_end: tuple[bytes, bytes] | None = None

    def complete(self, tail: bytes, encoding: Encoding) -> Answer:
        """Return the whole body, which ends with `tail`."""
        if encoding == "identity":
            return Answer(self._head.size + len(tail), chain(inflate(self._head, MAX_SLICE_BYTES), (tail,)))
        data = self._head.data
        # The tail is sent together with the end of the data that is not a slice of its own.
        whole = len(data) - len(data) % MAX_SLICE_BYTES
        if self._last_end is None or self._last_end[0] is not tail:
            self._last_end = tail, data[whole:] + gzip_tail(self._head, tail)
        _, end = self._last_end
        return Answer(whole + len(end), chain(_slices(memoryview(data)[:whole]), (end,)))


@dataclass(frozen=True, slots=True)
class _ExposedAccount:
    """The rendered snapshot of an account, and the series of each collector that the series limit drops."""

    rendered: RenderedSnapshot
    dropped: Mapping[str, int]


class Exposition:
    """Bodies of /metrics for `accounts`, with the families of `collectors`."""

    def __init__(self, collectors: Iterable[Collector], accounts: Sequence[Account]) -> None:
        self._collectors = tuple(collectors)
        self.collector_names = tuple(collector.name for collector in self._collectors)
        self._accounts = accounts
        self._accounts_by_name = {account.name: (account,) for account in accounts}
        # Each account can be a target of its own.
        self._max_bodies = MAX_BODIES + len(accounts)
        self._series_limits = {account.name: account.settings.limits.series for account in accounts}
        self._exposed_accounts: dict[str, _ExposedAccount] = {}
        self._headers: dict[tuple[str, Syntax], Piece] = {}
        self._bodies: dict[View, Body] = {}
        self._requested_at: dict[View, float] = {}
        self._rendering = asyncio.Lock()
        self._worker = Worker()

    async def body(self, view: View, now: float) -> Body:
        """Return what the view contains of each snapshot that is served at `now`."""
        self._requested_at[view] = now
        return self._cached_body(view, now) or await self._render_once(view, now)

    def series_dropped(self, account: str) -> Mapping[str, int]:
        """Return the number of series that the account's series limit drops, for each collector that can be dropped."""
        exposed = self._exposed_accounts.get(account)
        dropped = exposed.dropped if exposed else {}
        return {name: dropped.get(name, 0) for name in DROP_ORDER if name in self.collector_names}

    def recent_views(self, now: float) -> tuple[View, ...]:
        """Return the views that were requested recently."""
        requests = self._requested_at.items()
        return tuple(view for view, requested_at in requests if now - requested_at <= VIEW_TTL_SECONDS)

    async def render(self, snapshot: Snapshot) -> None:
        """Render a snapshot of one account before it is served."""
        async with self._rendering:
            if snapshot.account in self._accounts_by_name:
                await self._worker.run(self._exposed_account, snapshot)

    async def refresh(self, now: float) -> None:
        """Render new snapshots and the bodies of recent views; drop all other bodies."""
        async with self._rendering:
            for account in self._accounts:
                snapshot = account.served_snapshot(now)
                if snapshot is not None and self._cached_account(snapshot) is None:
                    await self._worker.run(self._exposed_account, snapshot)
            self._requested_at = {view: self._requested_at[view] for view in self.recent_views(now)}
            self._bodies = {view: body for view, body in self._bodies.items() if view in self._requested_at}
            for view in list(self._requested_at):
                if self._cached_body(view, now) is None:
                    self._bodies[view] = await self._worker.run(self._build_body, view, self._snapshots(view, now))

    async def _render_once(self, view: View, now: float) -> Body:
        """Render once for all scrapes that wait for the same body."""
        async with self._rendering:
            # While this scrape waited, a poll may have dropped the view with others.
            self._requested_at[view] = now
            body = self._cached_body(view, now)
            if body is None:
                body = await self._worker.run(self._build_body, view, self._snapshots(view, now))
                self._bodies[view] = body
                if len(self._bodies) > self._max_bodies:
                    oldest = min(self._bodies, key=self._requested_at.__getitem__)
                    del self._bodies[oldest], self._requested_at[oldest]
            return body

    def _cached_body(self, view: View, now: float) -> Body | None:
        """Return the cached body if it was rendered from exactly the snapshots to serve."""
        body = self._bodies.get(view)
        if body is None:
            return None
        return body if body.snapshots == self._snapshots(view, now) else None

    def _snapshots(self, view: View, now: float) -> tuple[Snapshot, ...]:
        accounts = self._accounts if view.account is None else self._accounts_by_name.get(view.account, ())
        return tuple(snapshot for account in accounts if (snapshot := account.served_snapshot(now)) is not None)

    def _build_body(self, view: View, snapshots: tuple[Snapshot, ...]) -> Body:
        """Join the pieces of all snapshots family by family. Runs in a thread, one at a time."""
        return Body(snapshots, self._pieces(view, [self._exposed_account(snapshot) for snapshot in snapshots]))

    def _pieces(self, view: View, accounts: Sequence[_ExposedAccount]) -> Iterator[Piece]:
        for collector in self._collectors:
            if collector.name not in view.collectors:
                continue
            rendered = [account.rendered for account in accounts if collector.name not in account.dropped]
            for family in collector.families:
                if view.names is not None and view.names.isdisjoint((full_name(family), sample_name(family))):
                    continue
                pieces = [piece for each in rendered if (piece := each.pieces[family.name]).lines]
                if pieces:
                    yield self._header(family, view.syntax)
                    yield from pieces

    def _header(self, family: Family, syntax: Syntax) -> Piece:
        key = family.name, syntax
        if key not in self._headers:
            self._headers[key] = deflate(render_header(family, syntax))
        return self._headers[key]

    def _cached_account(self, snapshot: Snapshot) -> _ExposedAccount | None:
        cached = self._exposed_accounts.get(snapshot.account)
        return cached if cached is not None and cached.rendered.snapshot is snapshot else None

    def _exposed_account(self, snapshot: Snapshot) -> _ExposedAccount:
        """Return the account of a snapshot, rendered at the first request."""
        cached = self._cached_account(snapshot)
        if cached is None:
            previous = self._exposed_accounts.get(snapshot.account)
            previously_dropped = previous.dropped if previous else {}
            cached = self._render_account(snapshot, previous.rendered if previous else None)
            self._exposed_accounts[snapshot.account] = cached
            if cached.dropped and cached.dropped.keys() != previously_dropped.keys():
                log.warning(
                    "dropping collectors: the account has more series than limits.series",
                    account=snapshot.account,
                    dropped=",".join(cached.dropped),
                    series=sum(cached.dropped.values()),
                    hint="raise limits.series, or turn off collectors that you do not use",
                )
        return cached

    def _render_account(self, snapshot: Snapshot, previous: RenderedSnapshot | None) -> _ExposedAccount:
        families = [family for collector in self._collectors for family in collector.families]
        rendered = render_snapshot(families, snapshot, previous)
        series = {
            collector.name: sum(rendered.pieces[family.name].lines for family in collector.families)
            for collector in self._collectors
        }
        dropped = collectors_over_limit(series, self._series_limits[snapshot.account])
        return _ExposedAccount(rendered, {name: series[name] for name in dropped})


def _slices(data: memoryview) -> Iterator[memoryview]:
    return (data[start : start + MAX_SLICE_BYTES] for start in range(0, len(data), MAX_SLICE_BYTES))
