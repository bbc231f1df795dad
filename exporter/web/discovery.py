"""/sd: the accounts, or the launched target servers, as targets of Prometheus's HTTP service discovery."""

import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from exporter.blocking import Worker
from exporter.clock import Clock
from exporter.exposition.generation import Generation
from exporter.web.launched import NotKnown, list_launched

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""The Host header: a name or an address, with an optional port."""


class Discovery:
    """The handler of /sd; `current` returns the current configuration and accounts.

    The targets are at the external URL, or without one at the Host header of the request.
    """

    def __init__(
        self, current: Callable[[], Generation], clock: Clock, link_prefix: str, external_url: str | None
    ) -> None:
        self._current = current
        self._clock = clock
        self._link_prefix = link_prefix
        self._external_url = urlsplit(external_url) if external_url else None
        self._worker = Worker()

    async def targets(self, request: web.Request) -> web.Response:
        """Return one target per account, and one for the metrics that belong to no account; or launched servers."""
        if "of" in request.query:
            return await self._launched_servers(request)
        host = self._external_url.netloc if self._external_url else request.headers.get("Host", "")
        if not _HOST.fullmatch(host):
            return web.Response(status=400, text="Host header: must be HOST or HOST:PORT; it becomes the target.\n")
        # Plain HTTP may come from a proxy that terminates TLS, so the scheme is set for TLS only.
        is_secure = self._external_url.scheme == "https" if self._external_url else request.secure
        scheme = {"__scheme__": "https"} if is_secure else {}
        accounts = [
            {
                "__metrics_path__": f"{self._link_prefix}/probe",
                "__param_account": account.name,
                # Otherwise all targets would have the same instance label, and so the same series `up`.
                "instance": f"{host}/{account.name}",
                "__meta_sms_account": account.name,
                "__meta_sms_api_region": account.settings.api.region or "",
            }
            for account in self._current().accounts
        ]
        # Without it, Prometheus 2 would add the default port of the scheme here, but not to the labels above. The rules
        # find the exporter of an account by its address.
        exporter = {"__metrics_path__": f"{self._link_prefix}/self", "instance": host}
        return web.json_response(
            [{"targets": [host], "labels": scheme | labels} for labels in (*accounts, exporter)],
        )

    async def _launched_servers(self, request: web.Request) -> web.Response:
        """Return the target servers of launched migrations, of one account or all; 503 while they are not known."""
        if request.query["of"] != "launched":
            return web.Response(status=400, text="of: the only value is launched.\n")
        accounts = self._current().accounts
        if (name := request.query.get("account")) is not None:
            accounts = tuple(account for account in accounts if account.name == name)
            if not accounts:
                return web.Response(status=404, text="No such account; /sd lists the accounts.\n")
        try:
            # In a thread: 10,000 addresses take 0.4 s to check and to encode.
            body = await self._worker.run(lambda: json.dumps(list_launched(accounts, self._clock.time())))
        except NotKnown as reason:
            return web.Response(status=503, text=f"{reason}\n")
        return web.json_response(text=body)
