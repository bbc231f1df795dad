"""Rules, alerts and dashboards while labels of servers have an old and a new value.

After a restart, Prometheus shows for 5 minutes also the series that ended while it was down, because it has written no
staleness markers for them. Here, every label that can change is another one after the restart, and two exporters that
poll the same account do not agree on it.
"""

import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dashboard_queries import choices, prometheus, series, values_for
from dashboards import boards, interpolate, queries, variables
from programs import Prometheus, demo, program, serving, until

CHANGING = ("name", "ip", "os_type", "enterprise_project_id", "project", "error_code", "subtask", "migration_cycle")
"""Labels that get a new value; the state and the target labels change, too."""
STATES: Mapping[str, str] = {
    "replicate": "syncing",
    "syncing": "replicate",
    "error": "clearfailed",
    "finished": "clearing",
    "waiting": "stopped",
}
SCRAPED = "huaweicloud_sms_source_server_info"
SELECTED = "server:huaweicloud_sms_state:freshest"


def changed(text: str, version: str) -> str:
    """Return an exposition with another value of each label that can change."""
    text = re.sub(rf'([{{,](?:{"|".join(CHANGING)})=")', rf"\g<1>{version} ", text)
    state = re.compile(r'(source_server_state\{[^}]*state=")(\w+)')
    return state.sub(lambda found: found[1] + STATES.get(found[2], found[2]), text)


class ExporterOfOneList:
    """An exporter that always serves the same list, which it has just read."""

    def __init__(self, text: str, seconds: float) -> None:
        self.text = text
        self._seconds = seconds
        """How long ago it read the list, in every other second; otherwise half a second."""

    async def scrape(self, _: web.Request) -> web.Response:
        """Return the exposition."""
        now = time.time()
        read = now - (self._seconds if int(now) % 2 else 0.5)
        text = re.sub(r"(last_success_timestamp_seconds\{.*?\}) .*", rf"\g<1> {read}", self.text)
        return web.Response(text=text, content_type="text/plain")


async def read_exposition() -> str:
    """Return the metrics of a demo with servers in many states."""
    async with demo("--servers=100", "--poll.interval=4s") as url, aiohttp.ClientSession() as session:

        async def read() -> str:
            async with session.get(f"{url}/metrics") as response:
                text = await response.text()
                return text if "huaweicloud_sms_source_server_info{" in text else ""

        return str(await until(read))


async def get_rules(server: Prometheus) -> list[dict[str, Any]]:
    """Return all rules once each of them was evaluated, else none."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/api/v1/rules") as response:
        groups = (await response.json())["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return rules if all(rule["health"] != "unknown" for rule in rules) else []


async def test_rules_alerts_and_dashboards_work_while_labels_have_old_and_new_values(tmp_path: Path) -> None:
    program("prometheus")
    text = await read_exposition()
    exporters = [ExporterOfOneList(changed(text, "old"), 0), ExporterOfOneList(changed(text, "other"), 1)]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(exporter.scrape)) for exporter in exporters]
        async with prometheus(tmp_path, *urls) as server:
            recorded = "count(server:huaweicloud_sms_replicated_bytes:deriv30m) and count(ALERTS)"
            await until(lambda: server.query(recorded))
        exporters[0].text = changed(text, "newer")
        exporters[1].text = changed(text, "new")
        # The first evaluation would record the old values again, if it came before the first scrape.
        async with prometheus(tmp_path, *urls, rules=()) as server:
            scraped = " and ".join(f'count({SCRAPED}{{name=~"{name} .*"}})' for name in ("newer", "new"))
            await until(lambda: server.query(scraped))
        async with prometheus(tmp_path, *urls) as server:
            rules = await until(lambda: get_rules(server))
            assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []

            twice = f"count by (account, server_id) ({SELECTED}) > 1"
            chosen = (await until(lambda: server.query(twice)))[0]
            moment, server_id = chosen["value"][0], chosen["metric"]["server_id"]
            values = values_for(server_id)
            for query in queries():
                expression = interpolate(query.expression, values[query.board])
                await series(server, expression, moment, instant=query.instant)
            for name, board in boards().items():
                for variable in variables(board):
                    await choices(server, variable, values[name], moment)

            alerts = Counter(
                frozenset((label, value) for label, value in rule["labels"].items() if label not in CHANGING)
                for rule in await get_alerts(server)
            )
            assert {dict(labels)["alertname"] for labels in alerts} > {"SmsServerFailed", "SmsCheckFailed"}
            assert [alert for alert, number in alerts.items() if number > 1] == []


async def get_alerts(server: Prometheus) -> list[dict[str, Any]]:
    """Return all alerts, pending or firing."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/api/v1/alerts") as response:
        alerts: list[dict[str, Any]] = (await response.json())["data"]["alerts"]
    return alerts
