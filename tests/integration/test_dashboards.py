"""The dashboards' queries, evaluated by a real Prometheus that scrapes the demo."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dashboard_queries import RULES, choices, prometheus, series, values_for
from dashboards import boards, interpolate, queries, variables
from grafana.promql import attention
from programs import Prometheus, demo, program, run, until
from promtool import Exporter, group
from rule_cases import PROBLEMS

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
    " and on (server_id) (server:huaweicloud_sms_remaining_seconds:measured < Inf)"
    " and on (account) (count_over_time(huaweicloud_sms_up[1m]) > 8)"
)
# A server in continuous synchronization with the result of a consistency verification, and one that failed.
SYNCHRONIZED = (
    "server:huaweicloud_sms_sync_lag_seconds:freshest"
    " and on (server_id) (huaweicloud_sms_task_consistency_files{result=~'missing|different'}"
    " and on (account, job, instance) exporter:huaweicloud_sms_last_success_timestamp_seconds:freshest)"
)
FAILED = 'server:huaweicloud_sms_state:freshest{state="error"} and on (server_id) server:huaweicloud_sms_error:freshest'
DEMO = ("--poll.interval=4s",)

Place = tuple[str, str, str]


async def run_all(server: Prometheus, moment: float, values: Mapping[str, Mapping[str, str]]) -> dict[Place, int]:
    """Return the number of series of each query, by dashboard, panel and letter."""
    return {
        (query.board, query.panel, query.letter): len(
            await series(server, interpolate(query.expression, values[query.board]), moment, instant=query.instant),
        )
        for query in queries()
    }


async def test_every_query_and_variable_of_every_dashboard_returns_data_on_the_demo(tmp_path: Path) -> None:
    program("prometheus")
    async with demo(*DEMO) as url, prometheus(tmp_path, url) as server:
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
        for expression in (SYNCHRONIZED, FAILED):
            (other, *_) = await until(lambda query=expression: server.query(query))  # type: ignore[misc]
            of_other = await run_all(server, other["value"][0], values_for(other["metric"]["server_id"]))
            found = {where: max(count, of_other[where]) for where, count in found.items()}
        empty = {where for where, count in found.items() if not count and where[1] != "Firing alerts"}
        assert empty <= MAY_BE_EMPTY.keys() <= found.keys()
        panels = {(board, panel) for board, panel, _ in found}
        filled = {(board, panel) for (board, panel, _), count in found.items() if count}
        assert panels - filled <= {(board, "Firing alerts") for board in boards()}


async def test_servers_polled_by_two_exporters_count_once_and_joins_still_work(tmp_path: Path) -> None:
    program("prometheus")
    async with demo(*DEMO) as one, demo(*DEMO) as other, prometheus(tmp_path, one, other) as server:
        seen_twice = f"{WITH_EVERYTHING} and on (account) (count by (account) (huaweicloud_sms_up) == 2)"
        chosen = (await until(lambda: server.query(seen_twice)))[0]
        moment, server_id = chosen["value"][0], chosen["metric"]["server_id"]
        values = values_for(server_id)
        assert sum((await run_all(server, moment, values)).values()) > 0
        (fleet,) = (query for query in queries() if query.panel == "Source servers")
        (total,) = await series(server, interpolate(fleet.expression, values[fleet.board]), moment, instant=True)
        assert 250 <= float(total["value"][1]) < 300


async def test_a_server_that_needs_attention_is_listed_with_each_problem_and_its_duration(tmp_path: Path) -> None:
    servers = [(name, replace(server, name=f"name of {name}")) for name, server in PROBLEMS.items()]
    listed = {
        "SmsServerFailed": "in state error",
        "SmsServerDisconnected": "disconnected in replicate",
        "SmsServerStalled": "stalled in replicate",
        "SmsCheckFailed": "check RSYNC failed",
    }
    samples = [
        {
            "labels": f'{{account="a", server_id="{name}", name="name of {name}", problem="{problem}"}}',
            "value": 10800,
        }
        for name, problem in listed.items()
    ]
    case = group("attention", [Exporter(servers)], {60: set()})
    query = interpolate(attention(), {"account": ".*"})
    case["promql_expr_test"] = [{"expr": query, "eval_time": "60m", "exp_samples": samples}]
    tests = {"rule_files": [str(file) for file in RULES], "evaluation_interval": "1m", "tests": [case]}
    file = tmp_path / "case.yml"
    file.write_text(json.dumps(tests))
    status, output, errors = await run(program("promtool"), "test", "rules", str(file))
    assert status == 0, output + errors
