"""The file kept current: what changes on disk takes effect, and what is broken there does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.web.toolkit.policy import Policy, Sources, make_policy, read_policy, read_sources, summary
from exporter.web.toolkit.tls import CurrentContext

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the files; what two looks in a row see is taken for finished."""


class Watched:
    """The policy in force, and the TLS context that always is its own.

    Every few seconds a thread reads the files, all of them small, and compares what they say; dates and
    inodes would not tell of a link that points elsewhere. Requests and handshakes so wait for no disk, see
    one whole reading or the one before it, and cost nothing more. A file is written in more than one step,
    and while it is empty it names no users: so nothing counts that only one look has seen.
    """

    def __init__(self, policy: Policy, path: Path, clock: Clock) -> None:
        self._policy = policy
        self._path = path
        self._clock = clock
        self._seen: Sources | str = policy.sources
        """What the last look saw: the content of the files, or what is wrong with them."""
        self._complaint: str | None = None
        self.tls = CurrentContext.of(policy.tls) if policy.tls else None

    def __call__(self) -> Policy:
        """Give the policy in force."""
        return self._policy

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, path: Path, clock: Clock) -> AsyncIterator["Watched"]:
        """Read the file and keep it current while the context lasts. Raises ConfigurationError."""
        watched = cls(await asyncio.to_thread(read_policy, path, clock), path, clock)
        log.info("web configuration read", file=str(path), summary=summary(watched().config))
        watching = asyncio.create_task(watched._watch())
        try:
            yield watched
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY)
            try:
                await self.look()
            except Exception:  # a defect of ours must not end the watch: certificates would expire in service
                log.exception("the web configuration could not be looked at", file=str(self._path))

    async def look(self) -> None:
        """Look at the files, and put in force what is new, sound, and seen twice."""
        seen = await asyncio.to_thread(_read, self._path)
        if seen != self._seen:
            self._seen = seen
        elif isinstance(seen, str):
            self._complain(seen)
        elif seen != self._policy.sources or self._complaint:
            try:
                policy = await asyncio.to_thread(make_policy, seen, self._clock, self._policy)
            except ConfigurationError as error:
                self._complain(str(error))
            else:
                self._put_in_force(policy)

    def _complain(self, reason: str) -> None:
        """Say once what is wrong."""
        if reason != self._complaint:
            self._complaint = reason
            log.warning("web configuration kept as it was", file=str(self._path), reason=reason)

    def _put_in_force(self, policy: Policy) -> None:
        self._policy = policy
        self._complaint = None
        if self.tls and policy.tls:
            self.tls.current = policy.tls
        log.info("web configuration read", file=str(self._path), summary=summary(policy.config))


def _read(path: Path) -> Sources | str:
    """Give what the files say, or what is wrong with them."""
    try:
        return read_sources(path)
    except ConfigurationError as error:
        return str(error)
