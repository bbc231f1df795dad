"""Launched target servers that do not answer, from the simulator through blackbox_exporter to a notification.

The exporter has all collectors on, so the queries of the documentation are run here.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting import DEPLOY, Inbox, accelerate, alerting, controlling, remove_problems
from exporter.settings.tree import DETAIL_COLLECTORS
from exporter.simulator import Simulator
from exporter.simulator.targets import answers
from programs import Prometheus, exporter_command, free_port, program, started, until

ROOT = DEPLOY.parent
DOCS = ROOT / "docs"
QUERY = re.compile(r"^```promql\n(.*?)^```", re.MULTILINE | re.DOTALL)
JOB = re.compile(r"^```yaml\n(scrape_configs:\n  - job_name: sms-launched\n.*?)^```", re.MULTILINE | re.DOTALL)


def queries(page: Path) -> list[str]:
    """Return the queries of a page of the documentation, accelerated like the rules."""
    return [accelerate(query) for query in QUERY.findall(page.read_text(encoding="utf-8"))]


def documented_job(exporter: str, blackbox: str, port: int) -> Mapping[str, Any]:
    """Return the job of the documentation for this exporter, blackbox_exporter and port of the target servers."""
    found = JOB.search((DOCS / "collectors.md").read_text(encoding="utf-8"))
    assert found
    text = found[1]
    for documented, here in (("sms-exporter:10058", exporter), ("blackbox-exporter:9115", blackbox)):
        assert documented in text
        text = text.replace(documented, here)
    job: dict[str, Any] = yaml.safe_load(re.sub(r"\$1:(22|3389)", f"$1:{port}", text))["scrape_configs"][0]
    job["http_sd_configs"][0]["refresh_interval"] = "1s"
    return job | {"scrape_interval": "1s", "scrape_timeout": "1s"}


def options(folder: Path, simulator: Simulator, address: str) -> Sequence[str]:
    """Return the options of an exporter of the account `shop` with all collectors."""
    config = {
        "api": {"endpoint": simulator.url},
        "iam": {"endpoint": simulator.url},
        "poll": {"interval": "4s", "timeout": "4s"},
        "collector": dict.fromkeys(DETAIL_COLLECTORS, True) | {"details_polls": 1},
        "account": {"name": "shop"},
        "auth": {
            "user_name": simulator.user.name,
            "domain_name": simulator.user.domain,
            "password_file": str(folder / "password"),
        },
    }
    (folder / "password").write_text(simulator.user.password)
    file = folder / "sms-exporter.yml"
    file.write_text(yaml.safe_dump(config))
    return (f"--config.file={file}", f"--web.listen-address={address}", "--log.level=error")


async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_launched_target_that_does_not_answer_pages_until_it_answers(tmp_path: Path) -> None:
    for name in ("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter"):
        program(name)
    port = free_port()
    blackbox, exporter = (f"127.0.0.1:{free_port()}" for _ in range(2))
    modules = tmp_path / "blackbox.yml"
    modules.write_text("modules: {tcp_connect: {prober: tcp, timeout: 1s}}")
    probing = (
        program("prometheus-blackbox-exporter"),
        f"--config.file={modules}",
        f"--web.listen-address={blackbox}",
        "--timeout-offset=0.1",
        "--log.level=error",
    )
    # Without acceleration, servers stay in their states during the test.
    async with (
        Simulator(servers=120, acceleration=1, target_port=port) as simulator,
        controlling(simulator) as control,
        started(*probing),
        started(*exporter_command(*options(tmp_path, simulator, exporter))),
        alerting(tmp_path, exporter, [documented_job(exporter, blackbox, port)]) as (server, _, inbox),
    ):
        failed, disconnected, stalled, unchecked, *_ = await remove_problems(simulator, control)
        await control("POST", f"servers/{failed['id']}/fail")
        await control("POST", f"servers/{disconnected['id']}/disconnect")
        await control("POST", f"servers/{stalled['id']}/stall")
        for record, result in ((failed, "WARN"), (unchecked, "ERROR")):
            check = {"name": "RSYNC", "result": result, "error_code": "SMS.1"}
            await control("PATCH", f"servers/{record['id']}", {"checks": [check]})

        probes = await until(lambda: answering_and_silent(server))
        silent = {
            each["metric"]["server_id"]: each
            for each in probes
            if not answers(each["metric"]["instance"].rpartition(":")[0])
        }
        assert 0 < len(silent) < len(probes)

        async def paged() -> bool:
            alerts = inbox.received("firing", alertname="SmsTargetNotAnswering")
            return {alert["labels"]["server_id"] for _, alert in alerts} == silent.keys()

        await until(paged)
        receiver, alert = inbox.received("firing", alertname="SmsTargetNotAnswering")[0]
        assert receiver == "pager"
        labels = alert["labels"]
        assert labels == {
            "alertname": "SmsTargetNotAnswering",
            "account": "shop",
            "server_id": labels["server_id"],
            "severity": "critical",
            "scope": "target",
        }
        target = silent[labels["server_id"]]["metric"]
        assert target["instance"] in alert["annotations"]["description"]
        assert f"erver {target['name']} in account shop" in alert["annotations"]["summary"]

        await assert_queries_of_the_documentation_work(server)

        address = target["instance"].rpartition(":")[0]
        async with await asyncio.start_server(close, address, port):
            await until(lambda: resolved(inbox, labels["server_id"]))


async def answering_and_silent(server: Prometheus) -> list[dict[str, Any]]:
    """Return all probes, once some succeed and some fail, and the number of targets does not change."""
    both = "count(probe_success == 0) and count(probe_success == 1)"
    unchanged = "count(probe_success) == count(probe_success offset 2s)"
    return await server.query("probe_success") if await server.query(f"{both} and {unchanged}") else []


async def resolved(inbox: Inbox, server_id: str) -> bool:
    """Return whether the alert on a launched server resolved."""
    return bool(inbox.received("resolved", alertname="SmsTargetNotAnswering", server_id=server_id))


async def assert_queries_of_the_documentation_work(server: Prometheus) -> None:
    """Run each query of the page of questions, which must return data, and those of all other pages, which may."""
    # The section titles of the page are the questions.
    page_of_questions = DOCS / "queries.md"
    assert len(re.findall(r"^## ", page_of_questions.read_text(encoding="utf-8"), re.MULTILINE)) >= 14
    for query in queries(page_of_questions):
        try:
            await until(lambda query=query: server.query(query))  # type: ignore[misc]
        except TimeoutError:
            pytest.fail(f"no data for {query}")
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        for query in queries(page):
            await server.query(query)
