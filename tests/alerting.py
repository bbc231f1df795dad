"""Runs Prometheus and Alertmanager with the files of deploy/, with time accelerated, and records notifications."""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

from exporter.simulator import Simulator
from programs import Prometheus, free_port, program, prometheus_of, serving, started, until

DEPLOY: Final = Path(__file__).parent.parent / "deploy"

PACES: Final = (120, 30)
"""Seconds of the original files that pass in one second, at the first attempt and at the second."""

_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\b(\d+)([smhd])\b")
_PRODUCT: Final = re.compile(r"\b(\d+) \* 60\b")

# States that raise an alert, some only if they last: the time of the simulator passes slower than that of the rules.
PROBLEM_STATES: Final = frozenset(
    {"unavailable", "error", "premigfailed", "clearfailed", "cloning", "cutovering", "stopped"}
)

Call = Callable[..., Awaitable[Any]]
"""A call of the control endpoint of the simulator: method, path, body."""


async def at_a_pace_that_the_machine_keeps(
    folder: Path, scenario: Callable[[Path, int], Coroutine[None, None, None]]
) -> None:
    """Run a scenario in a folder at a pace. If it fails, run it once more at a slower pace.

    On a busy machine, polls, scrapes and evaluations are late, which the rules cannot distinguish from an outage.
    """
    for pace in PACES:
        own = folder / str(pace)
        own.mkdir()
        try:
            await scenario(own, pace)
        except (AssertionError, ValueError, TimeoutError, ExceptionGroup):
            if pace == PACES[-1]:
                raise
        else:
            return


def at_pace(seconds: float, pace: int) -> float:
    """Return the seconds at a pace that correspond to seconds at the first pace."""
    return seconds * PACES[0] / pace


def accelerate(text: str, pace: int = PACES[0]) -> str:
    """Divide every duration of a configuration or query by the pace.

    Durations are those of YAML and PromQL (`5m`), and seconds written as minutes (`30 * 60`). Multiples of the
    poll interval follow the interval of the exporter.
    """
    text = _PRODUCT.sub(lambda found: f"{int(found[1]) * 60 / pace:g}", text)
    return _DURATION.sub(lambda found: f"{int(found[1]) * _SECONDS[found[2]] * 1000 // pace}ms", text)


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
async def alerting(
    folder: Path, exporter: str, jobs: Sequence[Mapping[str, Any]] = (), pace: int = PACES[0]
) -> AsyncIterator[tuple[Prometheus, str, Inbox]]:
    """Run Prometheus and Alertmanager with the files of deploy/, an exporter (HOST:PORT) and further jobs, at a pace.

    Yield Prometheus, the URL of Alertmanager, and the inbox of its receivers.
    """
    inbox = Inbox()
    async with serving(inbox.receive) as receiver:
        config = folder / "alertmanager.yml"
        text = accelerate((DEPLOY / "alertmanager" / "alertmanager.yml").read_text(), pace)
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
            (folder / "rules" / rules.name).write_text(accelerate(rules.read_text(), pace))
        config = folder / "prometheus.yml"
        text = accelerate((DEPLOY / "prometheus" / "prometheus.yml").read_text(), pace)
        text = replace_addresses(text, {"127.0.0.1:9093": alertmanager, "127.0.0.1:10058": exporter})
        content = yaml.safe_load(text)
        content["scrape_configs"] += jobs
        config.write_text(yaml.safe_dump(content))
        async with started(*command), prometheus_of(config) as server:
            yield server, f"http://{alertmanager}", inbox


@contextlib.asynccontextmanager
async def controlling(simulator: Simulator) -> AsyncIterator[Call]:
    """Yield a function that calls the control endpoint of a simulator."""
    async with aiohttp.ClientSession() as session:

        async def calling(method: str, path: str, body: object = None) -> Any:
            async with session.request(method, f"{simulator.url}/control/{path}", json=body) as response:
                assert response.ok, await response.text()
                return await response.json() if response.status != 204 else None

        yield calling


async def remove_problems(simulator: Simulator, control: Call) -> list[dict[str, Any]]:
    """Delete servers that already have a problem, and return the replicating ones."""
    records = simulator.fleet.records()
    for record in records:
        stalled = record["state"] in {"replicate", "syncing"} and not record["current_task"]["migrate_speed"]
        if stalled or not record["connected"] or record["state"] in PROBLEM_STATES:
            await control("DELETE", f"servers/{record['id']}")
    return [record for record in records if record["state"] == "replicate" and record["id"] in simulator.fleet.ids]


async def notified(inbox: Inbox, status: str, receiver: str, **labels: str) -> dict[str, Any]:
    """Wait until a receiver is notified about the only alert with these labels, and return it."""

    async def received() -> list[tuple[str, dict[str, Any]]]:
        return inbox.received(status, **labels)

    (found,) = await until(received, 120)
    assert found[0] == receiver
    alert: dict[str, Any] = found[1]
    return alert
