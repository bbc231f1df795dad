"""From a problem of a server to a notification, through the real programs and the files of deploy/."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from alerting import (
    DEPLOY,
    Call,
    alerting,
    at_a_pace_that_the_machine_keeps,
    at_pace,
    controlling,
    notified,
    remove_problems,
)
from exporter.simulator import Simulator
from programs import exporter_command, free_port, program, serving, started, until

ROOT = DEPLOY.parent
RUNBOOKS = "https://github.com/huaweicloud-sms-exporter/huaweicloud-sms-exporter/blob/main/"


async def issue_token(simulator: Simulator) -> str:
    """Return a new token of IAM."""
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


def write_accounts(folder: Path, simulator: Simulator, pace: int) -> Path:
    """Write a configuration of two accounts: `shop` with a token in a file, `depot` with a password."""
    (folder / "token").write_text(simulator.token)
    (folder / "password").write_text(simulator.user.password)
    config = folder / "sms-exporter.yml"
    interval, stale_after = (f"{at_pace(seconds, pace):g}s" for seconds in (2, 4))
    config.write_text(
        yaml.safe_dump(
            {
                "api": {"endpoint": simulator.url},
                "iam": {"endpoint": simulator.url},
                "poll": {"interval": interval, "timeout": interval, "stale_after": stale_after},
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


async def test_each_problem_is_notified_once_and_so_is_its_end(tmp_path: Path) -> None:
    program("prometheus")
    program("prometheus-alertmanager")

    async def scenario(folder: Path, pace: int) -> None:
        # Without acceleration, servers stay in their states during the test. Tokens from IAM expire during it.
        async with Simulator(servers=250, acceleration=1, token_lifetime=at_pace(26, pace)) as simulator:
            async with controlling(simulator) as control:
                await assert_each_problem_is_notified(folder, pace, simulator, control)

    await at_a_pace_that_the_machine_keeps(tmp_path, scenario)


async def assert_each_problem_is_notified(folder: Path, pace: int, simulator: Simulator, control: Call) -> None:
    failed, disconnected, stalled, unchecked, *_ = await remove_problems(simulator, control)
    of_server = {
        "SmsServerFailed": ("pager", failed, {"severity": "critical"}),
        "SmsServerDisconnected": ("pager", disconnected, {"severity": "critical"}),
        "SmsServerStalled": ("tickets", stalled, {"severity": "warning"}),
        "SmsCheckFailed": ("tickets", unchecked, {"severity": "warning"}),
    }
    address = f"127.0.0.1:{free_port()}"
    config = write_accounts(folder, simulator, pace)
    command = exporter_command(f"--config.file={config}", f"--web.listen-address={address}", "--log.level=error")
    async with started(*command), alerting(folder, address, pace=pace) as (server, alertmanager, inbox):
        assert await server.value("count(account:huaweicloud_sms_fresh:bool == 1)") == 2

        # Problems.
        await control("POST", f"servers/{failed['id']}/fail")
        await control("POST", f"servers/{disconnected['id']}/disconnect")
        await control("POST", f"servers/{stalled['id']}/stall")
        for record, result in ((failed, "WARN"), (unchecked, "ERROR")):
            check = {"name": "RSYNC", "result": result, "error_code": "SMS.1"}
            await control("PATCH", f"servers/{record['id']}", {"checks": [check]})
        for name, (receiver, record, more) in of_server.items():
            alert = await notified(inbox, "firing", receiver, alertname=name, server_id=record["id"])
            identity = {"account": "shop", "server_id": record["id"]}
            project = {"enterprise_project_id": record["enterprise_project_id"]}
            assert alert["labels"] == {"alertname": name, "scope": "server"} | identity | project | more
            assert alert["annotations"]["summary"].count(f"erver {record['name']} in account shop") == 1
            assert record["id"] in alert["annotations"]["description"]
            assert alert["annotations"]["dashboard_url"].endswith(f"?var-account=shop&var-server={record['id']}")
            page = alert["annotations"]["runbook_url"]
            assert page.startswith(RUNBOOKS)
            assert (ROOT / page.removeprefix(RUNBOOKS)).is_file()

        # Credentials cannot be renewed, and expire: there is no data. One server recovers meanwhile.
        await control("POST", "faults", {"fault": "server-error,api=iam"})
        await notified(inbox, "firing", "pager", alertname="SmsCredentialsExpiring", account="depot")
        await control("POST", "tokens/expire")
        await notified(inbox, "firing", "tickets", alertname="SmsPollFailing", account="shop")
        await notified(inbox, "firing", "pager", alertname="SmsDataStale", account="shop")
        await control("DELETE", f"servers/{disconnected['id']}/overrides")
        assert await server.value("count(absent(huaweicloud_sms_source_server_state{account='shop'}))") == 1
        await until(lambda: all_are_inhibited(alertmanager, len(of_server)))
        assert inbox.received("resolved", scope="server") == []

        # The token is replaced.
        await control("DELETE", "faults")
        (folder / "token").write_text(await issue_token(simulator))
        await notified(inbox, "resolved", "tickets", alertname="SmsPollFailing", account="shop")
        await notified(inbox, "resolved", "pager", alertname="SmsDataStale", account="shop")
        await notified(inbox, "resolved", "pager", alertname="SmsCredentialsExpiring", account="depot")
        await notified(inbox, "resolved", "pager", alertname="SmsServerDisconnected")
        assert len(inbox.received("resolved", scope="server")) == 1

        # The other servers recover.
        for record in (failed, stalled, unchecked):
            await control("DELETE", f"servers/{record['id']}/overrides")
        for name in of_server:
            await notified(inbox, "resolved", of_server[name][0], alertname=name)
        assert {name: len(inbox.received("firing", alertname=name)) for name in of_server} == dict.fromkeys(
            of_server, 1
        )
        assert {alert["labels"]["alertname"] for _, alert in inbox.received("firing", scope="server")} == set(of_server)


async def all_are_inhibited(alertmanager: str, number: int) -> bool:
    """Return whether Alertmanager has this number of alerts on servers, all of them inhibited."""
    parameters = {"filter": 'scope="server"'}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{alertmanager}/api/v2/alerts", params=parameters) as response,
    ):
        alerts = await response.json()
    return len(alerts) == number and all(alert["status"]["inhibitedBy"] for alert in alerts)


class ScriptedExporter:
    """An exporter that serves one server, with polls as a test wants them."""

    def __init__(self, interval: float) -> None:
        self.state = "replicate"
        self.succeeds: Callable[[int], bool] = lambda _: True
        self._interval = interval
        self._polls = 0
        self._success = time.time()

    async def poll(self) -> None:
        """Poll forever."""
        while True:
            self._polls += 1
            if self.succeeds(self._polls):
                self._success = time.time()
            await asyncio.sleep(self._interval)

    async def scrape(self, _: web.Request) -> web.Response:
        """Return the metrics."""
        samples = {
            "up{account='shop'}": int(self.succeeds(self._polls)),
            "poll_interval_seconds{account='shop'}": self._interval,
            "last_success_timestamp_seconds{account='shop'}": self._success,
            "snapshot_source_servers{account='shop'}": 1,
            "source_server_info{account='shop',server_id='1',name='web-12'}": 1,
            f"source_server_state{{account='shop',server_id='1',state='{self.state}'}}": 1,
        }
        lines = [f"huaweicloud_sms_{name} {value}\n".replace("'", '"') for name, value in samples.items()]
        return web.Response(text="".join(lines), content_type="text/plain")


async def test_a_server_that_fails_pages_while_one_poll_of_three_succeeds_after_an_outage(tmp_path: Path) -> None:
    program("prometheus")
    program("prometheus-alertmanager")

    async def scenario(folder: Path, pace: int) -> None:
        exporter = ScriptedExporter(interval=at_pace(0.5, pace))
        async with (
            serving(exporter.scrape) as url,
            alerting(folder, url.removeprefix("http://"), pace=pace) as (_, _, inbox),
            asyncio.TaskGroup() as tasks,
        ):
            polling = tasks.create_task(exporter.poll())
            exporter.succeeds = lambda _: False
            await notified(inbox, "firing", "tickets", alertname="SmsPollFailing")
            await notified(inbox, "firing", "pager", alertname="SmsDataStale")
            exporter.succeeds = lambda poll: poll % 3 == 0
            exporter.state = "error"
            await notified(inbox, "firing", "pager", alertname="SmsServerFailed", server_id="1")
            await notified(inbox, "resolved", "pager", alertname="SmsDataStale")
            polling.cancel()

    await at_a_pace_that_the_machine_keeps(tmp_path, scenario)
