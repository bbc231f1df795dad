"""The dashboards' queries, evaluated by a real Prometheus that scrapes the demo."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from dashboards import boards, interpolate, queries, values_of_all, variables
from grafana.promql import attention, fleet, named, server, stalled, total
from programs import Prometheus, demo, program, prometheus, run, until

MAY_BE_EMPTY: Mapping[tuple[str, str, str], str] = {
    ("exporter.json", "Skipped records and unknown values", "B"): "a series starts with the first such value",
    ("exporter.json", "Skipped records and unknown values", "C"): "a series starts with the first such value",
    ("server.json", "Task and target", "F"): "only servers with a clone of the target have a clone state",
}
"""Queries that may return nothing on a healthy demo; their panels have other queries that return data."""

# A replicating server with a speed limit and LVM, once speeds and increases have enough samples.
WITH_EVERYTHING = (
    "huaweicloud_sms_task_speed_limit_bytes_per_second"
    " and on (server_id) huaweicloud_sms_task_remaining_seconds"
    " and on (server_id) (deriv(huaweicloud_sms_source_server_replicated_bytes[10m]) > 0)"
    " and on (server_id) huaweicloud_sms_source_server_replicated_bytes_last_increase_timestamp_seconds"
    " and on (server_id) huaweicloud_sms_source_server_volume_group_size_bytes"
    " and on (account) (count_over_time(huaweicloud_sms_up[1m]) > 8)"
)
DEMO = ("--collector.disks", "--poll.interval=1s")

Place = tuple[str, str, str]


async def ask(server: Prometheus, path: str, **parameters: str) -> Any:
    """Return the data of a response of Prometheus' HTTP API, requested like Grafana does."""
    address = f"{server.url}/api/v1/{path}"
    async with aiohttp.ClientSession() as session:
        asking = session.get(address, params=parameters) if "label/" in path else session.post(address, data=parameters)
        async with asking as response:
            content = await response.json()
            assert content["status"] == "success", (parameters, content)
            return content["data"]


async def series(server: Prometheus, expression: str, moment: float, *, instant: bool) -> list[dict[str, Any]]:
    """Return the series of a query at a time, or over the seconds before it."""
    if instant:
        data = await ask(server, "query", query=expression, time=str(moment))
    else:
        span = {"start": str(moment - 5), "end": str(moment), "step": "1"}
        data = await ask(server, "query_range", query=expression, **span)
    found: list[dict[str, Any]] = data["result"]
    return found


async def choices(
    server: Prometheus, variable: Mapping[str, Any], values: Mapping[str, str], moment: float
) -> list[str]:
    """Return the options of a variable, computed like Grafana does."""
    query = variable["query"]
    if variable["type"] != "query":
        return str(query).split(",")
    if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
        match = {"match[]": interpolate(found[1], values), "end": str(moment)}
        offered: list[str] = await ask(server, f"label/{found[2]}/values", **match)
        return offered
    found = re.fullmatch(r"query_result\((.+)\)", query)
    assert found, query
    rows = await series(server, interpolate(found[1], values), moment, instant=True)
    pattern = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    texts = ["{" + ",".join(f'{name}="{value}"' for name, value in row["metric"].items()) + "}" for row in rows]
    matches = [pattern.search(text) for text in texts]
    assert all(match and match["text"] for match in matches), texts
    return [match["value"] for match in matches if match]


async def run_all(server: Prometheus, moment: float, values: Mapping[str, Mapping[str, str]]) -> dict[Place, int]:
    """Return the number of series of each query, by dashboard, panel and letter."""
    return {
        (query.board, query.panel, query.letter): len(
            await series(server, interpolate(query.expression, values[query.board]), moment, instant=query.instant),
        )
        for query in queries()
    }


def values_for(server_id: str) -> dict[str, dict[str, str]]:
    """Return the values of the variables of each dashboard."""
    return {name: {**values_of_all(board), "server": server_id} for name, board in boards().items()}


def scraping(*urls: str) -> str:
    targets = ", ".join(f"'{url.removeprefix('http://')}'" for url in urls)
    return f"  - {{job_name: sms, static_configs: [{{targets: [{targets}]}}]}}\n"


async def test_every_query_and_variable_of_every_dashboard_returns_data_on_the_demo(tmp_path: Path) -> None:
    program("prometheus")
    async with demo(*DEMO) as url, prometheus(tmp_path, scraping(url)) as server:
        chosen = (await until(lambda: server.query(WITH_EVERYTHING)))[0]
        moment, server_id = chosen["value"][0], chosen["metric"]["server_id"]
        values = values_for(server_id)

        offered = {
            (name, variable["name"]): await choices(server, variable, values[name], moment)
            for name, board in boards().items()
            for variable in variables(board)
        }
        assert [where for where, offer in offered.items() if not offer] == []
        assert server_id in offered["server.json", "server"]
        assert offered["overview.json", "account"] == ["demo"]
        assert set(offered["cutover.json", "os"]) == {"LINUX", "WINDOWS"}
        assert {"replicate", "error", "other"} < set(offered["server.json", "state"])

        found = await run_all(server, moment, values)
        assert {where for where, count in found.items() if not count} <= MAY_BE_EMPTY.keys() <= found.keys()
        panels = {(board, panel) for board, panel, _ in found}
        assert {(board, panel) for (board, panel, _), count in found.items() if count} == panels


async def test_servers_polled_by_two_exporters_count_once_and_joins_still_work(tmp_path: Path) -> None:
    program("prometheus")
    async with demo(*DEMO) as one, demo(*DEMO) as other, prometheus(tmp_path, scraping(one, other)) as server:
        seen_twice = f"{WITH_EVERYTHING} and on (account) (count by (account) (huaweicloud_sms_up) == 2)"
        chosen = (await until(lambda: server.query(seen_twice)))[0]
        moment, server_id = chosen["value"][0], chosen["metric"]["server_id"]
        values = values_for(server_id)
        assert sum((await run_all(server, moment, values)).values()) > 0
        (fleet,) = (query for query in queries() if query.panel == "Source servers")
        (total,) = await series(server, interpolate(fleet.expression, values[fleet.board]), moment, instant=True)
        assert 250 <= float(total["value"][1]) < 300


def a_server(
    name: str, *, state: str = "replicate", connected: int = 1, grown: str = "0x60", changed: int = 0
) -> list[Any]:
    """Return one hour of samples of a server, one per minute.

    `grown` is the time in seconds of the last growth of the replicated bytes, `changed` of the last state change.
    """
    labels = f'{{account="a",server_id="{name}"}}'
    return [
        {"series": f"huaweicloud_sms_{metric}", "values": samples}
        for metric, samples in (
            (f'source_server_info{{account="a",server_id="{name}",name="name of {name}",ip="10.0.0.1"}}', "1x60"),
            (f'source_server_state{{account="a",server_id="{name}",state="{state}"}}', "1x60"),
            (f"source_server_connected{labels}", f"{connected}x60"),
            (f"source_server_replicated_bytes{labels}", "5x60"),
            (f"source_server_replicated_bytes_last_increase_timestamp_seconds{labels}", grown),
            (f"source_server_state_changed_timestamp_seconds{labels}", f"{changed}x60"),
        )
    ]


async def assert_evaluates(tmp_path: Path, expression: str, expected: Mapping[str, float], samples: list[Any]) -> None:
    """Evaluate an expression with promtool after an hour, and compare."""
    exporter = [
        {"series": f'huaweicloud_sms_{metric}{{account="a"}}', "values": values}
        for metric, values in (("last_success_timestamp_seconds", "0+60x60"), ("poll_interval_seconds", "60x60"))
    ]
    case = {
        "interval": "1m",
        "input_series": exporter + samples,
        "promql_expr_test": [
            {
                "expr": interpolate(expression, {"account": ".*"}),
                "eval_time": "1h",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
            },
        ],
    }
    file = tmp_path / "case.yml"
    file.write_text(json.dumps({"tests": [case]}))
    status, output, errors = await run(program("promtool"), "test", "rules", str(file))
    assert status == 0, output + errors


async def test_only_a_connected_replicating_server_without_progress_for_half_an_hour_is_stalled(tmp_path: Path) -> None:
    samples = [
        *a_server("stalled"),
        *a_server("sending", grown="0+60x60"),
        *a_server("stopped", grown="0+60x40 2400x20", state="syncing"),
        *a_server("begun", changed=3000),
        *a_server("seen-late", grown="_x50 3000x10"),
        *a_server("complete"),
        {"series": 'huaweicloud_sms_source_server_size_bytes{account="a",server_id="complete"}', "values": "5x60"},
        *a_server("disconnected", connected=0),
        *a_server("waiting", state="waiting"),
    ]
    expected = {'{account="a",server_id="stalled",state="replicate"}': 1}
    await assert_evaluates(tmp_path, stalled(), expected, samples)


async def test_dashboards_use_the_most_recent_data_of_two_exporters(tmp_path: Path) -> None:
    def sample(instance: str, metric: str, values: str, labels: str = "") -> dict[str, str]:
        return {"series": f'huaweicloud_sms_{metric}{{account="b",instance="{instance}"{labels}}}', "values": values}

    samples = [
        sample("behind", "last_success_timestamp_seconds", "0x60"),
        sample("ahead", "last_success_timestamp_seconds", "0+60x60"),
        sample("behind", "source_servers", "500x60", ',state="replicate"'),
        sample("ahead", "source_servers", "0x60", ',state="replicate"'),
        sample("ahead", "source_servers", "500x60", ',state="finished"'),
        sample("behind", "source_server_info", "1x60", ',server_id="1",name="old",ip="10.0.0.1"'),
        sample("ahead", "source_server_info", "1x60", ',server_id="1",name="new",ip="10.0.0.2"'),
        sample("ahead", "task_remaining_seconds", "7x60", ',server_id="1"'),
    ]
    await assert_evaluates(tmp_path, total(fleet("source_servers", "state")), {"{}": 500}, samples)
    expected = {'{account="b",ip="10.0.0.2",name="new",server_id="1"}': 7}
    await assert_evaluates(tmp_path, named(server("task_remaining_seconds")), expected, samples)


async def test_a_server_that_needs_attention_is_listed_with_its_problem_and_duration(tmp_path: Path) -> None:
    check = 'huaweicloud_sms_source_server_check_failed{account="a",server_id="%s",check="RSYNC",result="%s"}'
    samples = [
        *a_server("stalled", changed=600),
        *a_server("disconnected", connected=0, changed=1200),
        *a_server("failed", state="error", changed=3540),
        *a_server("well", grown="0+60x60"),
        *a_server("done", state="finished", connected=0),
        {"series": check % ("failed", "ERROR"), "values": "1x60"},
        {"series": check % ("well", "WARN"), "values": "1x60"},
    ]

    def row(server: str, problem: str) -> str:
        return f'{{account="a",ip="10.0.0.1",name="name of {server}",problem="{problem}",server_id="{server}"}}'

    expected = {
        row("stalled", "stalled in replicate"): 3000,
        row("disconnected", "disconnected in replicate"): 2400,
        row("failed", "in state error"): 60,
        row("failed", "check RSYNC failed"): 60,
    }
    await assert_evaluates(tmp_path, attention(), expected, samples)
