"""When the configuration of a running exporter is reloaded: on request, or because its files have changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, TypeAlias

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.logs import get_logger
from exporter.polling.connections import read_ca_bundle
from exporter.service import Service
from exporter.settings.loading import read_digest

SETTLE_SECONDS: Final = 1.0
"""Changed files are read again after this time, until they are the same: many are written in several steps."""

MAX_CHANGING_READINGS: Final = 10
"""Readings in a row that all differ after which a warning is logged, because the reload waits."""

Contents: TypeAlias = tuple[object, ...]
"""The content of the configuration file and of the CA bundles that it names, or why it cannot be read."""

log = get_logger(__name__)


@contextlib.asynccontextmanager
async def reloading(service: Service, clock: Clock, requested: asyncio.Event) -> AsyncIterator[None]:
    """Reload each time that `requested` is set and, if the options say so, when files change, during the context."""
    tasks = [asyncio.create_task(_reload_on_request(service, requested))]
    if service.generation.settings.config.enable_auto_reload:
        tasks.append(asyncio.create_task(_reload_on_change(service, clock)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _reload_on_request(service: Service, requested: asyncio.Event) -> None:
    while True:
        await requested.wait()
        requested.clear()
        with contextlib.suppress(ConfigurationError):  # It is logged already.
            await service.reload()


async def _reload_on_change(service: Service, clock: Clock) -> None:
    worker = Worker()
    while True:
        await clock.sleep(service.generation.settings.config.auto_reload_interval)
        try:
            if await _is_outdated(service, clock, worker):
                await service.reload(is_automatic=True)
        except ConfigurationError:
            pass  # It is logged already.
        except Exception:  # A defect must not end the loop.
            log.exception("check for a changed configuration failed because of a defect of the exporter")


async def _is_outdated(service: Service, clock: Clock, worker: Worker) -> bool:
    """Return whether the files differ from the configuration in use, once they do not change any more.

    After a failed reload they do, because it may have failed for another reason than the content of these files.
    """
    seen: Contents | None = None
    readings = 0
    while True:
        contents = await worker.run(_read_contents, service)
        if not service.reload_failed and contents == _contents_in_use(service):
            return False
        if contents == seen:
            return True
        seen = contents
        readings += 1
        if readings == MAX_CHANGING_READINGS:
            log.warning("configuration files keep changing, reload waits", readings=readings)
        await clock.sleep(SETTLE_SECONDS)


def _contents_in_use(service: Service) -> Contents:
    return (service.generation.settings.file_digest, *(runner.ca_bundle for runner in service.runners))


def _read_contents(service: Service) -> Contents:
    """Return the contents as they are on the disk. Runs in a thread."""
    return (
        _read_or_explain(lambda: read_digest(service.generation.settings.config.file)),
        *(_read_or_explain(partial(read_ca_bundle, runner.account.settings.api)) for runner in service.runners),
    )


def _read_or_explain(read: Callable[[], object]) -> object:
    try:
        return read()
    except (ConfigurationError, OSError) as error:
        return str(error)
