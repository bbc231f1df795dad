"""The rules and the Alertmanager configuration, tested with promtool and amtool; every alert has a runbook."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import changed_label_cases
import detail_cases
import old_data_cases
import rule_cases
import threshold_cases
from alert_texts import Case, cases
from grafana.promql import FAILED_STATES, MIGRATING_STATES, MOVING_STATES
from programs import program, run
from promtool import Group
from rule_cases import PROBLEMS
from tools.mutant_batches import ORDER

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
ALERTS = [
    rule
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
GROUPS = [
    *rule_cases.groups(),
    *detail_cases.groups(),
    *threshold_cases.groups(),
    *changed_label_cases.groups(),
    old_data_cases.unused_data(),
]
TEXT_CASES = list(cases())
TEXTS = yaml.safe_load((ROOT / "tests" / "data" / "alert-texts.yml").read_text(encoding="utf-8"))


async def run_promtool(folder: Path, *cases: Group) -> None:
    """Run test groups with promtool; a failure fails the test."""
    tests = {
        "rule_files": [str(file) for file in RULES],
        "evaluation_interval": cases[0]["interval"],
        "group_eval_order": ORDER,
        "tests": cases,
    }
    file = folder / "cases.json"
    file.write_text(json.dumps(tests))
    status, output, errors = await run(program("promtool"), "test", "rules", str(file), GOGC="400")
    assert status == 0, output + errors


@pytest.mark.parametrize("case", GROUPS, ids=lambda case: case["name"])
async def test_alerts_fire_as_expected_when(case: Group, tmp_path: Path) -> None:
    await run_promtool(tmp_path, case)


@pytest.mark.parametrize("case", TEXT_CASES, ids=lambda case: case[0])
async def test_alerts_have_the_expected_labels_and_texts_for(case: Case, tmp_path: Path) -> None:
    name, group, minute, alerts = case
    expected = TEXTS[name]
    assert list(expected) == list(alerts)
    tests = [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected[alert]} for alert in alerts]
    await run_promtool(tmp_path, {**group, "promql_expr_test": [], "alert_rule_test": tests})


def test_the_texts_of_every_alert_are_tested_and_every_summary_is_short() -> None:
    alerts = [(name, alert) for case in TEXTS.values() for name, firing in case.items() for alert in firing]
    assert {name for name, _ in alerts} == {alert["alert"] for alert in ALERTS}
    assert max(len(alert["exp_annotations"]["summary"]) for _, alert in alerts) < 80


def test_the_queries_in_the_texts_of_alerts_quote_labels_so_that_promql_accepts_any_text() -> None:
    texts = [text for alert in ALERTS for text in alert["annotations"].values() if "query" in text]
    assert len(texts) > 20
    assert not [text for text in texts if "%q" in text or "%s" in text]


async def test_promtool_finds_no_problem_in_the_rules_and_the_configuration() -> None:
    rules = ("rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    for arguments in (rules, ("config", str(DEPLOY / "prometheus.yml"))):
        status, output, errors = await run(program("promtool"), "check", *arguments)
        assert status == 0, output + errors


@pytest.mark.parametrize("file", sorted((DEPLOY / "tests").glob("*.yml")), ids=lambda file: file.stem)
async def test_the_rule_tests_pass(file: Path) -> None:
    status, output, errors = await run(program("promtool"), "test", "rules", str(file), GOGC="400")
    assert status == 0, output + errors


def test_every_alert_is_tested() -> None:
    tests = "".join(file.read_text() for file in (DEPLOY / "tests").glob("*.yml")) + json.dumps(GROUPS)
    assert [alert["alert"] for alert in ALERTS if alert["alert"] not in tests] == []
    assert {alert["alert"] for alert in ALERTS if alert["labels"]["scope"] == "server"} == PROBLEMS.keys()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_summary_a_description_and_links(alert: Mapping[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["labels"]["scope"] in {"server", "servers", "target", "account", "exporter"}
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "dashboard_url", "runbook_url"}
    assert annotations["runbook_url"].endswith(f"/docs/runbooks/{alert['alert']}.md")
    assert not annotations["summary"].endswith(".")
    assert annotations["description"].endswith((".", "}}"))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}


async def test_the_examples_of_deadlines_are_valid(tmp_path: Path) -> None:
    text = (DEPLOY / "rules" / "sms-deadline.yml").read_text()
    examples = "\n".join(found[1] for found in re.finditer(r"^# ( {5}.*)", text, re.MULTILINE))
    file = tmp_path / "sms-deadline.yml"
    file.write_text(f"groups:\n  - name: sms-deadline\n    rules:\n{examples}\n")
    status, output, errors = await run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(file))
    assert status == 0, output + errors
    assert "3 rules found" in output


def test_alerts_on_servers_are_held_without_fresh_data_and_alerts_that_inhibit_them_resolve_first() -> None:
    alerts = {alert["alert"]: alert for alert in ALERTS}
    for name, alert in alerts.items():
        if alert["labels"]["scope"] in {"server", "servers"}:
            assert f'server:huaweicloud_sms_alerts:held{{alertname="{name}"}}' in alert["expr"]
        if alert["labels"]["scope"] == "server":
            assert alert["keep_firing_for"]
    assert not {"keep_firing_for"} & {key for name in ("SmsDataStale", "SmsExporterAbsent") for key in alerts[name]}


def test_every_error_code_has_one_remedy_and_is_in_the_runbook() -> None:
    (remedies,) = yaml.safe_load((DEPLOY / "rules" / "sms-remedies.yml").read_text())["groups"]
    codes = [rule["labels"]["error_code"] for rule in remedies["rules"]]
    assert sorted(set(codes)) == codes
    runbook = (ROOT / "docs" / "runbooks" / "SmsServerFailed.md").read_text(encoding="utf-8")
    ranges = [range(int(first), int(last) + 1) for first, last in re.findall(r"SMS\.(\d{4}) to SMS\.(\d{4})", runbook)]
    documented = {f"SMS.{number:04}" for each in ranges for number in each} | set(re.findall(r"SMS\.\d{4}", runbook))
    assert set(codes) - documented == set()


def test_alerts_and_dashboards_use_the_same_states() -> None:
    rules = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    used = {rule.get("alert") or rule["record"]: set(re.findall(r'state=~"([^"]+)"', rule["expr"])) for rule in rules}
    assert used["SmsServerFailed"] == {FAILED_STATES}
    assert used["server:huaweicloud_sms_disconnected:freshest"] == {MIGRATING_STATES}
    assert used["server:huaweicloud_sms_stalled:freshest"] == used["SmsServerLate"] == {MOVING_STATES}


async def test_amtool_finds_no_problem_in_the_alertmanager_configuration() -> None:
    status, output, errors = await run(program("amtool"), "check-config", str(ALERTMANAGER / "alertmanager.yml"))
    assert status == 0, output + errors


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
async def test_critical_alerts_page_and_warnings_become_tickets(alert: dict[str, dict[str, str]]) -> None:
    labels = {"alertname": alert["alert"], "account": "a", **alert["labels"]}
    receiver = {"critical": "pager", "warning": "tickets"}[alert["labels"]["severity"]]
    status, output, errors = await run(
        program("amtool"),
        "config",
        "routes",
        "test",
        f"--config.file={ALERTMANAGER / 'alertmanager.yml'}",
        f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert status == 0, output + errors


async def test_a_notification_about_several_servers_has_their_number(tmp_path: Path) -> None:
    labels = {"alertname": "SmsServerFailed", "account": "shop"}
    alerts = [
        {"status": "firing", "labels": {**labels, "server_id": server_id}, "annotations": {"description": server_id}}
        for server_id in ("one", "two", "three")
    ]
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"status": "firing", "alerts": alerts, "commonLabels": labels}))
    status, output, errors = await run(
        program("amtool"),
        "template",
        "render",
        f"--template.glob={ALERTMANAGER / 'sms.tmpl'}",
        f"--template.data={data}",
        '--template.text={{ template "sms.title" . }}: {{ template "sms.text" . }}',
    )
    assert status == 0, errors
    assert output.startswith("3 alerts SmsServerFailed in account shop: ")
    assert all(server_id in output for server_id in ("one", "two", "three"))


def test_only_missing_data_inhibits_alerts_on_servers() -> None:
    (rule,) = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())["inhibit_rules"]
    (sources,) = rule["source_matchers"]
    assert set(re.findall(r"Sms\w+", sources)) == {"SmsExporterAbsent", "SmsDataStale"}
    assert rule["target_matchers"] == ['scope=~"server|servers"']
    assert rule["equal"] == ["account"]
