"""One poll of every account, without a server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from exporter import revision
from exporter.commands.output import print_errors
from exporter.commands.usage import EXIT_FAILURE
from exporter.errors import PollError
from exporter.exposition.bodies import Exposition
from exporter.exposition.health import Health
from exporter.families import select_collectors
from exporter.polling.account import open_account
from exporter.polling.connections import Runtime
from exporter.polling.detail_client import LeftOut
from exporter.polling.details import DetailReader
from exporter.polling.poller import Poller
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account, Poll
from exporter.settings import Settings
from exporter.sms.model import SourceServer
from exporter.sms.paging import Listing


@dataclass(frozen=True)
class Reading:
    """The accounts, polled at least once each."""

    accounts: Sequence[Account]
    exposition: Exposition
    health: Health
    pollers: Sequence[Poller] = ()
    readers: Sequence[DetailReader] = ()

    async def poll(self) -> None:
        """Poll all accounts at the same time, then let their collectors read."""
        await asyncio.gather(*(poller.poll() for poller in self.pollers))
        await asyncio.gather(*(reader.read() for reader in self.readers))

    def snapshots(self) -> Sequence[Snapshot]:
        """Return the snapshots of the accounts whose poll succeeded."""
        return [account.state.snapshot for account in self.accounts if account.state.snapshot]

    def failures(self) -> Sequence[str]:
        """Return one line per account whose poll failed, with a hint."""
        return [
            f"account {account.name}: {poll.error.reason}: {poll.error.message.removesuffix('.')}; {poll.error.hint}"
            for account in self.accounts
            if (poll := account.state.last_poll) and poll.error
        ]


class _PollCounter:
    """Counts every poll in the health metrics."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def snapshot_read(self, snapshot: Snapshot) -> None:
        """Do nothing: no scrape waits for it."""

    async def poll_ended(self, account: Account, poll: Poll, listing: Listing[SourceServer] | None) -> None:
        """Count a poll."""
        self._health.poll_ended(account, poll, listing)

    async def collector_read(
        self, account: Account, collector: str, error: PollError | None, left_out: LeftOut
    ) -> None:
        """Count the reading of a collector."""
        self._health.collector_read(account, collector, error, left_out)


@contextlib.asynccontextmanager
async def open_reading(settings: Settings, runtime: Runtime) -> AsyncIterator[Reading]:
    """Open all accounts; `Reading.poll` polls them.

    Raise ConfigurationError if an account has no credentials.
    """
    health = Health(runtime.clock, revision())
    counter = _PollCounter(health)
    async with contextlib.AsyncExitStack() as stack:
        runners = []
        for options in settings.targets():
            runner = await open_account(
                options, health.observer(options.name), counter, runtime, details=settings.collector.details
            )
            stack.push_async_callback(runner.close)
            runners.append(runner)
        accounts = [runner.account for runner in runners]
        exposition = Exposition(select_collectors(settings.collector), accounts)
        health.follow(accounts, exposition.series_dropped)
        pollers = [runner.poller for runner in runners]
        readers = [reader for runner in runners for reader in runner.readers]
        yield Reading(accounts, exposition, health, pollers, readers)


async def read_once(settings: Settings, runtime: Runtime) -> Reading:
    """Poll all accounts once, at the same time.

    Raise ConfigurationError if an account has no credentials.
    """
    async with open_reading(settings, runtime) as reading:
        await reading.poll()
    return reading


def print_failures(reading: Reading) -> int:
    """Write the failed polls to standard error and return the exit code."""
    failures = reading.failures()
    print_errors(failures)
    return EXIT_FAILURE if failures else 0
