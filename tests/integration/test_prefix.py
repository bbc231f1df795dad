"""The exporter below a path prefix, and behind a reverse proxy."""

import json
from pathlib import Path

import pytest
from yarl import URL

from exporter.simulator import Simulator
from html_page import page
from programs import free_port, program, started, until
from support import FakeClock, exporting, fetch, scrape

LISTEN = {"listen_address": ("127.0.0.1:0",)}


async def test_every_path_is_below_the_route_prefix(clock: FakeClock) -> None:
    web = LISTEN | {"route_prefix": "/sms/", "telemetry_path": "/m"}
    async with Simulator(servers=3, clock=clock) as simulator, exporting(simulator, clock, web=web) as service:
        url = service.urls[0]
        for path in ("/", "/servers", "/servers.json", "/polls", "/config", "/m", "/self", "/sd", "/-/ready"):
            assert (await fetch(f"{url}/sms{path}"))[0] == 200, path
            if path != "/":
                assert (await fetch(f"{url}{path}"))[0] == 404, path
        for path in ("/", "/sms"):
            assert (await fetch(f"{url}{path}"))[0] == 200
        found = await page(service, "/sms/")
        links = {str(link["href"]) for link in found.all("a") if "hreflang" not in link}
        for link in links - {"#content", "#running", "#attention"}:
            assert link.startswith("/sms/"), link
            assert (await fetch(f"{url}{link}"))[0] == 200, link
        _, text, _ = await fetch(f"{url}/sms/sd")
    assert [entry["labels"]["__metrics_path__"] for entry in json.loads(text)] == ["/sms/probe", "/sms/self"]


@pytest.mark.parametrize(
    ("external", "host", "labels"),
    [
        ("https://sms.example.org/a/b", "sms.example.org", {"__scheme__": "https", "__metrics_path__": "/a/b/self"}),
        ("http://sms.example.org:8080", "sms.example.org:8080", {"__metrics_path__": "/self"}),
    ],
)
async def test_discovery_returns_the_external_url(
    clock: FakeClock, external: str, host: str, labels: dict[str, str]
) -> None:
    web = LISTEN | {"external_url": external}
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock, web=web) as service:
        _, text, _ = await fetch(f"{service.urls[0]}{URL(external).path.rstrip('/')}/sd")
    account, exporter = json.loads(text)
    assert account["targets"] == exporter["targets"] == [host]
    assert exporter["labels"] == labels | {"instance": host}


async def test_a_proxy_that_removes_its_prefix_needs_the_route_prefix_of_the_root(clock: FakeClock) -> None:
    web = LISTEN | {"external_url": "https://example.org/sms/", "route_prefix": "/"}
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock, web=web) as service:
        found = await page(service, "/servers")
        assert (await fetch(f"{service.urls[0]}/metrics"))[0] == 200
    assert {"/sms/", "/sms/polls"} <= {str(link["href"]) for link in found.all("a")}


async def test_pages_discovery_and_scrapes_work_behind_nginx(clock: FakeClock, tmp_path: Path) -> None:
    nginx, port = program("nginx"), free_port()
    web = LISTEN | {"external_url": f"http://127.0.0.1:{port}/sms"}
    async with Simulator(servers=3, clock=clock) as simulator, exporting(simulator, clock, web=web) as service:
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; daemon off; worker_processes 1;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/body; "
            f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; "
            f"scgi_temp_path {tmp_path}/s;\n"
            f"server {{ listen 127.0.0.1:{port}; location /sms/ {{ proxy_pass {service.urls[0]}; }} }} }}\n"
        )
        outside = f"http://127.0.0.1:{port}"
        async with started(nginx, "-c", str(config), "-p", str(tmp_path)):

            async def answers() -> bool:
                return (await fetch(f"{outside}/sms/-/healthy"))[0] == 200

            await until(answers)
            for path in ("/", "/servers?search=a", "/polls", "/config", "/servers.csv"):
                assert (await fetch(f"{outside}/sms{path}"))[0] == 200, path
            _, text, _ = await fetch(f"{outside}/sms/sd")
            exporter = json.loads(text)[1]
            address = exporter["targets"][0] + exporter["labels"]["__metrics_path__"]
            assert (await fetch(f"http://{address}"))[0] == 200
            assert (await scrape(f"{outside}/sms")).total("source_servers") == 3
