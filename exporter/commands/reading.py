"""Every account polled once, with nothing served."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from exporter import revision
from exporter.exposition.bodies import Exposition
from exporter.exposition.health import Health
from exporter.families import collectors
from exporter.polling.account import Runtime, account_client
from exporter.polling.poller import Poller
from exporter.polling.snapshot import Snapshot
from exporter.polling.target import Poll, Target
from exporter.settings import LogSettings, Settings
from exporter.sms.paging import Listing


class OnceSettings(Settings):
    """Options of a command that polls once and tells by itself what failed."""

    MOST_USED = ("config.file", "api.region", "auth.access_key_file", "auth.secret_key_file", "log.level")

    log: LogSettings = LogSettings(level="error")


@dataclass(frozen=True)
class Reading:
    """All accounts after one poll of each."""

    targets: Sequence[Target]
    exposition: Exposition
    health: Health

    def snapshots(self) -> Sequence[Snapshot]:
        """Give the lists that came complete."""
        return [target.snapshot for target in self.targets if target.snapshot]

    def failures(self) -> Sequence[str]:
        """Tell of each account whose list did not come complete, and what to do."""
        return [
            f"account {target.name}: {poll.error.reason}: {poll.error.message.removesuffix('.')}; {poll.error.hint}"
            for target in self.targets
            if (poll := target.last_poll) and poll.error
        ]


class _Counting:
    """Counts each poll."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def poll_ended(self, target: Target, poll: Poll, listing: Listing | None) -> None:
        """Take note of a poll."""
        self._health.poll_ended(target, poll, listing)


async def read_once(settings: Settings, runtime: Runtime) -> Reading:
    """Poll all accounts at the same time.

    Raises ConfigurationError where an account has no credentials.
    """
    targets = [Target(account) for account in settings.targets()]
    exposition = Exposition(collectors(settings.collector), targets)
    health = Health(targets, runtime.clock, exposition.series_dropped, revision=revision())
    counting = _Counting(health)
    async with contextlib.AsyncExitStack() as stack:
        pollers = []
        for target in targets:
            observer = health.of(target.name)
            client, found = await stack.enter_async_context(account_client(target.account, observer, runtime))
            observer.credentials = found
            pollers.append(Poller(target, client.page, runtime.clock, counting, found.changed))
        await asyncio.gather(*(poller.poll() for poller in pollers))
    return Reading(targets, exposition, health)
