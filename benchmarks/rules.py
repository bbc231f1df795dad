"""`make bench-rules`: measures what rules and dashboards cost Prometheus, and writes tables of docs/scaling.md.

An exporter with simulated servers is scraped by a real Prometheus, first without and then with the rules; once with
the default collectors, and once with all. CPU is that of the Prometheus process, so that other programs on the machine
do not count. Before that, Prometheus scrapes the recorded bytes of the last 40 minutes, because rules read ranges of
them.
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.accounts import PAGE
from benchmarks.figures import describe_run, replace_tables
from benchmarks.programs import START_TIMEOUT_SECONDS, Program, free_port, started, wait_until_ready

ROOT: Final = Path(__file__).parent.parent
RULES: Final = ROOT / "deploy" / "prometheus" / "rules"
DASHBOARDS: Final = ROOT / "grafana" / "dashboards"
SERVERS: Final = 10_000
INTERVAL_SECONDS: Final = 15
"""Between scrapes, and between evaluations."""
EVALUATIONS: Final = 6
HISTORY_SECONDS: Final = 2400
"""Less than an hour, the age of the oldest samples that Prometheus accepts from a scrape."""
HISTORY_STEP_SECONDS: Final = 30
RANGE_SECONDS: Final = 3600
MIN_SHOWN_SECONDS: Final = 0.1
RUNS: Final = 3
"""How often each query runs; the fastest run counts."""
DEFAULT_COLLECTORS: Final = tuple(
    f"--no-collector.{name}" for name in ("disks", "errors", "task-details", "consistency", "projects")
)
"""The options of the demo that turn off what an exporter does not read by default."""
RECORDED: Final = "server:huaweicloud_sms_replicated_bytes:freshest"
REPLICATED: Final = re.compile(r'source_server_replicated_bytes\{account="demo",server_id="([^"]+)"\} (\S+)')
RECORDED_STATE: Final = re.compile(
    r'source_server_state\{account="demo",server_id="([^"]+)",state="(?:replicate|syncing|stopped)"\} 1'
)
"""The servers whose bytes are recorded."""

_VARIABLE: Final = re.compile(r"\$(?:\{([a-z_]\w*)[^}]*\}|([a-z_]\w*))")
_BUILT_IN: Final = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s"}


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard and its queries, instant or not."""

    dashboard: str
    title: str
    queries: Sequence[tuple[str, bool]]


def load_panels(folder: Path, server_id: str) -> Iterator[Panel]:
    """Return all panels, with variables replaced by their values for everything, and one server selected."""
    for file in sorted(folder.glob("*.json")):
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        values = {**_BUILT_IN, "server": server_id}
        for variable in dashboard["templating"]["list"]:
            value = variable.get("allValue") or variable.get("current", {}).get("value")
            if isinstance(value, str):
                values[variable["name"]] = value
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                queries = [(_interpolate(each["expr"], values), each["instant"]) for each in panel["targets"]]
                yield Panel(file.stem, panel["title"], queries)


def _interpolate(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def render_history(exposition: str) -> str:
    """Return the recorded bytes of each server until now."""
    now = int(time.time())
    replicated = {found[1]: float(found[2]) for found in REPLICATED.finditer(exposition)}
    lines = [f"# TYPE {RECORDED} gauge\n"]
    for found in RECORDED_STATE.finditer(exposition):
        server_id = found[1]
        lines += [
            f'{RECORDED}{{account="demo",server_id="{server_id}"}} {replicated[server_id] - 1000 * (now - moment)} '
            f"{moment * 1000}\n"
            for moment in range(now - HISTORY_SECONDS, now - HISTORY_STEP_SECONDS, HISTORY_STEP_SECONDS)
            if server_id in replicated
        ]
    return "".join(lines)


@contextlib.asynccontextmanager
async def serving(text: str) -> AsyncIterator[str]:
    """Serve a text at every path."""

    async def respond(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def exporting(servers: int, options: Sequence[str]) -> AsyncIterator[str]:
    """Run the exporter with simulated servers."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        *(sys.executable, "-m", "exporter", "demo"),
        f"--servers={servers}",
        f"--web.listen-address={address}",
        "--log.level=error",
        "--poll.interval=60s",
        *options,
    )
    async with started(*command):
        await wait_until_ready(f"http://{address}/-/ready")
        yield address


@contextlib.asynccontextmanager
async def prometheus(folder: Path) -> AsyncIterator[Program]:
    """Run Prometheus without jobs and rules."""
    file = folder / "prometheus.yml"
    file.write_text("{}", encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    command = (
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-lifecycle",
        "--log.level=error",
    )
    async with started(*command) as process:
        await wait_until_ready(f"{url}/-/ready")
        yield Program(url, process.pid)


def write_config(folder: Path, job: Mapping[str, Any], rules: Sequence[Path] = ()) -> None:
    """Write a configuration of Prometheus with one job."""
    every = f"{INTERVAL_SECONDS}s"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")


async def reload_config(session: aiohttp.ClientSession, program: Program) -> None:
    """Let Prometheus read its configuration."""
    async with session.post(f"{program.url}/-/reload") as response:
        response.raise_for_status()


async def load_history(session: aiohttp.ClientSession, program: Program, folder: Path, history: str) -> None:
    """Let Prometheus scrape the history once."""
    url = f"{program.url}/api/v1/query"
    without_target = [{"regex": "job|instance", "action": "labeldrop"}]
    async with serving(history) as target:
        targets = [{"targets": [target]}]
        job = {"job_name": "history", "static_configs": targets, "metric_relabel_configs": without_target}
        write_config(folder, job)
        await reload_config(session, program)
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while True:
                if (await get_json(session, url, query=f"count({RECORDED} offset 5m)"))["result"]:
                    return
                # There is no event to wait for in another process.
                await asyncio.sleep(1)


async def get_json(session: aiohttp.ClientSession, url: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
    """Return the data of an answer of Prometheus."""
    async with session.post(url, data=parameters) if parameters else session.get(url) as response:
        content = await response.json()
        if content["status"] != "success":
            raise RuntimeError(content)
        return content["data"]


async def measure_panel(session: aiohttp.ClientSession, program: Program, panel: Panel) -> tuple[float, float, int]:
    """Return the CPU and wall seconds of all queries of a panel, and the length of the longest."""
    cpu = wall = 0.0
    for query, instant in panel.queries:
        runs = []
        for _ in range(RUNS):
            now = time.time()
            before, begun = program.cpu_seconds(), time.perf_counter()
            if instant:
                await get_json(session, f"{program.url}/api/v1/query", query=query, time=str(now))
            else:
                span = {"start": str(now - RANGE_SECONDS), "end": str(now), "step": str(4 * INTERVAL_SECONDS)}
                await get_json(session, f"{program.url}/api/v1/query_range", query=query, **span)
            runs.append((time.perf_counter() - begun, program.cpu_seconds() - before))
        wall += min(run[0] for run in runs)
        cpu += min(run[1] for run in runs)
    return cpu, wall, max(len(query) for query, _ in panel.queries)


@dataclass(frozen=True)
class Monitoring:
    """A Prometheus that knows the history of simulated servers, and its job for their exporter."""

    session: aiohttp.ClientSession
    program: Program
    folder: Path
    job: Mapping[str, Any]
    server_ids: Sequence[str]


@dataclass(frozen=True)
class RulesCost:
    """What the rules cost with a choice of collectors."""

    samples: int
    """Samples of a scrape."""
    cpu: float
    """CPU seconds of one evaluation of all rules."""
    average: float
    """CPU seconds per interval with the intervals of the groups."""
    evaluations: Sequence[Mapping[str, float]]
    """Seconds of each group, of several evaluations."""


async def measure(rules: Path, dashboards: Path) -> Mapping[str, Sequence[str]]:
    """Return the rows of each table, by its name."""
    async with monitoring(DEFAULT_COLLECTORS) as running:
        by_default = await measure_rules(running, rules)
    async with monitoring(()) as running:
        with_all = await measure_rules(running, rules)
        panels = [
            (panel, *await measure_panel(running.session, running.program, panel))
            for panel in load_panels(dashboards, running.server_ids[0])
        ]
        version = (await get_json(running.session, f"{running.program.url}/api/v1/status/buildinfo"))["version"]
    when = describe_run(f"Prometheus {version}")
    rows = (
        *_rule_rows("default collectors", by_default),
        *_rule_rows("all collectors", with_all),
        *_panel_rows(panels),
    )
    return {"rules": rows, "rules-when": [when]}


@contextlib.asynccontextmanager
async def monitoring(options: Sequence[str]) -> AsyncIterator[Monitoring]:
    """Run the exporter and Prometheus."""
    async with exporting(SERVERS, options) as exporter, aiohttp.ClientSession() as session:
        async with session.get(f"http://{exporter}/metrics") as response:
            exposition = await response.text()
        servers = [found[1] for found in REPLICATED.finditer(exposition)]
        job = {"job_name": "sms", "static_configs": [{"targets": [exporter]}]}
        with tempfile.TemporaryDirectory() as name:
            async with prometheus(Path(name)) as program:
                await load_history(session, program, Path(name), render_history(exposition))
                yield Monitoring(session, program, Path(name), job, servers)


async def measure_rules(running: Monitoring, rules: Path) -> RulesCost:
    """Return the cost of all rules, which are in use afterwards."""
    session, program, folder, job = running.session, running.program, running.folder, running.job
    write_config(folder, job)
    await reload_config(session, program)
    await asyncio.sleep(2 * INTERVAL_SECONDS)
    baseline = await measure_cpu_per_interval(program)
    write_config(folder, job, copy_rules(rules, folder, own_intervals=False))
    await reload_config(session, program)
    await asyncio.sleep(3 * INTERVAL_SECONDS)
    cpu = await measure_cpu_per_interval(program) - baseline
    evaluations = [await get_evaluation(session, program) for _ in range(EVALUATIONS)]
    write_config(folder, job, copy_rules(rules, folder, own_intervals=True))
    await reload_config(session, program)
    await asyncio.sleep(4 * INTERVAL_SECONDS)
    average = await measure_cpu_per_interval(program, 2 * EVALUATIONS) - baseline
    (scraped,) = (await get_json(session, f"{program.url}/api/v1/query", query="sum(scrape_samples_scraped)"))["result"]
    return RulesCost(int(scraped["value"][1]), cpu, average, evaluations)


def copy_rules(rules: Path, folder: Path, *, own_intervals: bool) -> Sequence[Path]:
    """Copy the rules, with a deadline in an hour. Without their own intervals, all groups are evaluated each time."""
    deadline = {
        "record": "sms:migration_deadline_timestamp_seconds",
        "expr": f"vector({time.time() + 3600:.0f})",
        "labels": {"account": "demo"},
    }
    file = folder / "deadline.yml"
    file.write_text(json.dumps({"groups": [{"name": "benchmark", "rules": [deadline]}]}), encoding="utf-8")
    copies = [Path(shutil.copy(source, folder)) for source in sorted(rules.glob("*.yml"))]
    if not own_intervals:
        for copy in copies:
            copy.write_text(copy.read_text(encoding="utf-8").replace("    interval: 1m\n", ""), encoding="utf-8")
    return [file, *copies]


async def get_evaluation(session: aiohttp.ClientSession, program: Program) -> Mapping[str, float]:
    """Wait for an evaluation, and return the seconds of each group of rules, which run at the same time."""
    await asyncio.sleep(INTERVAL_SECONDS)
    found = await get_json(session, f"{program.url}/api/v1/rules")
    return {group["name"]: group["evaluationTime"] for group in found["groups"]}


def _rule_rows(collectors: str, cost: RulesCost) -> Iterator[str]:
    longest = statistics.median(max(evaluation.values()) for evaluation in cost.evaluations)
    yield f"| {collectors}, {cost.samples:,} series: all rules, one evaluation | {cost.cpu:.2f} s | {longest:.2f} s |"
    yield f"| average per {INTERVAL_SECONDS} s, with the intervals of the groups | {cost.average:.2f} s | |"
    for group in cost.evaluations[0]:
        seconds = statistics.median(evaluation[group] for evaluation in cost.evaluations)
        if seconds >= MIN_SHOWN_SECONDS:
            yield f"| rules of the group `{group}` | | {seconds:.2f} s |"


def _panel_rows(costs: Sequence[tuple[Panel, float, float, int]]) -> Iterator[str]:
    for dashboard in dict.fromkeys(panel.dashboard for panel, *_ in costs):
        of_dashboard = [cost for cost in costs if cost[0].dashboard == dashboard]
        panel, cpu, wall, _ = max(of_dashboard, key=lambda cost: cost[1])
        yield f"| {dashboard}.json, slowest panel: {panel.title} | {cpu:.2f} s | {wall:.2f} s |"
        yield f"| {dashboard}.json, median panel | {statistics.median(cost[1] for cost in of_dashboard):.2f} s | |"
    longest = max(costs, key=lambda cost: cost[3])
    yield f"| longest query: {longest[3]:,} characters ({longest[0].title}) | | |"


async def measure_cpu_per_interval(program: Program, intervals: int = EVALUATIONS) -> float:
    """Return the CPU seconds per scrape and evaluation."""
    before = program.cpu_seconds()
    await asyncio.sleep(intervals * INTERVAL_SECONDS)
    return (program.cpu_seconds() - before) / intervals


def main() -> None:
    """Measure; write the tables, or print them if other rules are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=Path, default=RULES)
    parser.add_argument("--dashboards", type=Path, default=DASHBOARDS)
    arguments = parser.parse_args()
    tables = asyncio.run(measure(arguments.rules, arguments.dashboards))
    if arguments.rules == RULES:
        PAGE.write_text(replace_tables(PAGE.read_text(encoding="utf-8"), tables, "make bench-rules"), encoding="utf-8")
    sys.stdout.write("".join(f"{row}\n" for rows in tables.values() for row in rows))


if __name__ == "__main__":
    main()
