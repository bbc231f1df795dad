"""The rules and the configuration of alerts: valid, tested by promtool and amtool, and each with its runbook."""

import re
from pathlib import Path

import pytest
import yaml

from grafana.promql import FAILED_STATES, MIGRATING_STATES, MOVING_STATES
from programs import program, run

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
ALERTS = [
    rule
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


async def test_promtool_finds_nothing_in_the_rules_and_the_configuration() -> None:
    rules = ("rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    for arguments in (rules, ("config", str(DEPLOY / "prometheus.yml"))):
        status, output, errors = await run(program("promtool"), "check", *arguments)
        assert status == 0, output + errors


async def test_every_alert_fires_where_it_should_and_not_close_by() -> None:
    tests = sorted((DEPLOY / "tests").glob("*.yml"))
    status, output, errors = await run(program("promtool"), "test", "rules", *map(str, tests))
    assert status == 0, output + errors
    told = "".join(test.read_text() for test in tests)
    assert not [alert["alert"] for alert in ALERTS if alert["alert"] not in told]


def test_every_alert_has_its_words_and_a_runbook_and_every_runbook_its_alert() -> None:
    pages = set()
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "description", "runbook_url"} <= alert["annotations"].keys()
        pages.add(alert["annotations"]["runbook_url"].rpartition("/")[2])
        assert pages >= {f"{alert['alert']}.md"}
    assert pages == {page.name for page in (ROOT / "docs" / "runbooks").glob("*.md")}


async def test_a_deadline_is_what_the_example_in_its_file_says(tmp_path: Path) -> None:
    text = (DEPLOY / "rules" / "sms-deadline.yml").read_text()
    examples = "\n".join(found[1] for found in re.finditer(r"^# ( {5}.*)", text, re.MULTILINE))
    file = tmp_path / "sms-deadline.yml"
    file.write_text(f"groups:\n  - name: sms-deadline\n    rules:\n{examples}\n")
    status, output, errors = await run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(file))
    assert status == 0, output + errors
    assert "2 rules found" in output


def test_every_alert_on_a_server_is_held_while_its_data_is_old_and_outlasts_what_silences_it() -> None:
    kept = {alert["alert"]: int(alert.get("keep_firing_for", "0m").removesuffix("m")) for alert in ALERTS}
    of_servers = [alert for alert in ALERTS if alert["labels"]["scope"] == "server"]
    assert len(of_servers) == 7
    for alert in of_servers:
        # By the server, so that an alert is not there twice where its cause is known beside what is held.
        held = rf'server:huaweicloud_sms_alerts:held\{{alertname="{alert["alert"]}"\}}'
        assert re.search(rf"or on \(account, server_id[^)]*\)\s+{held}", alert["expr"])
        for silencing in ("SmsPollFailing", "SmsDataStale", "SmsExporterAbsent"):
            assert kept[alert["alert"]] > kept[silencing]


def test_alerts_and_boards_mean_the_same_states() -> None:
    states = {alert["alert"]: set(re.findall(r'state=~"([^"]+)"', alert["expr"])) for alert in ALERTS}
    assert states["SmsServerFailed"] == {FAILED_STATES}
    assert states["SmsServerDisconnected"] == {MIGRATING_STATES}
    assert states["SmsServerStalled"] == states["SmsServerLate"] == {MOVING_STATES}


async def test_amtool_finds_nothing_in_the_configuration_of_alertmanager() -> None:
    status, output, errors = await run(program("amtool"), "check-config", str(ALERTMANAGER))
    assert status == 0, output + errors


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
async def test_what_is_critical_pages_and_what_is_not_does_not(alert: dict[str, dict[str, str]]) -> None:
    labels = {"alertname": alert["alert"], "account": "a", **alert["labels"]}
    receiver = {"critical": "pager", "warning": "tickets"}[alert["labels"]["severity"]]
    status, output, errors = await run(
        program("amtool"),
        "config",
        "routes",
        "test",
        f"--config.file={ALERTMANAGER}",
        f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert status == 0, output + errors


def test_what_alertmanager_silences_by_name_are_alerts_that_there_are() -> None:
    names = {alert["alert"] for alert in ALERTS}
    matchers = [
        matcher
        for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
    ]
    told = {name for matcher in matchers for name in re.findall(r"Sms\w+", matcher)}
    assert len(told) == 3
    assert told <= names
