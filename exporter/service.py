"""The running exporter: it polls the accounts, serves what they have learned, and applies a changed configuration."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from exporter import revision
from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.errors import ConfigurationError, PollError
from exporter.exposition.bodies import Exposition
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.families import select_collectors
from exporter.logs import configure_logs, get_logger
from exporter.polling.account import AccountRunner, open_account
from exporter.polling.connections import Runtime
from exporter.polling.detail_client import LeftOut
from exporter.polling.poller import Poller
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.polling.state_directory import StateDirectory
from exporter.polling.state_store import StateStore
from exporter.settings import AccountSettings, DetailSettings, Settings
from exporter.settings.quantities import parse_socket_address
from exporter.settings.tree import same_list, without_fixed
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from exporter.web import Endpoint, create_app, inherited_sockets, serve

if TYPE_CHECKING:
    from exporter.web.toolkit import WebConfigFile

log = get_logger(__name__)


class Service:
    """A running exporter: its URLs, its accounts and its metrics.

    `read_settings` returns the configuration as it is written now, or raises ConfigurationError.
    """

    def __init__(self, settings: Settings, runtime: Runtime, read_settings: Callable[[], Settings]) -> None:
        self.urls: tuple[str, ...] = ()
        self.health = Health(runtime.clock, revision())
        self.generation = Generation(settings, (), Exposition((), ()))
        self._runtime = runtime
        self._read_settings = read_settings
        path = settings.state.path
        self._store = StateStore(StateDirectory(path), runtime.clock) if path else None
        self._runners: tuple[AccountRunner, ...] = ()
        self._polling = False
        self._reader = Worker()
        self._reload_error = ""
        self._reload_lock = asyncio.Lock()
        self._reloads: set[asyncio.Task[Sequence[str]]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def accounts(self) -> Sequence[Account]:
        """The accounts in the order of the configuration."""
        return self.generation.accounts

    @property
    def pollers(self) -> Sequence[Poller]:
        """The pollers of the accounts, in the same order."""
        return tuple(runner.poller for runner in self._runners)

    @property
    def runners(self) -> Sequence[AccountRunner]:
        """The runners of the accounts, in the same order."""
        return self._runners

    @property
    def reload_failed(self) -> bool:
        """Whether the last reload failed."""
        return bool(self._reload_error)

    async def reload(self, *, is_automatic: bool = False) -> Sequence[str]:
        """Apply the configuration as it is written now, and return the options that need a restart.

        Unchanged accounts are not interrupted. Raise ConfigurationError if the configuration cannot be used; then
        only the metrics of reloads have changed. An automatic reload logs an error once while it lasts. A reload is
        cancelled when the exporter stops.
        """
        reload = asyncio.create_task(self._reload(is_automatic=is_automatic))
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        return await reload

    async def _reload(self, *, is_automatic: bool) -> Sequence[str]:
        async with self._reload_lock:
            try:
                read = await self._reader.run(self._read)
                settings, waiting = without_fixed(self.generation.settings, read)
                await self.apply(settings)
            except ConfigurationError as error:
                self._reload_failed(error, is_automatic=is_automatic)
                raise
            except Exception as error:  # A defect must stop neither the exporter nor later reloads.
                reason = ConfigurationError([f"a defect of the exporter: {type(error).__name__}"])
                self._reload_failed(reason, is_automatic=is_automatic, defect=error)
                raise reason from error
            self._reload_error = ""
            self.health.reloaded(successful=True)
            log.info("configuration reloaded", accounts=len(self._runners))
            if waiting:
                log.warning("changed options need a restart", options=",".join(waiting))
            return waiting

    def _read(self) -> Settings:
        """Return the configuration as it is written now. Raise ConfigurationError if a restart would fail with it."""
        read = self._read_settings()
        file = read.web.config_file
        if file is not None and file != self.generation.settings.web.config_file:
            from exporter.web.toolkit import read_policy

            read_policy(file, self._runtime.clock)
        return read

    def _reload_failed(
        self, reason: ConfigurationError, *, is_automatic: bool, defect: Exception | None = None
    ) -> None:
        """Count a failed reload, and log why; after an automatic one, only if the reason is new."""
        self.health.reloaded(successful=False)
        is_known, self._reload_error = str(reason) == self._reload_error, str(reason)
        if is_automatic and is_known:
            return
        if defect is None:
            # Without a traceback: the message names the file, the line and the option.
            log.error("configuration reload failed, keeping the previous one", err=str(reason))
        else:
            log.error("configuration reload failed because of a defect of the exporter", exc_info=defect)

    def start(self) -> None:
        """Start polling the accounts, and from now on those that a reload adds."""
        self._polling = True
        for runner in self._runners:
            runner.start()

    async def apply(self, settings: Settings) -> None:
        """Serve `settings` instead of the current ones.

        Everything that can fail or takes time comes first. Then one step without an await replaces what is served and
        polled, so that no account is left neither polled nor closed. Raise ConfigurationError if an account has no
        credentials; then nothing has changed.
        """
        current = {runner.account.name: runner for runner in self._runners}
        runners: list[AccountRunner] = []
        try:
            async with contextlib.AsyncExitStack() as opened:
                targets = settings.targets()
                for options in targets:
                    kept = current.get(options.name)
                    runner = kept.with_settings(options, settings.collector.details) if kept else None
                    if runner is None:
                        observer = self.health.observer(options.name)
                        previous = await self._previous(options, kept, settings.collector.details)
                        runner = await open_account(
                            options,
                            observer,
                            self,
                            self._runtime,
                            previous,
                            settings.collector.details,
                            is_one_of_several=len(targets) > 1,
                        )
                        opened.push_async_callback(runner.close)
                    runners.append(runner)
                generation = await self._next_generation(settings, tuple(runner.account for runner in runners))
                opened.pop_all()
                self._replace(generation, runners)
            await self._wait_closed()
        finally:
            self.health.forget_others()

    async def _previous(
        self, options: AccountSettings, kept: AccountRunner | None, details: DetailSettings
    ) -> Account | None:
        """Return the account whose state an account that is opened continues, if there is one."""
        if kept and same_list(kept.account.settings, options):
            return kept.account
        return await self._store.load(options, details) if self._store else None

    def stop(self) -> None:
        """Start to stop polling and reloading, without waiting; scrapes are still answered."""
        self._polling = False
        for reload in self._reloads:
            reload.cancel()
        self._close(self._runners)
        self._runners = ()

    async def close(self) -> None:
        """Stop all polling and close all connections."""
        self.stop()
        if self._reloads:
            await asyncio.wait(self._reloads)
        await self._wait_closed()
        if self._store:
            await self._store.close()

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Render a snapshot before it is served."""
        await self.generation.exposition.render(snapshot)

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll, and prepare the bodies that the next scrapes will request."""
        self.health.poll_ended(account, poll, listing)
        if self._store and listing is not None:
            self._store.save(account)
        await self.generation.exposition.refresh(self._runtime.clock.time())

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, left_out: LeftOut
    ) -> None:
        """Count the reading of a collector, and prepare the bodies that the next scrapes will request."""
        self.health.collector_read(account, collector, error, left_out)
        await self.generation.exposition.refresh(self._runtime.clock.time())

    async def _next_generation(self, settings: Settings, accounts: tuple[Account, ...]) -> Generation:
        """Return the next generation, rendered already."""
        current = self.generation
        if (settings.collector, accounts) == (current.settings.collector, current.accounts):
            return replace(current, settings=settings)
        exposition = Exposition(select_collectors(settings.collector), accounts)
        generation = Generation(settings, accounts, exposition, was_ready=current.ready and bool(current.accounts))
        await generation.render_views_of(current, self._runtime.clock.time())
        return generation

    def _replace(self, generation: Generation, runners: Sequence[AccountRunner]) -> None:
        """Replace what is served and polled, and start to close what no longer is."""
        current, pollers = set(self.pollers), {runner.poller for runner in runners}
        removed = [runner for runner in self._runners if runner.poller not in pollers]
        if generation.settings.log != self.generation.settings.log:
            configure_logs(generation.settings.log.level, generation.settings.log.format)
        self.generation, self._runners = generation, tuple(runners)
        self.health.follow(generation.accounts, generation.exposition.series_dropped)
        self._close(removed)
        for runner in removed:
            log.info("polling stopped", account=runner.account.name)
        for runner in runners:
            runner.follow()
            if self._polling and runner.poller not in current:
                runner.start()

    def _close(self, runners: Iterable[AccountRunner]) -> None:
        """Start to close runners, each in a task of its own, because the caller may be cancelled."""
        for runner in runners:
            closing = asyncio.create_task(_close(runner))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _wait_closed(self) -> None:
        """Wait for all runners that are being closed."""
        if self._closing:
            await asyncio.wait(self._closing)


async def _close(runner: AccountRunner) -> None:
    try:
        await runner.close()
    except Exception:  # A defect must not keep the other accounts open.
        log.exception("account could not be closed", account=runner.account.name)


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    runtime: Runtime,
    read_settings: Callable[[], Settings] | None = None,
) -> AsyncIterator[Service]:
    """Run the exporter while the context lasts; scrapes in progress at its end are finished.

    `read_settings` reads the configuration for a reload; without it a reload finds the configuration unchanged. Raise
    ConfigurationError if an account has no credentials or the web configuration cannot be used, and ListenError if an
    address is not available.
    """
    service = Service(settings, runtime, read_settings or (lambda: settings))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        await service.apply(settings)
        web_config = await stack.enter_async_context(_web_config(settings, runtime.clock))
        # getattr and not a function of ours: it runs in every scrape.
        current = partial(getattr, service, "generation")
        protect, tls = (web_config.protect, web_config.tls) if web_config else (None, None)
        app = create_app(current, service.health, runtime.clock, service.reload, protect)
        service.urls = await stack.enter_async_context(serve(app, _endpoints(settings, runtime), tls=tls))
        service.start()
        # Before waiting for the scrapes in progress: a reload may hang, and polls take time from the scrapes.
        stack.callback(service.stop)
        yield service


@contextlib.asynccontextmanager
async def _web_config(settings: Settings, clock: Clock) -> AsyncIterator["WebConfigFile | None"]:
    """Read the web configuration, if there is one, and keep it current. Raise ConfigurationError."""
    path = settings.web.config_file
    if path is None:
        yield None
        return
    from exporter.web.toolkit import WebConfigFile

    async with WebConfigFile.watch(path, clock) as file:
        yield file


def _endpoints(settings: Settings, runtime: Runtime) -> Sequence[Endpoint]:
    if settings.web.systemd_socket:
        return inherited_sockets(runtime.environ, os.getpid())
    return [parse_socket_address(address) for address in settings.web.listen_address]
