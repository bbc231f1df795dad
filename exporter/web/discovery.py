"""The accounts as targets of Prometheus's http_sd."""

import re
from collections.abc import Callable
from typing import Final

from aiohttp import web

from exporter.exposition.generation import Generation

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""A name or an address, and perhaps a port, as a client tells where it asks."""


class Discovery:
    """Tells the targets of the generation that `current` gives, at the address that was asked."""

    def __init__(self, current: Callable[[], Generation]) -> None:
        self._current = current

    async def targets(self, request: web.Request) -> web.Response:
        """Answer in the form of http_sd: one target an account, and one for what belongs to none."""
        host = request.headers.get("Host", "")
        if not _HOST.fullmatch(host):
            text = "The targets are at the address that was asked: give it in the header Host, as HOST[:PORT].\n"
            return web.Response(status=400, text=text)
        # Plain HTTP may be the last part of a way through a proxy with TLS: its scheme is not told.
        scheme = {"__scheme__": "https"} if request.secure else {}
        accounts = [
            {
                "__metrics_path__": "/probe",
                "__param_account": account.name,
                # Else all targets would have the address, and the series `up` of each would be the same.
                "instance": f"{host}/{account.name}",
                "__meta_sms_account": account.name,
                "__meta_sms_api_region": account.settings.api.region or "",
            }
            for account in self._current().accounts
        ]
        return web.json_response(
            [{"targets": [host], "labels": scheme | labels} for labels in (*accounts, {"__metrics_path__": "/self"})],
        )
