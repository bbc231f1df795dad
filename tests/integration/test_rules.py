"""The rules of Prometheus that come with the exporter: valid, tested by promtool, and each with its runbook."""

from pathlib import Path

import yaml

from programs import program, run

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy" / "prometheus"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
ALERTS = [
    rule
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


async def test_promtool_finds_nothing_in_the_rules_and_the_configuration() -> None:
    for arguments in (("rules", *map(str, RULES)), ("config", str(DEPLOY / "prometheus.yml"))):
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
