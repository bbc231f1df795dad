"""Scrapes, service discovery and probes over HTTP."""

import asyncio
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.service import Service
from exporter.simulator import Simulator
from support import FakeClock, Scrape, exporting, fetch, next_poll, scrape

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@pytest.fixture
async def service(clock: FakeClock) -> AsyncIterator[Service]:
    async with Simulator(servers=50, clock=clock) as simulator, exporting(simulator, clock) as running:
        yield running


async def test_openmetrics_is_served_on_request(service: Service) -> None:
    status, text, headers = await fetch(f"{service.urls[0]}/metrics", Accept=OPENMETRICS)
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert families["huaweicloud_sms_source_server_state_transitions"].type == "counter"
    assert sum(sample.value for sample in families["huaweicloud_sms_source_servers"].samples) == 50


async def test_the_text_format_is_the_default(service: Service) -> None:
    _, _, headers = await fetch(f"{service.urls[0]}/metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Vary"] == "Accept, Accept-Encoding"


async def test_gzip_is_served_to_clients_that_accept_it(service: Service) -> None:
    url = f"{service.urls[0]}/metrics"
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        async with session.get(url, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            packed = await response.read()
        async with session.get(url, headers={"Accept-Encoding": "identity"}) as response:
            assert "Content-Encoding" not in response.headers
            plain = await response.read()
    # The health part is fresh in each, so only what comes from the snapshot is the same.
    assert _polled(gzip.decompress(packed).decode()) == _polled(plain.decode())


def _polled(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("huaweicloud_sms_source_server")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_reads_gzip(service: Service) -> None:
    command = ["curl", "--silent", "--fail", "--compressed", f"{service.urls[0]}/metrics"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert Scrape(output.decode()).total("source_servers") == 50


async def test_a_head_request_has_no_body(service: Service) -> None:
    async with aiohttp.ClientSession() as session, session.head(f"{service.urls[0]}/metrics") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_the_exporters_own_metrics_are_current_between_polls(service: Service) -> None:
    first, second = [await scrape(service.urls[0]) for _ in range(2)]
    cpu = [seen.value("process_cpu_seconds_total") for seen in (first, second)]
    assert None not in cpu
    assert cpu[0] <= cpu[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("collect[]=fleet", ["source_servers"], ["source_server_info", "task_info"]),
        ("collect[]=tasks&collect[]=checks", ["task_info", "source_server_checks"], ["source_servers"]),
        ("exclude[]=tasks", ["source_servers", "source_server_info"], ["task_info"]),
    ],
)
async def test_a_scrape_can_select_collectors(
    service: Service, query: str, shown: list[str], hidden: list[str]
) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}/metrics?{query}")
    seen = Scrape(text)
    assert status == 200
    assert all(seen.values(name) for name in shown)
    assert not any(seen.values(name) for name in hidden)
    assert seen.value("up") == 1


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name[]=huaweicloud_sms_up", {"up"}),
        (
            "name[]=huaweicloud_sms_task_info&name[]=huaweicloud_sms_exporter_polls&collect[]=tasks",
            {"task_info", "exporter_polls_total"},
        ),
        (
            "name[]=huaweicloud_sms_source_server_state_transitions_total&name[]=huaweicloud_sms_exporter_polls_total",
            {"source_server_state_transitions_total", "exporter_polls_total"},
        ),
        ("name[]=huaweicloud_sms_task_info&collect[]=fleet", set()),
        ("name[]=unknown", set()),
        ("name[]=", set()),
    ],
)
async def test_a_scrape_can_select_metrics_by_name(service: Service, accept: str, query: str, names: set[str]) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}/metrics?{query}", Accept=accept)
    assert status == 200
    assert text.endswith("# EOF\n") == (accept != "text/plain")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert {re.split("[{ ]", line.removeprefix("huaweicloud_sms_"))[0] for line in lines} == names


@pytest.mark.parametrize(
    "query",
    [
        "collect[]=nonsense",
        "exclude[]=nonsense",
        "collect[]=disks",
        "collect[]=fleet&exclude[]=tasks",
        "collect[]=",
    ],
)
async def test_an_invalid_selection_of_collectors_is_a_bad_request(service: Service, query: str) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}/metrics?{query}")
    assert status == 400
    assert "nonsense" not in text


async def test_discovery_lists_the_accounts_as_http_sd_targets(service: Service) -> None:
    status, text, headers = await fetch(f"{service.urls[0]}/sd")
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    address = service.urls[0].removeprefix("http://")
    account, exporter_itself = json.loads(text)
    assert account["targets"] == exporter_itself["targets"] == [address]
    assert account["labels"]["__metrics_path__"] == "/probe"
    assert account["labels"]["__param_account"] == "default"
    assert account["labels"]["instance"] == f"{address}/default"
    assert exporter_itself["labels"] == {"__metrics_path__": "/self", "instance": address}


async def discovered(service: Service, host: bytes) -> tuple[int, str]:
    """Request /sd with these bytes instead of the Host header."""
    name, _, port = service.urls[0].removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(b"GET /sd HTTP/1.0\r\n" + host + b"\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize("host", ["sms-exporter", "sms_exporter.svc:10058", "192.0.2.1:80", "[2001:db8::1]:1"])
async def test_discovery_returns_targets_at_the_requested_host(service: Service, host: str) -> None:
    status, text = await discovered(service, f"Host: {host}\r\n".encode())
    assert status == 200
    assert all(entry["targets"] == [host] for entry in json.loads(text))


@pytest.mark.parametrize(
    "line", [b"", b"Host:\r\n", b"Host: a b\r\n", b"Host: \xff\xfe\r\n", b"Host: a/b\r\n", b"Host: <b>:1\r\n"]
)
async def test_discovery_without_a_valid_host_header_is_a_bad_request(service: Service, line: bytes) -> None:
    status, text = await discovered(service, line)
    assert status == 400
    assert "HOST:PORT" in text
    assert "<b>" not in text


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?account=", 400), ("?account=<b>x</b>", 404)])
async def test_a_probe_without_a_known_account_is_refused_and_echoes_nothing(
    service: Service, query: str, status: int
) -> None:
    given, text, _ = await fetch(f"{service.urls[0]}/probe{query}")
    assert given == status
    assert "<b>" not in text


async def test_the_landing_page_links_to_the_metrics(service: Service) -> None:
    status, text, headers = await fetch(service.urls[0])
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert 'href="/metrics"' in text


@pytest.mark.parametrize("path", ["/nowhere", "/metrics/", "/-/nothing"])
async def test_an_unknown_path_is_404(service: Service, path: str) -> None:
    status, _, _ = await fetch(f"{service.urls[0]}{path}")
    assert status == 404


async def test_the_path_of_the_metrics_can_be_changed(clock: FakeClock) -> None:
    web = {"listen_address": ("127.0.0.1:0",), "telemetry_path": "/sms"}
    async with (
        Simulator(servers=1, clock=clock) as simulator,
        exporting(simulator, clock, web=web) as running,
    ):
        assert (await fetch(f"{running.urls[0]}/sms"))[0] == 200
        assert (await fetch(f"{running.urls[0]}/metrics"))[0] == 404
        assert 'href="/sms"' in (await fetch(running.urls[0]))[1]


async def test_the_exporter_listens_on_all_addresses(clock: FakeClock) -> None:
    web = {"listen_address": ("127.0.0.1:0", "127.0.0.1:0")}
    async with (
        Simulator(servers=1, clock=clock) as simulator,
        exporting(simulator, clock, web=web) as running,
    ):
        assert len(running.urls) == 2
        assert [(await scrape(url)).value("up") for url in running.urls] == [1, 1]


async def test_scrapes_and_pages_never_call_the_api(clock: FakeClock) -> None:
    async with Simulator(servers=450, clock=clock) as simulator, exporting(simulator, clock) as running:
        requests = len(simulator.requests)
        for path in ("/metrics", "/probe?account=default", "/self", "/sd", "/", "/-/ready", "/-/healthy"):
            assert (await fetch(f"{running.urls[0]}{path}"))[0] == 200
        assert len(simulator.requests) == requests
        await next_poll(clock)
        assert len(simulator.requests) == 2 * requests
