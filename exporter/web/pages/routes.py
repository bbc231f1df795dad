"""The pages as handlers: what a query may ask for, and the view models that answer it."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from exporter.clock import Clock
from exporter.exposition.generation import Generation
from exporter.polling.state import Account
from exporter.views.accounts import account_views
from exporter.web.pages.configuration import configuration_view
from exporter.web.pages.overview import Overviews
from exporter.web.pages.polls import polls_view
from exporter.web.pages.rendering import Renderer

SHORTEST_REFRESH: Final = 5
LONGEST_REFRESH: Final = 60
"""Seconds after which a page loads itself anew: as often as there is news, within these bounds."""
MOST_ASKED: Final = 3600
"""Longest refresh that a person can ask for."""

_REFRESH: Final = re.compile("[1-9][0-9]{0,3}")


class Pages:
    """Answers with the pages; `current` gives what is in force. The API is never asked."""

    def __init__(self, current: Callable[[], Generation], clock: Clock, telemetry_path: str) -> None:
        self._current = current
        self._clock = clock
        self._renderer = Renderer(telemetry_path=telemetry_path)
        self._overviews = Overviews()

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        for path, handler in (("/", self.status), ("/config", self.configuration), ("/polls", self.polls)):
            app.router.add_get(path, handler)

    async def status(self, request: web.Request) -> web.Response:
        """Answer with how the migration stands."""
        accounts = self._current().accounts
        refresh = _refresh(request, accounts)
        now = self._clock.time()
        snapshots = [snapshot for account in accounts if (snapshot := account.served_snapshot(now))]
        return self._renderer.page(
            "status.html",
            now=now,
            refresh=refresh,
            accounts=account_views(accounts, now),
            overview=await self._overviews.of(snapshots),
        )

    async def configuration(self, _: web.Request) -> web.Response:
        """Answer with the configuration in force."""
        return self._renderer.page("config.html", sections=configuration_view(self._current().settings))

    async def polls(self, request: web.Request) -> web.Response:
        """Answer with the last polls, of all accounts or of the one that the query names."""
        account = request.query.get("account")
        found = polls_view(self._current().accounts, account)
        if not found:
            raise web.HTTPNotFound(text="There is no such account; /sd lists those there are.\n")
        return self._renderer.page("polls.html", now=self._clock.time(), accounts=found, chosen=account)


def _refresh(request: web.Request, accounts: Sequence[Account]) -> int | None:
    """Give the seconds until the page loads itself anew; None where a person switched that off."""
    asked = request.query.get("refresh")
    if asked is None:
        if any(account.state.last_poll is None for account in accounts):
            return SHORTEST_REFRESH
        shortest = min(account.settings.poll.interval for account in accounts)
        return round(min(max(shortest, SHORTEST_REFRESH), LONGEST_REFRESH))
    if asked == "off":
        return None
    if _REFRESH.fullmatch(asked) and int(asked) <= MOST_ASKED:
        return int(asked)
    raise web.HTTPBadRequest(text=f"refresh: write off, or seconds from 1 to {MOST_ASKED}.\n")
