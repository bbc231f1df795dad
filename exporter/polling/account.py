"""Runs one account: opens its connections, and supervises its poller."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

import structlog

from exporter.clock import Clock
from exporter.polling.connections import ClientObserver, Runtime, account_client, read_ca_bundle
from exporter.polling.lockout import CredentialsGuard
from exporter.polling.poller import Poller, PollListener
from exporter.polling.schedule import spread
from exporter.polling.state import Account, AccountState
from exporter.settings import AccountSettings
from exporter.settings.tree import same_connection, same_list

RESTART_DELAY_SECONDS: Final = 5.0
"""Pause before a poller that ended because of a defect is started again."""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccountRunner:
    """Polls one account from `start` until `close`."""

    account: Account
    poller: Poller
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
        self.resources.push_async_callback(_cancel, asyncio.create_task(self._supervise()))

    async def close(self) -> None:
        """Stop polling and close the connections."""
        await self.resources.aclose()

    async def _supervise(self) -> None:
        """Run the poller until cancelled. Whatever else ends it is logged, and the poller is started again."""
        while True:
            running = asyncio.create_task(self.poller.run())
            try:
                await asyncio.wait([running])
            finally:
                await _cancel(running)
            defect = asyncio.CancelledError() if running.cancelled() else running.exception()
            log.error(
                "polling stopped because of a defect of the exporter, restarting",
                account=self.account.name,
                exc_info=defect,
            )
            with contextlib.suppress(Exception):  # Nothing more can be done about a second defect.
                await self.poller.fail(defect or RuntimeError("the poller returned"))
            await self.clock.sleep(RESTART_DELAY_SECONDS)

    def with_settings(self, settings: AccountSettings) -> "AccountRunner | None":
        """Return this runner with other settings, or None if they need other connections.

        Its poller follows them once `Poller.follow` is called.
        """
        if read_ca_bundle(settings.api) != self.ca_bundle:
            return None
        if settings == self.account.settings:
            return self
        if same_connection(self.account.settings, settings):
            return replace(self, account=replace(self.account, settings=settings))
        return None


async def open_account(
    settings: AccountSettings,
    observer: ClientObserver,
    listener: PollListener,
    runtime: Runtime,
    previous: Account | None = None,
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
        account = Account(settings, state, credentials)
        guard = CredentialsGuard(runtime.lockout, credentials.fingerprint)
        shift = spread(account.name, settings.poll.interval) if is_one_of_several else 0.0
        poller = Poller(account, client.page, runtime.clock, listener, guard, runtime.snapshot_worker, shift=shift)
        return AccountRunner(account, poller, runtime.clock, ca_bundle, resources.pop_all())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
