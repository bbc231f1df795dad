"""What one configuration serves. A reload replaces a generation as a whole and never changes it."""

from dataclasses import dataclass, replace

from exporter.exposition.bodies import Exposition, View
from exporter.polling.state import Account
from exporter.settings import Settings


@dataclass(frozen=True, slots=True)
class Generation:
    """The configuration in force, its accounts and their exposition.

    `was_ready` is True if the previous generation was ready: an account that a reload adds must not make the exporter
    unready.
    """

    settings: Settings
    accounts: tuple[Account, ...]
    exposition: Exposition
    was_ready: bool = False

    @property
    def ready(self) -> bool:
        """Whether every account has been polled once, or has the saved state of an earlier process."""
        return self.was_ready or all(account.state.last_poll or account.state.snapshot for account in self.accounts)

    async def render_views_of(self, previous: "Generation", now: float) -> None:
        """Render the views that were recently requested from `previous`, so that their next scrape does not wait."""
        await self.exposition.refresh(now)
        for view in previous.exposition.recent_views(now):
            if (own := self._corresponding_view(view, previous)) is not None:
                await self.exposition.body(own, now)

    def _corresponding_view(self, view: View, previous: "Generation") -> View | None:
        """Return the view here that corresponds to `view` of `previous`; None if its account is gone."""
        if view.account is not None and view.account not in {account.name for account in self.accounts}:
            return None
        names = frozenset(self.exposition.collector_names)
        all_collectors = view.collectors == frozenset(previous.exposition.collector_names)
        return replace(view, collectors=names if all_collectors else names & view.collectors)
