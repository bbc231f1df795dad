"""Changes of the web configuration file on disk take effect; an invalid file does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

from aiohttp import web

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.logs import get_logger
from exporter.web.toolkit.middleware import access_control, configured_headers
from exporter.web.toolkit.policy import FileContents, Policy, build_policy, read_contents, read_policy, summary
from exporter.web.toolkit.tls import CurrentContext

log = get_logger(__name__)

CHECK_INTERVAL_SECONDS: Final = 2.0
"""A change takes effect when two checks in a row see the same content."""
MAX_CHANGING_READINGS: Final = 10
"""Readings in a row that all differ after which a warning is logged."""


class WebConfigFile:
    """The current policy and TLS context of a web configuration file.

    Every few seconds a thread reads the files, all of them small, and compares their content: time stamps and inodes
    would not reveal a changed symbolic link. Requests and handshakes never wait for the disk. A file is often written
    in several steps, and an empty file has no users: so a change must be seen twice.
    """

    def __init__(self, policy: Policy, path: Path, clock: Clock) -> None:
        self._policy = policy
        self._path = path
        self._clock = clock
        self._worker = Worker()
        self._last_contents: FileContents | str = policy.contents
        """The contents at the last check, or the error."""
        self._changing_readings = 0
        self._logged_error: str | None = None
        self.tls = CurrentContext.of(policy.tls) if policy.tls else None

    def __call__(self) -> Policy:
        """Return the current policy."""
        return self._policy

    @classmethod
    @contextlib.asynccontextmanager
    async def watch(cls, path: Path, clock: Clock) -> AsyncIterator["WebConfigFile"]:
        """Read the file and watch it while the context lasts. Raise ConfigurationError."""
        file = cls(await Worker().run(read_policy, path, clock), path, clock)
        log.info("web configuration read", file=str(path), summary=summary(file().config))
        watching = asyncio.create_task(file._check_repeatedly())
        try:
            yield file
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    def protect(self, app: web.Application, exempt: Collection[str]) -> None:
        """Apply the current policy to every request, without users and rate limit to the paths in `exempt`."""
        app.middlewares.append(access_control(self, exempt))
        app.on_response_prepare.append(configured_headers(self))

    async def _check_repeatedly(self) -> None:
        while True:
            await self._clock.sleep(CHECK_INTERVAL_SECONDS)
            try:
                await self.check()
            except Exception:  # A defect must not end the loop: certificates would expire unnoticed.
                log.exception("web configuration check failed", file=str(self._path))

    async def check(self) -> None:
        """Read the files, and apply contents that are new, valid, and the same as at the last check."""
        contents = await self._worker.run(_read, self._path)
        is_changing = contents != self._last_contents
        self._changing_readings = self._changing_readings + 1 if is_changing else 0
        if self._changing_readings == MAX_CHANGING_READINGS:
            log.warning("web configuration keeps changing, keeping previous", file=str(self._path))
        if is_changing:
            self._last_contents = contents
        elif isinstance(contents, str):
            self._log_error(contents)
        elif contents != self._policy.contents or self._logged_error:
            try:
                policy = await self._worker.run(build_policy, contents, self._clock, self._policy)
            except ConfigurationError as error:
                self._log_error(str(error))
            else:
                self._apply(policy)

    def _log_error(self, reason: str) -> None:
        """Log an error once while it lasts."""
        if reason != self._logged_error:
            self._logged_error = reason
            log.warning("web configuration reload failed, keeping previous", file=str(self._path), reason=reason)

    def _apply(self, policy: Policy) -> None:
        self._policy = policy
        self._logged_error = None
        if self.tls and policy.tls:
            self.tls.current = policy.tls
        log.info("web configuration read", file=str(self._path), summary=summary(policy.config))


def _read(path: Path) -> FileContents | str:
    """Return the contents of the files, or the error."""
    try:
        return read_contents(path)
    except ConfigurationError as error:
        return str(error)
