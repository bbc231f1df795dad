"""What one configuration serves: replaced as a whole when another one is put in force, never changed."""

from dataclasses import dataclass, replace

from exporter.exposition.bodies import Exposition, View
from exporter.polling.state import Account
from exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration in force, the accounts that it names, and what is exposed of them.

    `was_ready` tells that a generation before was: an account that is added takes nothing out of service.
    """

    settings: Settings
    accounts: tuple[Account, ...]
    exposition: Exposition
    was_ready: bool = False

    @property
    def ready(self) -> bool:
        """Whether every account has been polled once."""
        return self.was_ready or all(account.state.last_poll is not None for account in self.accounts)

    async def render_like(self, before: "Generation", now: float) -> None:
        """Render the bodies that were asked of `before` lately, so that their next scrape does not wait."""
        await self.exposition.refresh(now)
        for view in before.exposition.recent_views(now):
            if (meant := self._counterpart(view, before)) is not None:
                await self.exposition.body(meant, now)

    def _counterpart(self, view: View, before: "Generation") -> View | None:
        """Give what the scrape that asked `before` for `view` asks for here; None where there is nothing."""
        if view.account is not None and view.account not in {account.name for account in self.accounts}:
            return None
        names = frozenset(self.exposition.collector_names)
        all_of_them = view.collectors == frozenset(before.exposition.collector_names)
        return replace(view, collectors=names if all_of_them else names & view.collectors)
