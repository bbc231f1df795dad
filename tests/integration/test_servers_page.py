"""The servers page, its downloads, and the page of one server, without JavaScript."""

import csv
import io
import json
from collections.abc import AsyncIterator

import pytest

from exporter.service import Service
from exporter.simulator import Simulator
from exporter.views.tables import FIELDS
from html_page import page
from support import FakeClock, exporting, fetch, next_poll

NASTY = "a/b?c=d#e%2f<script>'\"&{{7*7}}"


@pytest.fixture
async def service(clock: FakeClock) -> AsyncIterator[Service]:
    async with Simulator(servers=250, clock=clock) as simulator, exporting(simulator, clock) as running:
        yield running


async def download(service: Service, query: str = "") -> list[dict[str, object]]:
    status, text, headers = await fetch(f"{service.urls[0]}/servers.json{query}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    records: list[dict[str, object]] = json.loads(text)
    return records


async def test_the_servers_page_shows_100_servers_per_page(service: Service) -> None:
    first, last = await page(service, "/servers"), await page(service, "/servers?page=3")
    assert "250 servers page 1 of 3" in first.text
    assert "1 to 100 of 250" in first.text
    assert "201 to 250 of 250" in last.text
    links = {str(link["href"]) for link in first.all("a")}
    assert "?page=2" in links
    # The number of servers may have changed since the link was made.
    assert "201 to 250 of 250" in (await page(service, "/servers?page=9")).text


async def test_the_form_keeps_the_query_and_links_keep_it_too(service: Service) -> None:
    found = await page(service, "/servers?search=web&state=replicate&sort=-name")
    assert [entry["value"] for entry in found.all("input")] == ["web", "-name"]
    selected = [option["value"] for option in found.all("option") if "selected" in option]
    assert selected == ["replicate"]
    links = {str(link["href"]) for link in found.all("a")}
    assert {"?search=web&state=replicate&sort=name", "/servers.csv?search=web&state=replicate&sort=-name"} <= links
    assert [heading["aria-sort"] for heading in found.all("th") if "aria-sort" in heading] == ["descending"]


async def test_a_filter_with_several_values_keeps_them_in_the_form(service: Service) -> None:
    found = await page(service, "/servers?state=replicate&state=syncing")
    assert [select["id"] for select in found.all("select") if "multiple" in select] == ["filter-state"]
    assert [option["value"] for option in found.all("option") if "selected" in option] == ["replicate", "syncing"]


async def test_the_page_and_its_downloads_select_the_same_servers(service: Service) -> None:
    everything = await download(service)
    assert len(everything) == 250
    wanted = [record["id"] for record in everything if record["state"] == "replicate"]
    records = await download(service, "?state=replicate")
    assert sorted(map(str, wanted)) == sorted(str(record["id"]) for record in records)
    _, text, headers = await fetch(f"{service.urls[0]}/servers.csv?state=replicate")
    assert headers["Content-Disposition"] == 'attachment; filename="servers.csv"'
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(FIELDS)
    assert [row["id"] for row in rows] == [record["id"] for record in records]
    shown = await page(service, "/servers?state=replicate")
    assert f"{len(wanted)} servers" in shown.text
    assert [str(record["name"]) in shown.text for record in records] == [True] * len(records)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sort=<b>", "sort: must be one of urgency, account, name, "),
        (f"search={'x' * 256}", "search: must not be longer than 255 characters.\n"),
        ("state=<b>", "state: must be one of unavailable, waiting, "),
        ("state=error,finished", "state: must be one of unavailable, waiting, "),
        ("state=error&state=bogus", "state: must be one of unavailable, waiting, "),
        ("stage=bogus", "stage: must be one of checking, "),
        ("os=linux", "os: must be one of WINDOWS, LINUX; "),
        ("problem=bogus", "problem: must be one of any, failed, disconnected, stalled, checks; "),
        ("refresh=", "unknown parameter: this page has search, sort, account, state, stage, os, problem, project, "),
        ("<b>=1", "unknown parameter: this page has search, sort, account, state, stage, os, problem, project, "),
    ],
)
@pytest.mark.parametrize("path", ["/servers", "/servers.csv", "/servers.json"])
async def test_an_invalid_query_is_refused_and_echoes_nothing(
    service: Service, path: str, query: str, text: str
) -> None:
    status, answer, _ = await fetch(f"{service.urls[0]}{path}?{query}")
    assert status == 400
    assert answer.startswith(text)
    assert "<b>" not in answer


@pytest.mark.parametrize("number", ["0", "<b>"])
async def test_an_invalid_number_of_the_page_is_refused(service: Service, number: str) -> None:
    status, answer, _ = await fetch(f"{service.urls[0]}/servers?page={number}")
    assert (status, answer) == (400, "page: must be a number from 1 to 1000000.\n")


@pytest.mark.parametrize("path", ["/servers", "/servers.csv", "/servers.json"])
async def test_an_account_that_does_not_exist_is_404(service: Service, path: str) -> None:
    assert (await fetch(f"{service.urls[0]}{path}?account=default"))[0] == 200
    assert (await fetch(f"{service.urls[0]}{path}?account=default&account=nope"))[0] == 404


@pytest.mark.parametrize("path", ["/", "/migrations", "/migrations.csv", "/polls", "/config"])
async def test_a_page_refuses_a_parameter_that_it_does_not_have(service: Service, path: str) -> None:
    assert (await fetch(f"{service.urls[0]}{path}?lang=en"))[0] == 200
    status, text, _ = await fetch(f"{service.urls[0]}{path}?accounts=default")
    assert status == 400
    assert text.startswith("unknown parameter: this page has ")


async def test_a_state_that_is_not_documented_selects_servers_while_one_has_it(clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        simulator.fleet.add({"id": "s1", "state": "teleporting"})
        async with exporting(simulator, clock) as running:
            assert len(await download(running, "?state=teleporting")) == 1


async def test_no_match_is_said_and_differs_from_no_data(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        async with exporting(simulator, clock) as running:
            assert "0 servers" in (await page(running, "/servers?search=nothing")).text
            assert "No server matches." in (await page(running, "/servers?search=nothing")).text
        simulator.faults.add("hang")
        async with exporting(simulator, clock, polled=False) as running:
            assert "No data yet." in (await page(running, "/servers")).text


async def test_the_page_of_a_server_shows_everything_that_is_known(clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        simulator.fleet.add(
            {
                "id": "s1",
                "name": "web-1",
                "ip": "10.0.0.1",
                "state": "replicate",
                "connected": True,
                "totalsize": 4096,
                "replicatesize": 1024,
                "checks": [{"id": 1, "name": "CPU", "result": "ERROR", "error_code": "SMS.1105"}],
                "current_task": {
                    "name": "task-1",
                    "state": "RUNNING",
                    "migrate_speed": 8.0,
                    "remain_seconds": 90,
                    "subtask_info": "MIGRATE_LINUX_FILE-42",
                    "target_server": {"name": "target-1"},
                },
                "init_target_server": {
                    "disks": [
                        {"name": "sda", "size": 2048, "physical_volumes": [{"name": "sda1", "mount_point": "/"}]}
                    ],
                },
            }
        )
        async with exporting(simulator, clock) as running:
            simulator.fleet.override("s1", replicatesize=2048, state="syncing")
            await next_poll(clock)
            found = await page(running, "/servers/default/s1")
    for text in (
        "web-1",
        "50.0 %",
        "2.00 KiB of 4.00 KiB",
        "1 min 30 s left",
        "failed checks: CPU",
        "CPU ERROR SMS.1105",
        "Subtask MIGRATE_LINUX_FILE, 42%",
        "target-1",
        "sda1",
        "Replicated: 1.00 KiB to 2.00 KiB, at most 2.00 KiB",
        "From To 2027-01-15 08:01:00 UTC replicate syncing",
        'huaweicloud_sms_source_server_state{account="default",server_id="s1"}',
    ):
        assert text in found.text, text
    assert len(found.all("polyline")) == 2


async def test_names_and_ids_that_need_escaping_have_a_page(clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        simulator.fleet.add({"id": NASTY, "name": NASTY, "state": "error"})
        async with exporting(simulator, clock, account={"name": NASTY}) as running:
            listed = await page(running, "/servers")
            (link,) = {str(link["href"]) for link in listed.all("a") if str(link["href"]).startswith("/servers/")}
            found = await page(running, link)
    assert found.text.count(NASTY) >= 2
    assert found.all("script") == [{}]


async def test_a_server_links_to_its_dashboard_in_grafana(clock: FakeClock) -> None:
    web = {"listen_address": ("127.0.0.1:0",), "grafana_url": "https://grafana.example.org/"}
    async with Simulator(servers=0, clock=clock) as simulator:
        simulator.fleet.add({"id": "a&b", "state": "error"})
        async with exporting(simulator, clock, web=web) as running:
            found = await page(running, "/servers/default/a&b")
            icon = await fetch(f"{running.urls[0]}/favicon.ico")
    links = [str(link["href"]) for link in found.all("a")]
    assert "https://grafana.example.org/d/huaweicloud-sms-server?var-account=default&var-server=a%26b" in links
    assert (icon[0], icon[2]["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")


@pytest.mark.parametrize("path", ["/servers/default/nobody", "/servers/nobody/x", "/servers/<b>/<b>"])
async def test_an_unknown_server_is_404_and_echoes_nothing(service: Service, path: str) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}{path}")
    assert status == 404
    assert text == "No such server, or no recent data; /servers lists the servers.\n"


async def test_the_status_of_one_account_shows_only_its_servers(clock: FakeClock) -> None:
    async with Simulator(servers=7, clock=clock) as north, Simulator(servers=5, seed=9, clock=clock) as east:
        accounts = [
            {"name": name, "api": {"endpoint": of.url}, "auth": {"token": of.token}}
            for name, of in (("north", north), ("east", east))
        ]
        async with exporting(north, clock, accounts=accounts) as running:
            assert "Source servers 12 " in (await page(running, "/")).text
            found = await page(running, "/?account=east")
            assert "Migration status of east" in found.text
            assert "Source servers 5 " in found.text
            assert (await fetch(f"{running.urls[0]}/?account=west"))[0] == 404


async def test_a_paused_account_shows_until_when_and_why(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("unauthorized")
        async with exporting(simulator, clock) as running:
            found = await page(running, "/")
    assert "paused until 2027-01-15 08:05:00 UTC" in found.text
    assert "failing: auth" in found.text


async def test_an_account_whose_data_is_stale_shows_since_when(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        async with exporting(simulator, clock, poll={"interval": "60s", "stale_after": "2m"}) as running:
            simulator.faults.add("forbidden")
            for _ in range(3):
                await next_poll(clock)
            found = await page(running, "/")
    assert "no recent data since 2027-01-15 08:00:00 UTC" in found.text
    assert "Source servers \u2013 no recent data" in found.text
