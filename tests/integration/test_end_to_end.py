"""From a server's trouble to a person's pager, through the real programs and the files in deploy/."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from alerting import DEPLOY, Inbox, alerting, quickened
from exporter.simulator import Simulator
from programs import Prometheus, exporter_command, free_port, program, started, until

ROOT = DEPLOY.parent
RUNBOOKS = "https://github.com/huaweicloud-sms-exporter/huaweicloud-sms-exporter/blob/main/"
QUERY = re.compile(r"^```promql\n(.*?)^```", re.MULTILINE | re.DOTALL)

# States that are trouble, and those that are when they last: the fleet's time passes slower than that of the rules.
TROUBLED = {"unavailable", "error", "premigfailed", "clearfailed", "cloning", "cutovering"}

Call = Callable[..., Awaitable[Any]]


def queries(page: Path) -> list[str]:
    """Give the queries of a page of the documentation, quickened as the rules are."""
    return [quickened(query) for query in QUERY.findall(page.read_text(encoding="utf-8"))]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    # At their real pace servers stay in their states for the time of a test; tokens from IAM live for 26 s.
    async with Simulator(servers=250, acceleration=1, token_lifetime=26) as running:
        yield running


@pytest.fixture
async def control(simulator: Simulator) -> AsyncIterator[Call]:
    """Call the simulator's control endpoint: method, path below it, body."""
    async with aiohttp.ClientSession() as session:

        async def calling(method: str, path: str, body: object = None) -> Any:
            async with session.request(method, f"{simulator.url}/control/{path}", json=body) as response:
                assert response.ok, await response.text()
                return await response.json() if response.status != 204 else None

        yield calling


async def bought_token(simulator: Simulator) -> str:
    """Give a new token of IAM, as a person gets one."""
    user = {
        "name": simulator.user.name,
        "password": simulator.user.password,
        "domain": {"name": simulator.user.domain},
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"domain": {"name": simulator.user.domain}}}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{simulator.url}/v3/auth/tokens", json=body) as response,
    ):
        assert response.status == 201
        return response.headers["X-Subject-Token"]


def write_accounts(folder: Path, simulator: Simulator) -> Path:
    """Write a configuration of two accounts: `shop` with a token in a file, `depot` with a password."""
    (folder / "token").write_text(simulator.token)
    (folder / "password").write_text(simulator.user.password)
    config = folder / "sms-exporter.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "api": {"endpoint": simulator.url},
                "iam": {"endpoint": simulator.url},
                "poll": {"interval": "1s", "stale_after": "4s"},
                "accounts": [
                    {"name": "shop", "auth": {"token_file": str(folder / "token")}},
                    {
                        "name": "depot",
                        "filter": {"state": "waiting"},
                        "auth": {
                            "user_name": simulator.user.name,
                            "domain_name": simulator.user.domain,
                            "password_file": str(folder / "password"),
                        },
                    },
                ],
            },
        ),
    )
    return config


async def well(simulator: Simulator, control: Call) -> list[dict[str, Any]]:
    """Remove the servers that are in trouble by themselves, and give those that send their first copy."""
    records = simulator.fleet.records()
    for record in records:
        stands = record["state"] in {"replicate", "syncing"} and not record["current_task"]["migrate_speed"]
        if stands or not record["connected"] or record["state"] in TROUBLED:
            await control("DELETE", f"servers/{record['id']}")
    return [record for record in records if record["state"] == "replicate" and record["id"] in simulator.fleet.ids]


async def is_told(inbox: Inbox, status: str, receiver: str, **labels: str) -> dict[str, Any]:
    """Wait until a receiver is told of the one alert with these labels, and give it."""

    async def telling() -> list[tuple[str, dict[str, Any]]]:
        return inbox.told(status, **labels)

    (found,) = await until(telling)
    assert found[0] == receiver
    alert: dict[str, Any] = found[1]
    return alert


async def test_each_trouble_is_told_once_with_what_to_do_and_so_is_its_end(
    tmp_path: Path, simulator: Simulator, control: Call
) -> None:
    program("prometheus")
    program("prometheus-alertmanager")
    failed, disconnected, stalled, unchecked, *_ = await well(simulator, control)
    of_server = {
        "SmsServerFailed": ("pager", failed, {"state": "error", "severity": "critical"}),
        "SmsServerDisconnected": ("pager", disconnected, {"severity": "critical"}),
        "SmsServerStalled": ("tickets", stalled, {"severity": "warning"}),
        "SmsCheckFailed": ("tickets", unchecked, {"check": "RSYNC", "error_code": "SMS.1", "severity": "warning"}),
    }
    address = f"127.0.0.1:{free_port()}"
    config = write_accounts(tmp_path, simulator)
    command = exporter_command(f"--config.file={config}", f"--web.listen-address={address}", "--log.level=error")
    async with started(*command), alerting(tmp_path, address) as (server, alertmanager, inbox):
        assert await server.value("count(account:huaweicloud_sms_fresh:bool == 1)") == 2

        # Trouble.
        await control("POST", f"servers/{failed['id']}/fail")
        await control("POST", f"servers/{disconnected['id']}/disconnect")
        await control("POST", f"servers/{stalled['id']}/stall")
        for trouble, result in ((failed, "WARN"), (unchecked, "ERROR")):
            check = {"name": "RSYNC", "result": result, "error_code": "SMS.1"}
            await control("PATCH", f"servers/{trouble['id']}", {"checks": [check]})
        for name, (receiver, trouble, more) in of_server.items():
            labels = {"account": "shop", "server_id": trouble["id"], "name": trouble["name"], "scope": "server"} | more
            alert = await is_told(inbox, "firing", receiver, alertname=name, server_id=trouble["id"])
            assert alert["labels"] == {"alertname": name} | labels
            assert trouble["name"] in alert["annotations"]["description"]
            assert "account shop" in alert["annotations"]["description"]
            page = alert["annotations"]["runbook_url"]
            assert page.startswith(RUNBOOKS)
            assert (ROOT / page.removeprefix(RUNBOOKS)).is_file()

        # The questions, while there is something to answer.
        await every_query_of_the_documentation_is_answered(server)

        # Credentials cannot be renewed, and expire: nothing is known any more. One server gets well meanwhile.
        await control("POST", "faults", {"fault": "server-error,api=iam"})
        await is_told(inbox, "firing", "pager", alertname="SmsCredentialsExpiring", account="depot")
        await control("POST", "tokens/expire")
        await is_told(inbox, "firing", "tickets", alertname="SmsPollFailing", account="shop")
        await is_told(inbox, "firing", "pager", alertname="SmsDataStale", account="shop")
        await control("DELETE", f"servers/{disconnected['id']}/overrides")
        assert await server.value("count(absent(huaweicloud_sms_source_server_state{account='shop'}))") == 1
        await until(lambda: all_are_inhibited(alertmanager, len(of_server)))
        assert inbox.told("resolved", scope="server") == []

        # New ones are given.
        await control("DELETE", "faults")
        (tmp_path / "token").write_text(await bought_token(simulator))
        await is_told(inbox, "resolved", "tickets", alertname="SmsPollFailing", account="shop")
        await is_told(inbox, "resolved", "pager", alertname="SmsDataStale", account="shop")
        await is_told(inbox, "resolved", "pager", alertname="SmsCredentialsExpiring", account="depot")
        await is_told(inbox, "resolved", "pager", alertname="SmsServerDisconnected")
        assert len(inbox.told("resolved", scope="server")) == 1

        # The causes go.
        for trouble in (failed, stalled, unchecked):
            await control("DELETE", f"servers/{trouble['id']}/overrides")
        for name in of_server:
            await is_told(inbox, "resolved", of_server[name][0], alertname=name)
        assert {name: len(inbox.told("firing", alertname=name)) for name in of_server} == dict.fromkeys(of_server, 1)
        assert {alert["labels"]["alertname"] for _, alert in inbox.told("firing", scope="server")} == set(of_server)


async def every_query_of_the_documentation_is_answered(server: Prometheus) -> None:
    """Ask each query of the nine questions, which must give data, and those of all other pages, which may."""
    # The names of the documentation's sections are the questions.
    nine = ROOT / "docs" / "queries.md"
    assert len(re.findall(r"^## \d\. ", nine.read_text(encoding="utf-8"), re.MULTILINE)) == 9
    silent = [query for query in queries(nine) if not await server.query(query)]
    assert silent == []
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for query in queries(page):
            await server.query(query)


async def all_are_inhibited(alertmanager: str, number: int) -> bool:
    """Tell whether Alertmanager knows so many alerts on servers, and keeps all of them to itself."""
    parameters = {"filter": 'scope="server"'}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{alertmanager}/api/v2/alerts", params=parameters) as response,
    ):
        alerts = await response.json()
    return len(alerts) == number and all(alert["status"]["inhibitedBy"] for alert in alerts)
