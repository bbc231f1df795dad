"""Runs Prometheus and Alertmanager with the files of deploy/, with time accelerated, and records notifications."""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from programs import Prometheus, free_port, program, prometheus_of, serving, started

DEPLOY: Final = Path(__file__).parent.parent / "deploy"

PACE: Final = 120
"""Seconds of the original file that pass in one second."""

_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\b(\d+)([smhd])\b")
_PRODUCT: Final = re.compile(r"\b(\d+) \* 60\b")

Labels = frozenset[tuple[str, str]]


def accelerate(text: str) -> str:
    """Divide every duration of a configuration or query by PACE.

    Durations are those of YAML and PromQL (`5m`), and seconds written as minutes (`30 * 60`). Multiples of the
    poll interval follow the interval of the exporter.
    """
    text = _PRODUCT.sub(lambda found: f"{int(found[1]) * 60 / PACE:g}", text)
    return _DURATION.sub(lambda found: f"{int(found[1]) * _SECONDS[found[2]] * 1000 // PACE}ms", text)


def replace_addresses(text: str, addresses: Mapping[str, str]) -> str:
    """Replace addresses, each of which must occur."""
    for address, other in addresses.items():
        assert address in text
        text = text.replace(address, other)
    return text


@dataclass
class Inbox:
    """The notifications that the receivers of Alertmanager got."""

    notifications: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each alert of each notification, with its receiver."""

    async def receive(self, request: web.Request) -> web.Response:
        """Handle the webhook of a notification."""
        content = await request.json()
        self.notifications.append(content)
        self.alerts += [(content["receiver"], alert) for alert in content["alerts"]]
        return web.Response()

    def received(self, status: str, **labels: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the receivers and alerts with this status and these labels, one for each notification."""
        return [
            (receiver, alert)
            for receiver, alert in self.alerts
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]


@contextlib.asynccontextmanager
async def alerting(folder: Path, exporter: str) -> AsyncIterator[tuple[Prometheus, str, Inbox]]:
    """Run Prometheus and Alertmanager with the files of deploy/ and an exporter (HOST:PORT).

    Yield Prometheus, the URL of Alertmanager, and the inbox of its receivers.
    """
    inbox = Inbox()
    async with serving(inbox.receive) as receiver:
        config = folder / "alertmanager.yml"
        text = accelerate((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
        config.write_text(replace_addresses(text, {"http://127.0.0.1:9095": receiver}))
        shutil.copy(DEPLOY / "alertmanager" / "sms.tmpl", folder)
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
            (folder / "rules" / rules.name).write_text(accelerate(rules.read_text()))
        config = folder / "prometheus.yml"
        text = accelerate((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config.write_text(replace_addresses(text, {"127.0.0.1:9093": alertmanager, "127.0.0.1:10058": exporter}))
        async with started(*command), prometheus_of(config) as server:
            yield server, f"http://{alertmanager}", inbox
