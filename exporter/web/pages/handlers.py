"""The handlers of the pages: read the query, build the view, render the template."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.exposition.generation import Generation
from exporter.language import LANGUAGES
from exporter.polling.snapshot import Snapshot
from exporter.polling.state import Account
from exporter.settings.tree import WebSettings
from exporter.translation import Translator
from exporter.views.accounts import build_account_views
from exporter.views.migrations import list_ended_migrations, write_migrations_csv
from exporter.views.selection import ServerQuery, select_servers
from exporter.views.servers import ServerView
from exporter.views.tables import write_csv, write_json
from exporter.web.pages.configuration import configuration_view
from exporter.web.pages.fleet import Fleet, FleetCache
from exporter.web.pages.languages import get_language, other_languages, remember_language
from exporter.web.pages.migrations import build_migrations_page, format_migrations_query, parse_result
from exporter.web.pages.polls import MAX_SHOWN_POLLS, build_polls_view
from exporter.web.pages.query import (
    SERVER_PARAMETERS,
    check_parameters,
    format_server_query,
    parse_page,
    parse_refresh,
    parse_server_query,
)
from exporter.web.pages.rendering import Renderer
from exporter.web.pages.server import build_server_page, find_server
from exporter.web.pages.servers import FILTER_TITLES, SERVERS_PER_PAGE, build_servers_page
from exporter.web.scrape import NO_SUCH_ACCOUNT

MIN_REFRESH_SECONDS: Final = 5
MAX_REFRESH_SECONDS: Final = 60
"""The status page refreshes once per poll interval, within these limits."""
FAVICON: Final = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='4' fill='#3274d9'/>"
    "<path d='M4 5h8v2H4zm0 4h5v2H4z' fill='white'/></svg>"
)
MAX_THREADS: Final = 2
"""Pages and downloads that are computed at the same time; computing is CPU-bound."""


class PageHandlers:
    """The handlers of the pages, which never call the API; `current` returns the configuration and accounts."""

    def __init__(self, current: Callable[[], Generation], clock: Clock, options: WebSettings) -> None:
        self._current = current
        self._clock = clock
        self._translators = {language: Translator(language) for language in LANGUAGES}
        self._renderer = Renderer(
            self._translators,
            telemetry_path=options.telemetry_path,
            prefix=options.link_prefix,
            grafana_url=options.grafana_url,
        )
        self._cookie_path = f"{options.link_prefix}/"
        self._worker = Worker(MAX_THREADS)
        self._fleets = FleetCache(self._worker)

    def by_path(self) -> Mapping[str, Handler]:
        """Return the handlers by their paths."""
        return {
            "/": self.status,
            "/servers": self.servers,
            "/servers/{account:[^/]+}/{id:[^/]+}": self.server,
            "/servers.csv": self.servers_csv,
            "/servers.json": self.servers_json,
            "/migrations": self.migrations,
            "/migrations.csv": self.migrations_csv,
            "/polls": self.polls,
            "/config": self.configuration,
            "/favicon.ico": self.favicon,
        }

    async def favicon(self, _: web.Request) -> web.Response:
        """Return the icon that browsers request for downloads and metrics; pages contain their own."""
        return web.Response(text=FAVICON, content_type="image/svg+xml", headers={hdrs.CACHE_CONTROL: "max-age=86400"})

    async def status(self, request: web.Request) -> web.Response:
        """Return the status of the migrations, of all accounts or of the account in the query."""
        check_parameters(request.query, "account", "refresh")
        accounts = self._chosen_accounts(request)
        refresh = parse_refresh(request.query, _default_refresh(accounts))
        now = self._clock.time()
        return await self._render(
            request,
            "status.html",
            now=now,
            refresh=refresh,
            chosen=request.query.get("account"),
            known_accounts=len(self._current().accounts),
            accounts=build_account_views(accounts, now),
            fleet=await self._fleets.get(_snapshots(accounts, now)),
        )

    async def servers(self, request: web.Request) -> web.Response:
        """Return a page of the servers that the query selects."""
        check_parameters(request.query, *SERVER_PARAMETERS, "page")
        number = parse_page(request.query)
        now, accounts = self._clock.time(), self._current().accounts
        query, fleet = await self._parse_server_query(request, now)
        found = await self._worker.run(build_servers_page, fleet, query, number)
        several = len(accounts) > 1
        shown = [(name, title) for name, title in FILTER_TITLES.items() if name != "account" or several]
        return await self._render(
            request,
            "servers.html",
            now=now,
            refresh=None,
            several=several,
            known=bool(fleet.snapshots),
            query=query,
            change=partial(format_server_query, query),
            filters=[(name, title) for name, title in shown if found.choices[name]],
            choices=found.choices,
            rows=found.rows,
            count=found.count,
            page=found.page,
            pages=found.pages,
            per_page=SERVERS_PER_PAGE,
        )

    async def server(self, request: web.Request) -> web.Response:
        """Return everything about one server. Raise HTTPNotFound if it does not exist, or has no recent data."""
        check_parameters(request.query, "refresh")
        name, server_id = request.match_info["account"], request.match_info["id"]
        now = self._clock.time()
        account = next((account for account in self._current().accounts if account.name == name), None)
        snapshot = account.served_snapshot(now) if account else None
        server = find_server(snapshot, server_id) if snapshot else None
        if account is None or snapshot is None or server is None:
            raise web.HTTPNotFound(text="No such server, or no recent data; /servers lists the servers.\n")
        translator = self._translators[get_language(request)]
        page = build_server_page(server, snapshot, account.state.progress, now, translator)
        refresh = parse_refresh(request.query, _default_refresh([account]))
        return await self._render(request, "server.html", now=now, refresh=refresh, page=page)

    async def servers_csv(self, request: web.Request) -> web.Response:
        """Return the servers that the query selects as CSV."""
        return await self._download(request, lambda servers: write_csv(servers).encode("utf-8", "replace"), "csv")

    async def servers_json(self, request: web.Request) -> web.Response:
        """Return the servers that the query selects as JSON."""
        return await self._download(request, write_json, "json")

    async def configuration(self, request: web.Request) -> web.Response:
        """Return the current configuration."""
        check_parameters(request.query)
        # In a thread: a thousand accounts have 45,000 options.
        sections = await self._worker.run(configuration_view, self._current().settings)
        return await self._render(request, "config.html", refresh=None, sections=sections)

    async def migrations(self, request: web.Request) -> web.Response:
        """Return a page of the recorded migrations of all accounts, or of the account in the query."""
        check_parameters(request.query, "account", "result", "page")
        accounts, account = self._chosen_accounts(request), request.query.get("account")
        result = parse_result(request.query)
        number = parse_page(request.query)
        return await self._render(
            request,
            "migrations.html",
            now=self._clock.time(),
            refresh=None,
            chosen=account,
            several=len(accounts) > 1,
            is_recorded=any(each.state.migrations is not None for each in accounts),
            result=result,
            change=partial(format_migrations_query, {"account": account, "result": result}),
            found=await self._worker.run(build_migrations_page, accounts, result, number),
        )

    async def migrations_csv(self, request: web.Request) -> web.Response:
        """Return the recorded migrations that the query selects as CSV."""
        check_parameters(request.query, "account", "result")
        accounts, result = self._chosen_accounts(request), parse_result(request.query)
        text = await self._worker.run(lambda: write_migrations_csv(list_ended_migrations(accounts, result)))
        return _attachment(text.encode("utf-8", "replace"), "migrations.csv")

    async def polls(self, request: web.Request) -> web.Response:
        """Return the recent polls of all accounts, or of the account in the query."""
        check_parameters(request.query, "account")
        accounts, name = self._chosen_accounts(request), request.query.get("account")
        shown = build_polls_view(accounts, None if name else MAX_SHOWN_POLLS)
        return await self._render(
            request, "polls.html", now=self._clock.time(), refresh=None, accounts=shown, chosen=name
        )

    async def _render(self, request: web.Request, template: str, **values: object) -> web.Response:
        language = get_language(request)
        links = other_languages(request, language)
        # In a thread: a page of 100 servers, or the first use of a template, takes tens of milliseconds.
        response = await self._worker.run(self._renderer.render, language, template, other_languages=links, **values)
        remember_language(request, response, language, self._cookie_path)
        return response

    def _chosen_accounts(self, request: web.Request) -> Sequence[Account]:
        """Return all accounts, or the one in the query. Raise HTTPNotFound if it does not exist."""
        name = request.query.get("account")
        chosen = [account for account in self._current().accounts if name in {None, account.name}]
        if not chosen:
            raise web.HTTPNotFound(text=NO_SUCH_ACCOUNT)
        return chosen

    async def _parse_server_query(self, request: web.Request, now: float) -> tuple[ServerQuery, Fleet]:
        """Return the query, and the servers to select from. Raise HTTPNotFound for an account that does not exist."""
        accounts = self._current().accounts
        if not {account.name for account in accounts}.issuperset(filter(None, request.query.getall("account", ()))):
            raise web.HTTPNotFound(text=NO_SUCH_ACCOUNT)
        fleet = await self._fleets.get(_snapshots(accounts, now))
        occurring = {name: [value for value, _ in values] for name, values in fleet.filter_values.items()}
        return parse_server_query(request.query, occurring), fleet

    async def _download(
        self, request: web.Request, write: Callable[[Sequence[ServerView]], bytes], ending: str
    ) -> web.Response:
        check_parameters(request.query, *SERVER_PARAMETERS)
        query, fleet = await self._parse_server_query(request, self._clock.time())
        body = await self._worker.run(lambda: write(select_servers(fleet.servers, query)))
        return _attachment(body, f"servers.{ending}")


def _attachment(body: bytes, name: str) -> web.Response:
    """Return a download."""
    headers = {hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"', hdrs.CACHE_CONTROL: "no-store"}
    content_type = {"csv": "text/csv", "json": "application/json"}[name.rpartition(".")[2]]
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)


def _snapshots(accounts: Sequence[Account], now: float) -> Sequence[Snapshot]:
    return [snapshot for account in accounts if (snapshot := account.served_snapshot(now))]


def _default_refresh(accounts: Sequence[Account]) -> int:
    """Return the seconds until the status page refreshes."""
    if any(account.state.last_poll is None for account in accounts):
        return MIN_REFRESH_SECONDS
    shortest = min(account.settings.poll.interval for account in accounts)
    return round(min(max(shortest, MIN_REFRESH_SECONDS), MAX_REFRESH_SECONDS))
