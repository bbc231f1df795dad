"""Runs one account: opens its connections, and supervises its poller."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.logs import get_logger
from exporter.polling.connections import ClientObserver, Runtime, account_client, read_ca_bundle
from exporter.polling.detail_client import DetailClient
from exporter.polling.details import DetailListener, DetailReader
from exporter.polling.lockout import CredentialsGuard
from exporter.polling.poller import Poller, PollListener
from exporter.polling.protection import find_unprotected
from exporter.polling.schedule import spread
from exporter.polling.state import Account, AccountState
from exporter.settings import NO_DETAILS, AccountSettings, DetailSettings
from exporter.settings.tree import same_connection, same_list

RESTART_DELAY_SECONDS: Final = 5.0
"""Pause before a poller that ended because of a defect is started again."""

log = get_logger(__name__)


class AccountListener(PollListener, DetailListener, Protocol):
    """Is notified of the polls of all accounts, and of the readings of their collectors."""


@dataclass(frozen=True, slots=True)
class AccountRunner:
    """Polls one account, and lets its collectors read, from `start` until `close`."""

    account: Account
    poller: Poller
    readers: Sequence[DetailReader]
    clock: Clock
    ca_bundle: bytes
    resources: contextlib.AsyncExitStack

    def start(self) -> None:
        """Start polling."""
        credentials = self.account.credentials
        log.info(
            "polling started",
            account=self.account.name,
            api=self.account.settings.api.url,
            auth=credentials.source if credentials else "",
        )
        for warning in find_unprotected(self.account.settings, credentials.issuer_url if credentials else ""):
            log.warning("connection is not protected", account=self.account.name, reason=warning)
        self._run(self.poller.run, self.poller.fail)
        for reader in self.readers:
            self._run(partial(reader.run, self.poller.polled), reader.fail)

    def follow(self) -> None:
        """Let the poller and the readers continue with this runner's settings."""
        self.poller.follow(self.account)
        for reader in self.readers:
            reader.follow(self.account)

    def _run(self, run: Callable[[], Awaitable[None]], fail: Callable[[BaseException], Awaitable[object]]) -> None:
        self.resources.push_async_callback(_cancel, asyncio.create_task(self._supervise(run, fail)))

    async def close(self) -> None:
        """Stop polling and close the connections."""
        await self.resources.aclose()

    async def _supervise(
        self, run: Callable[[], Awaitable[None]], fail: Callable[[BaseException], Awaitable[object]]
    ) -> None:
        """Run until cancelled. Whatever else ends it is logged and counted by `fail`, and it is started again."""
        while True:
            running = asyncio.ensure_future(run())
            try:
                await asyncio.wait([running])
            finally:
                await _cancel(running)
            defect = _get_defect(running)
            log.error(
                "polling stopped because of a defect of the exporter, restarting",
                account=self.account.name,
                exc_info=defect,
            )
            with contextlib.suppress(Exception):  # Nothing more can be done about a second defect.
                await fail(defect)
            await self.clock.sleep(RESTART_DELAY_SECONDS)

    def with_settings(self, settings: AccountSettings, details: DetailSettings) -> "AccountRunner | None":
        """Return this runner with other settings, or None if they need other connections or collectors.

        Its poller and its readers follow them once `follow` is called.
        """
        if read_ca_bundle(settings.api) != self.ca_bundle or details != self.account.details:
            return None
        if settings == self.account.settings:
            return self
        if same_connection(self.account.settings, settings):
            return replace(self, account=replace(self.account, settings=settings))
        return None


async def open_account(
    settings: AccountSettings,
    observer: ClientObserver,
    listener: AccountListener,
    runtime: Runtime,
    previous: Account | None = None,
    details: DetailSettings = NO_DETAILS,
    *,
    is_one_of_several: bool = False,
) -> AccountRunner:
    """Return a runner that is ready to be started. It keeps the state of `previous` if both are of the same list.

    The polls of several accounts are spread over their intervals.

    Raise ConfigurationError if there are no credentials or the CA bundle cannot be used.
    """
    ca_bundle = read_ca_bundle(settings.api)
    state = previous.state if previous and same_list(previous.settings, settings) else AccountState()
    async with contextlib.AsyncExitStack() as resources:
        client, credentials = await resources.enter_async_context(account_client(settings, observer, runtime))
        account = Account(settings, state, credentials, details)
        guard = CredentialsGuard(runtime.lockout, credentials.fingerprint)
        shift = spread(account.name, settings.poll.interval) if is_one_of_several else 0.0
        poller = Poller(account, client.page, runtime.clock, listener, guard, runtime.snapshot_worker, shift=shift)
        readers = [
            DetailReader(
                account,
                name,
                DetailClient(client.client, settings.filter.query(), settings.api.paging, runtime.clock),
                runtime.clock,
                listener,
                CredentialsGuard(runtime.lockout, credentials.fingerprint),
                shift=spread(account.name, account.details_interval) if is_one_of_several else 0.0,
            )
            for name in details.collectors
        ]
        return AccountRunner(account, poller, readers, runtime.clock, ca_bundle, resources.pop_all())


def _get_defect(task: asyncio.Future[None]) -> BaseException:
    """Return what ended a task that should not end, with its traceback."""
    try:
        task.result()
    except BaseException as defect:  # noqa: BLE001 - CancelledError is one, too
        return defect
    return RuntimeError("the task returned")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
