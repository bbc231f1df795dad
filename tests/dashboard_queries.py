"""Evaluates the queries of the dashboards in a real Prometheus, as Grafana does."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from dashboards import boards, interpolate, values_of_all
from programs import Prometheus, prometheus_of

RULES: Final = sorted((Path(__file__).parent.parent / "deploy" / "prometheus" / "rules").glob("*.yml"))


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


def values_for(server_id: str) -> dict[str, dict[str, str]]:
    """Return the values of the variables of each dashboard."""
    return {name: {**values_of_all(board), "server": server_id} for name, board in boards().items()}


@contextlib.asynccontextmanager
async def prometheus(folder: Path, *urls: str, rules: Sequence[Path] = RULES) -> AsyncIterator[Prometheus]:
    """Run Prometheus with the rules, and scrape and evaluate every second."""
    targets = [url.removeprefix("http://") for url in urls]
    for file in rules:
        # A group with an interval of its own would be evaluated too late for a short test.
        (folder / file.name).write_text(re.sub(r"(?m)^    interval: .*$", "", file.read_text()))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / file.name) for file in rules],
        "scrape_configs": [{"job_name": "sms", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    async with prometheus_of(folder / "prometheus.yml") as server:
        yield server
