"""The handlers of the pages: read the query, build the view, render the template."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.exposition.generation import Generation
from exporter.polling.state import Account
from exporter.views.accounts import build_account_views
from exporter.web.pages.configuration import configuration_view
from exporter.web.pages.overview import OverviewCache
from exporter.web.pages.polls import build_polls_view
from exporter.web.pages.rendering import Renderer
from exporter.web.scrape import NO_SUCH_ACCOUNT

MIN_REFRESH_SECONDS: Final = 5
MAX_REFRESH_SECONDS: Final = 60
"""The status page refreshes once per poll interval, within these limits."""
MAX_CHOSEN_REFRESH_SECONDS: Final = 3600
"""The longest refresh that the query can choose."""

_REFRESH: Final = re.compile("[1-9][0-9]{0,3}")


class Pages:
    """The handlers of the pages, which never call the API; `current` returns the configuration and accounts."""

    def __init__(self, current: Callable[[], Generation], clock: Clock, telemetry_path: str) -> None:
        self._current = current
        self._clock = clock
        self._renderer = Renderer(telemetry_path=telemetry_path)
        self._overviews = OverviewCache()

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the pages."""
        for path, handler in (("/", self.status), ("/config", self.configuration), ("/polls", self.polls)):
            app.router.add_get(path, handler)

    async def status(self, request: web.Request) -> web.Response:
        """Return the status of the migrations."""
        accounts = self._current().accounts
        refresh = _refresh(request, accounts)
        now = self._clock.time()
        snapshots = [snapshot for account in accounts if (snapshot := account.served_snapshot(now))]
        return self._renderer.render(
            "status.html",
            now=now,
            refresh=refresh,
            accounts=build_account_views(accounts, now),
            overview=await self._overviews.get(snapshots),
        )

    async def configuration(self, _: web.Request) -> web.Response:
        """Return the current configuration."""
        return self._renderer.render("config.html", sections=configuration_view(self._current().settings))

    async def polls(self, request: web.Request) -> web.Response:
        """Return the recent polls of all accounts, or of the account in the query."""
        account = request.query.get("account")
        found = build_polls_view(self._current().accounts, account)
        if not found:
            raise web.HTTPNotFound(text=NO_SUCH_ACCOUNT)
        return self._renderer.render("polls.html", now=self._clock.time(), accounts=found, chosen=account)


def _refresh(request: web.Request, accounts: Sequence[Account]) -> int | None:
    """Return the seconds until the page refreshes; None if the query disables it."""
    chosen = request.query.get("refresh")
    if chosen is None:
        if any(account.state.last_poll is None for account in accounts):
            return MIN_REFRESH_SECONDS
        shortest = min(account.settings.poll.interval for account in accounts)
        return round(min(max(shortest, MIN_REFRESH_SECONDS), MAX_REFRESH_SECONDS))
    if chosen == "off":
        return None
    if _REFRESH.fullmatch(chosen) and int(chosen) <= MAX_CHOSEN_REFRESH_SECONDS:
        return int(chosen)
    raise web.HTTPBadRequest(
        text=f"refresh: must be off or a number of seconds from 1 to {MAX_CHOSEN_REFRESH_SECONDS}.\n"
    )
