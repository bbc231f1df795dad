"""What the documentation shows works as printed."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Simulator
from manifests import ROOT
from programs import exporter_command, program, run
from tools.mutant_batches import ORDER

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROMQL = re.compile(r"^ *```promql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PLACEHOLDERS = {
    'account="ACCOUNT"': 'account="default"',
    'server_id="SERVER_ID"': 'server_id!=""',
    'instance="INSTANCE"': 'instance!=""',
    'job="JOB"': 'job="sms"',
}
UNSTEADY = re.compile(r"time\(\)|timestamp\(|deriv|increase|rate\(|offset|_lag_|_seconds:running")
"""Queries whose results change with time."""
ALONE, TOGETHER = 25, 60
"""A minute in which one exporter is running, and one in which two are."""
COLLECTORS = ("disks", "errors", "task-details", "consistency", "projects")
PROMETHEUS = re.compile(r"^(?:global|scrape_configs|remote_write|rule_files):", re.MULTILINE)


def prometheus_configurations() -> list[tuple[Path, str]]:
    """Return each YAML block of the documentation that configures Prometheus, with its page."""
    return [
        (page, block)
        for page in PAGES
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if PROMETHEUS.search(block)
    ]


@pytest.mark.parametrize(("page", "text"), prometheus_configurations(), ids=lambda value: getattr(value, "name", ""))
async def test_a_prometheus_configuration_of_the_documentation_is_valid(page: Path, text: str, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(text, encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "config", "--syntax-only", str(file))
    assert status == 0, f"{page}: {output}{errors}"


def queries() -> list[str]:
    """Return all different queries of the documentation."""
    return sorted({query for page in PAGES for query in PROMQL.findall(page.read_text(encoding="utf-8"))})


async def test_every_query_of_the_documentation_is_valid(tmp_path: Path) -> None:
    assert len(queries()) > 50
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "documentation", "rules": rules}]}), encoding="utf-8")
    status, output, errors = await run(program("promtool"), "check", "rules", str(file))
    assert status == 0, output + errors


async def read_exposition() -> str:
    """Return the metrics of an exporter with all collectors that has polled a simulated account."""
    async with Simulator(servers=100) as simulator:
        options = (f"--api.endpoint={simulator.url}", *(f"--collector.{name}" for name in COLLECTORS))
        status, output, errors = await run(*exporter_command("once", *options), SMS_EXPORTER_AUTH_TOKEN=simulator.token)
    assert status == 0, errors
    return output


def series_of_two_exporters(exposition: str) -> Iterator[Mapping[str, str]]:
    """Return series of an exporter, and of another one that starts later, in promtool's notation.

    Both have the samples of an exposition in each minute. Counters grow by one per minute from 0. A poll succeeds
    in each minute.
    """
    for instance, start, first in (("x", 0, ""), ("y", ALONE + 6, f"_x{ALONE + 5} ")):
        minutes = TOGETHER - start
        yield {"series": f'up{{job="sms",instance="{instance}"}}', "values": f"{first}1x{minutes}"}
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                labels = {**sample.labels, "job": "sms", "instance": instance}
                text = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
                values = f"{sample.value:g}x{minutes}"
                if family.type == "counter":
                    values = f"0+1x{minutes}"
                elif sample.name == "huaweicloud_sms_last_success_timestamp_seconds":
                    values = f"{start * 60}+60x{minutes}"
                yield {"series": f"{sample.name}{{{text}}}", "values": first + values}


def joins_of_help(exposition: str) -> list[str]:
    """Return a query for each metric whose help says on which labels to join it."""
    found = re.findall(r"^# HELP (\w+) .* join it on ([\w, ]+)\.", exposition, re.MULTILINE)
    return [
        f"huaweicloud_sms_task_state * on ({labels.replace(' and ', ', ')}) group_left () {metric}"
        for metric, labels in found
    ]


async def test_the_queries_of_the_documentation_count_everything_once_if_two_exporters_poll_an_account(
    tmp_path: Path,
) -> None:
    exposition = await read_exposition()
    joins = joins_of_help(exposition)
    assert len(joins) == 2
    (transitions,) = (query for query in queries() if "state_transitions_total" in query)
    # Expressions that must have no result.
    failures = [f"absent({query})" for query in (*joins, transitions)]
    failures.append(f"abs({transitions} - {TOGETHER}) > 1")
    for query in queries():
        for placeholder, value in PLACEHOLDERS.items():
            query = query.replace(placeholder, value)  # noqa: PLW2901 - the same query for this account
        # A subquery with an offset has the results of the first exporter alone.
        alone = f"max_over_time(({query})[1m:1m] offset {TOGETHER - ALONE}m)"
        failures.append(f"count({query}) < 0" if UNSTEADY.search(query) else f"({query}) > 1.5 * {alone}")
    case = {
        "interval": "1m",
        "input_series": [*series_of_two_exporters(exposition)],
        "promql_expr_test": [{"expr": failure, "eval_time": f"{TOGETHER}m"} for failure in failures],
    }
    rules = [str(file) for file in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")]
    tests = {"rule_files": rules, "evaluation_interval": "1m", "group_eval_order": ORDER, "tests": [case]}
    file = tmp_path / "queries.json"
    file.write_text(json.dumps(tests), encoding="utf-8")
    status, output, errors = await run(program("promtool"), "test", "rules", str(file), GOGC="400")
    assert status == 0, output + errors
