"""The rules and configurations of deploy/ at work: quickened, pointed at addresses of this machine, and heard."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from programs import Prometheus, free_port, program, prometheus_of, serving, started

DEPLOY: Final = Path(__file__).parent.parent / "deploy"

PACE: Final = 120
"""Seconds that pass in one second of a quickened file."""

_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\b(\d+)([smhd])\b")
_PRODUCT: Final = re.compile(r"\b(\d+) \* 60\b")

Labels = frozenset[tuple[str, str]]


def quickened(text: str) -> str:
    """Let every duration of a configuration or query pass quicker, and leave all else as it is.

    Durations are those of YAML and PromQL (`5m`), and numbers of seconds that are written as minutes
    (`30 * 60`). What is counted in poll intervals follows the exporter's own interval.
    """
    text = _PRODUCT.sub(lambda found: f"{int(found[1]) * 60 / PACE:g}", text)
    return _DURATION.sub(lambda found: f"{int(found[1]) * _SECONDS[found[2]] * 1000 // PACE}ms", text)


def pointed(text: str, addresses: Mapping[str, str]) -> str:
    """Replace addresses, each of which must be there."""
    for address, other in addresses.items():
        assert address in text
        text = text.replace(address, other)
    return text


@dataclass
class Inbox:
    """What Alertmanager's receivers were told."""

    alerts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each alert of each notification, with the receiver that got it."""

    async def receive(self, request: web.Request) -> web.Response:
        """Take a notification in."""
        content = await request.json()
        self.alerts += [(content["receiver"], alert) for alert in content["alerts"]]
        return web.Response()

    def told(self, status: str, **labels: str) -> list[tuple[str, dict[str, Any]]]:
        """Give what was told of alerts with these labels, each as often as it was told."""
        return [
            (receiver, alert)
            for receiver, alert in self.alerts
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]


@contextlib.asynccontextmanager
async def alerting(folder: Path, exporter: str) -> AsyncIterator[tuple[Prometheus, str, Inbox]]:
    """Run Prometheus and Alertmanager from the files in deploy/ on an exporter (HOST:PORT).

    Give Prometheus, the URL of Alertmanager, and what its receivers are told.
    """
    inbox = Inbox()
    async with serving(inbox.receive) as receiver:
        config = folder / "alertmanager.yml"
        text = quickened((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
        config.write_text(pointed(text, {"http://127.0.0.1:9095": receiver}))
        alertmanager = f"127.0.0.1:{free_port()}"
        command = (
            program("prometheus-alertmanager"),
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
            "--log.level=error",
        )
        (folder / "rules").mkdir()
        for rules in (DEPLOY / "prometheus" / "rules").glob("*.yml"):
            (folder / "rules" / rules.name).write_text(quickened(rules.read_text()))
        config = folder / "prometheus.yml"
        text = quickened((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config.write_text(pointed(text, {"127.0.0.1:9093": alertmanager, "127.0.0.1:10058": exporter}))
        async with started(*command), prometheus_of(config) as server:
            yield server, f"http://{alertmanager}", inbox
