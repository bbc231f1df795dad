"""/sd: the accounts as targets of Prometheus's HTTP service discovery."""

import re
from collections.abc import Callable
from typing import Final

from aiohttp import web

from exporter.exposition.generation import Generation

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""The Host header: a name or an address, with an optional port."""


class Discovery:
    """The handler of /sd; `current` returns the current configuration and accounts."""

    def __init__(self, current: Callable[[], Generation]) -> None:
        self._current = current

    async def targets(self, request: web.Request) -> web.Response:
        """Return one target per account, and one for the metrics that belong to no account."""
        host = request.headers.get("Host", "")
        if not _HOST.fullmatch(host):
            return web.Response(status=400, text="Host header: must be HOST or HOST:PORT; it becomes the target.\n")
        # Plain HTTP may come from a proxy that terminates TLS, so the scheme is set for TLS only.
        scheme = {"__scheme__": "https"} if request.secure else {}
        accounts = [
            {
                "__metrics_path__": "/probe",
                "__param_account": account.name,
                # Otherwise all targets would have the same instance label, and so the same series `up`.
                "instance": f"{host}/{account.name}",
                "__meta_sms_account": account.name,
                "__meta_sms_api_region": account.settings.api.region or "",
            }
            for account in self._current().accounts
        ]
        return web.json_response(
            [{"targets": [host], "labels": scheme | labels} for labels in (*accounts, {"__metrics_path__": "/self"})],
        )
