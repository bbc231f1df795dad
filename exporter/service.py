"""The exporter put together: accounts that are polled, one server, and another configuration put in force live."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from exporter import revision
from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.exposition.bodies import Exposition
from exporter.exposition.generation import Generation
from exporter.exposition.health import Health
from exporter.families import select_collectors
from exporter.logs import configure_logs
from exporter.polling.account import AccountRunner, open_account
from exporter.polling.connections import Runtime
from exporter.polling.poller import Poller
from exporter.polling.state import Account, Poll
from exporter.settings import Settings
from exporter.settings.quantities import parse_socket_address
from exporter.settings.tree import without_fixed
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing
from exporter.web import Endpoint, create_app, inherited_sockets, serve
from exporter.web.toolkit import WebConfigFile

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Service:
    """A running exporter: where it is reached, what it polls, and what it authenticates with.

    `read_again` gives the configuration as it is written by then, or raises ConfigurationError.
    """

    def __init__(self, settings: Settings, runtime: Runtime, read_again: Callable[[], Settings]) -> None:
        self.urls: tuple[str, ...] = ()
        self.health = Health((), runtime.clock, lambda _: {}, revision=revision())
        self.generation = Generation(settings, (), Exposition((), ()))
        self._runtime = runtime
        self._read_again = read_again
        self._runners: tuple[AccountRunner, ...] = ()
        self._polling = False
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[Sequence[str]]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def accounts(self) -> Sequence[Account]:
        """The accounts in the order of the configuration."""
        return self.generation.accounts

    @property
    def pollers(self) -> Sequence[Poller]:
        """Their pollers."""
        return tuple(runner.poller for runner in self._runners)

    async def reload(self) -> Sequence[str]:
        """Put the configuration in force as it is written by now, and give the options that wait for a restart.

        Accounts that do not change go on as if nothing had happened. Raises ConfigurationError where the
        configuration cannot be used; then nothing has changed but what the health metrics tell of it. It is
        cancelled when the exporter ends.
        """
        reload = asyncio.create_task(self._reload())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)
        return await reload

    async def _reload(self) -> Sequence[str]:
        async with self._reloading:
            try:
                read = await asyncio.to_thread(self._read_again)
                settings, waiting = without_fixed(self.generation.settings, read)
                await self.put_in_force(settings)
            except ConfigurationError as error:
                self.health.reloaded(successful=False)
                told = "the configuration cannot be used: the one before stays in force"
                log.error(told, err=str(error))  # noqa: TRY400 - it tells where; a traceback would tell nothing
                raise
            except Exception as error:  # a defect of ours must end neither the exporter nor later reloads
                self.health.reloaded(successful=False)
                log.exception("the configuration was not put in force")
                raise ConfigurationError([f"a defect of the exporter: {type(error).__name__}"]) from error
            self.health.reloaded(successful=True)
            log.info("the configuration was reloaded", accounts=len(self._runners))
            if waiting:
                log.warning("changed options wait for a restart", options=",".join(waiting))
            return waiting

    @contextlib.asynccontextmanager
    async def reloading_when(self, asked: asyncio.Event) -> AsyncIterator[None]:
        """Reload each time that `asked` is set, while the context lasts."""

        async def reload_when_asked() -> None:
            while True:
                await asked.wait()
                asked.clear()
                with contextlib.suppress(ConfigurationError):  # which is logged
                    await self.reload()

        reloading = asyncio.create_task(reload_when_asked())
        try:
            yield
        finally:
            reloading.cancel()
            await asyncio.wait([reloading])

    def start(self) -> None:
        """Poll the accounts that are in force, and from here on those that a reload adds."""
        self._polling = True
        for runner in self._runners:
            runner.start()

    async def put_in_force(self, settings: Settings) -> None:
        """Serve what `settings` say instead of what is served.

        All that can fail or take time comes first; then nothing comes between the moments at which an account is in
        force, is polled, or is sure to be closed. Raises ConfigurationError where an account has no credentials;
        then nothing has changed.
        """
        before = {runner.account.name: runner for runner in self._runners}
        runners: list[AccountRunner] = []
        try:
            async with contextlib.AsyncExitStack() as opened:
                for options in settings.targets():
                    kept = before.get(options.name)
                    runner = kept.with_settings(options) if kept else None
                    if runner is None:
                        observer = self.health.of(options.name)
                        previous = kept.account if kept else None
                        runner = await open_account(options, observer, self, self._runtime, previous)
                        opened.push_async_callback(runner.close)
                    runners.append(runner)
                generation = await self._next(settings, tuple(runner.account for runner in runners))
                opened.pop_all()
                self._replace(generation, runners)
            await self._closed()
        finally:
            self.health.forget_others()

    def end_reloads(self) -> None:
        """Cancel the reload in flight, and those that wait for it."""
        for reload in self._reloads:
            reload.cancel()

    async def close(self) -> None:
        """End all polling and all connections."""
        self.end_reloads()
        if self._reloads:
            await asyncio.wait(self._reloads)
        self._close(self._runners)
        await self._closed()

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll, and render its snapshot before the next scrape asks for it."""
        self.health.poll_ended(account, poll, listing)
        await self.generation.exposition.refresh(self._runtime.clock.time())

    async def _next(self, settings: Settings, accounts: tuple[Account, ...]) -> Generation:
        """Make the generation that follows, rendered already."""
        before = self.generation
        if (settings.collector, accounts) == (before.settings.collector, before.accounts):
            return replace(before, settings=settings)
        exposition = Exposition(select_collectors(settings.collector), accounts)
        generation = Generation(settings, accounts, exposition, was_ready=before.ready and bool(before.accounts))
        await generation.render_like(before, self._runtime.clock.time())
        return generation

    def _replace(self, generation: Generation, runners: Sequence[AccountRunner]) -> None:
        """Swap, at one moment, what is served and who is polled; what is served no more begins to be closed."""
        before, pollers = set(self.pollers), {runner.poller for runner in runners}
        gone = [runner for runner in self._runners if runner.poller not in pollers]
        if generation.settings.log != self.generation.settings.log:
            configure_logs(generation.settings.log.level, generation.settings.log.format)
        self.generation, self._runners = generation, tuple(runners)
        self.health.follow(generation.accounts, generation.exposition.series_dropped)
        self._close(gone)
        for runner in gone:
            log.info("polling ended", account=runner.account.name)
        for runner in runners:
            runner.poller.follow(runner.account)
            if self._polling and runner.poller not in before:
                runner.start()

    def _close(self, runners: Iterable[AccountRunner]) -> None:
        """Begin to close accounts, each in a task of its own: whoever waits for it may be cancelled."""
        for runner in runners:
            closing = asyncio.create_task(_close(runner))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _closed(self) -> None:
        """Wait until all that began to be closed is closed."""
        if self._closing:
            await asyncio.wait(self._closing)


async def _close(runner: AccountRunner) -> None:
    try:
        await runner.close()
    except Exception:  # a defect of ours must not keep the others open
        log.exception("an account could not be closed", account=runner.account.name)


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    runtime: Runtime,
    read_again: Callable[[], Settings] | None = None,
) -> AsyncIterator[Service]:
    """Run the exporter while the context lasts; scrapes in flight at its end are finished.

    `read_again` reads the configuration for a reload; without it a reload finds it unchanged. Raises
    ConfigurationError where an account has no credentials or the web configuration is unsound, and
    ListenError where an address cannot be had.
    """
    service = Service(settings, runtime, read_again or (lambda: settings))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        await service.put_in_force(settings)
        web_config = await stack.enter_async_context(_web_config(settings, runtime.clock))
        app = create_app(lambda: service.generation, service.health, runtime.clock, service.reload, web_config)
        tls = web_config.tls if web_config else None
        service.urls = await stack.enter_async_context(serve(app, _endpoints(settings, runtime), tls=tls))
        service.start()
        # Before the scrapes in flight are waited for: a reload may hang.
        stack.callback(service.end_reloads)
        yield service


@contextlib.asynccontextmanager
async def _web_config(settings: Settings, clock: Clock) -> AsyncIterator[WebConfigFile | None]:
    """Read the web configuration, if there is one, and keep it current. Raises ConfigurationError."""
    path = settings.web.config_file
    async with WebConfigFile.watch(path, clock) if path else contextlib.nullcontext() as file:
        yield file


def _endpoints(settings: Settings, runtime: Runtime) -> Sequence[Endpoint]:
    if settings.web.systemd_socket:
        return inherited_sockets(runtime.environ, os.getpid())
    return [parse_socket_address(address) for address in settings.web.listen_address]
