"""The pages as a client without JavaScript receives them."""

import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from exporter.service import Service
from exporter.settings.options import Trace
from exporter.simulator import Simulator
from html_page import page
from support import FakeClock, exporting, fetch, next_poll

NO_VALUE = "\u2013"
PAGES = ("/", "/servers", "/migrations", "/config", "/polls")
NASTY = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\"&{{7*7}}"


@pytest.fixture
async def service(clock: FakeClock) -> AsyncIterator[Service]:
    async with Simulator(servers=250, clock=clock) as simulator, exporting(simulator, clock) as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
async def test_the_policy_of_a_page_allows_only_its_own_style_and_script(service: Service, path: str) -> None:
    _, text, headers = await fetch(f"{service.urls[0]}{path}")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    for source in ("style-src", "script-src"):
        assert re.fullmatch("'sha256-[A-Za-z0-9+/=]{44}'", policy[source])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert " style=" not in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing(service: Service, path: str) -> None:
    found = await page(service, path)
    assert found.all("script") == [{}]
    assert found.all("img") == []
    assert [str(link["href"]).split(":")[0] for link in found.all("link")] == ["data"]
    assert all(str(link["href"]).startswith(("/", "#", "?")) for link in found.all("a"))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_has_one_main_heading_and_labelled_sections(service: Service, path: str) -> None:
    found = await page(service, path)
    ids = {attrs["id"] for _, attrs in found.elements if "id" in attrs}
    assert len(found.all("h1")) == len(found.all("main")) == 1
    labels = [nav["aria-label"] for nav in found.all("nav")]
    assert len(set(labels)) == len(labels)
    assert all(section["aria-labelledby"] in ids for section in found.all("section"))
    assert all(bar["aria-label"] for bar in found.all("progress"))
    assert all(picture["aria-hidden"] == "true" for picture in found.all("svg"))


async def test_every_link_of_a_page_works(service: Service) -> None:
    for path in PAGES:
        found = await page(service, path)
        ids = {attrs["id"] for _, attrs in found.elements if "id" in attrs}
        for link in {str(link["href"]) for link in found.all("a")}:
            if link.startswith("#"):
                assert link[1:] in ids
            else:
                address = URL(f"{service.urls[0]}{path}").join(URL(link))
                assert (await fetch(str(address)))[0] == 200, link


@pytest.mark.parametrize(("interval", "seconds"), [("1s", "5"), ("15s", "15"), ("10m", "60")])
async def test_the_status_page_refreshes_once_per_poll_interval_within_limits(
    clock: FakeClock, interval: str, seconds: str
) -> None:
    async with (
        Simulator(servers=1, clock=clock) as simulator,
        exporting(simulator, clock, poll={"interval": interval}) as running,
    ):
        found = await page(running, "/")
    assert [meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "refresh"] == [seconds]


@pytest.mark.parametrize(("asked", "content"), [("off", []), ("1", ["1"]), ("3600", ["3600"])])
async def test_the_refresh_can_be_paused_or_chosen(service: Service, asked: str, content: list[str]) -> None:
    found = await page(service, f"/?refresh={asked}")
    assert [meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "refresh"] == content


@pytest.mark.parametrize("asked", ["0", "3601", "-1", "1;url=http://evil.example", "<b>", "", "１"])  # noqa: RUF001 - a digit elsewhere
async def test_an_invalid_refresh_is_refused_and_echoes_nothing(service: Service, asked: str) -> None:
    status, text, headers = await fetch(f"{service.urls[0]}/?refresh={asked}")
    assert (status, text) == (400, "refresh: must be off or a number of seconds from 1 to 3600.\n")
    assert headers["Content-Type"].startswith("text/plain")


async def test_the_polls_of_an_unknown_account_are_404_and_echo_nothing(service: Service) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}/polls?account=<script>")
    assert status == 404
    assert "<script>" not in text


async def test_names_that_contain_html_are_shown_as_text(clock: FakeClock, tmp_path: Path) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        for number, state in enumerate(("error", "replicate")):
            simulator.fleet.add(
                {
                    "id": f"{NASTY}{number}",
                    "name": NASTY,
                    "ip": NASTY,
                    "state": state,
                    "connected": False,
                    "totalsize": 10,
                    "replicatesize": 5,
                    "checks": [{"id": 1, "name": NASTY, "result": "ERROR"}],
                    "current_task": {"migrate_speed": 1.0, "clone_server": {"clone_error": NASTY}},
                }
            )
        async with exporting(simulator, clock, account={"name": NASTY}, state={"path": tmp_path}) as running:
            for path in PAGES:
                found = await page(running, path)
                assert (found.all("script"), found.all("img")) == ([{}], [])
                assert len(found.all("style")) == len(found.all("title")) == 1
                assert NASTY in found.text


async def test_an_html_error_of_a_gateway_is_shown_as_text(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("html")
        async with exporting(simulator, clock) as running:
            found = await page(running, "/")
    assert "failing: bad_response" in found.text
    assert "Hint: check api.endpoint and api.region" in found.text


async def test_a_failed_poll_is_among_the_recent_polls(clock: FakeClock) -> None:
    async with Simulator(servers=450, clock=clock) as simulator, exporting(simulator, clock) as running:
        simulator.faults.add("forbidden")
        await next_poll(clock)
        found = await page(running, "/polls")
    assert "permission 0 ms 1 0" in found.text
    assert "error_code SMS.9004" in found.text
    assert "complete 0 ms 3 450" in found.text
    assert "400 200 0 ms 50 ok" in found.text


async def test_the_pages_say_when_the_first_poll_has_not_finished(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("hang")
        async with exporting(simulator, clock, polled=False) as running:
            assert "first poll running" in (await page(running, "/")).text
            assert "The first poll has not finished." in (await page(running, "/polls")).text


async def test_the_configuration_page_shows_no_secret(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock) as running:
        found = await page(running, "/config")
        assert "auth.token <secret>" in found.text
        assert simulator.token not in found.text


async def test_the_options_of_many_accounts_do_not_delay_scrapes(service: Service) -> None:
    threads = set()

    def source(_: tuple[str | int, ...]) -> str:
        threads.add(threading.get_ident())
        return ""

    service.generation.settings.trace(Trace(source))
    await page(service, "/config")
    assert threads
    assert threading.get_ident() not in threads


async def test_long_tables_are_cut_and_the_other_rows_counted(clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        for number in range(70):
            simulator.fleet.add({"id": f"a{number}", "state": "error"})
            simulator.fleet.add({"id": f"b{number}", "state": "replicate", "totalsize": 9, "replicatesize": 1})
        async with exporting(simulator, clock) as running:
            found = await page(running, "/")
    assert "All 70 servers that need attention" in found.text
    assert "All 70 running migrations" in found.text
    assert len(found.all("progress")) == 1 + 50


async def test_missing_data_is_not_shown_as_0(clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        simulator.faults.add("hang")
        async with exporting(simulator, clock, polled=False) as running:
            found = await page(running, "/")
    assert f"Source servers {NO_VALUE} no data yet Data replicated {NO_VALUE} no data yet" in found.text
    assert f"Needs attention {NO_VALUE} 1 of 1 account not polled yet" in found.text
    # The first poll will finish soon, however long the interval is.
    assert [meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "refresh"] == ["5"]


async def test_an_empty_fleet_is_shown_as_empty(clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator, exporting(simulator, clock) as running:
        found = await page(running, "/")
    assert f"Source servers 0 0 connected Data replicated {NO_VALUE} nothing to replicate" in found.text
    assert "There are no source servers." in found.text


async def test_the_number_of_servers_names_the_accounts_without_data(clock: FakeClock) -> None:
    async with Simulator(servers=7, clock=clock) as north, Simulator(faults=["forbidden"], clock=clock) as east:
        accounts = [
            {"name": name, "api": {"endpoint": of.url}, "auth": {"token": of.token}}
            for name, of in (("north", north), ("east", east))
        ]
        async with exporting(north, clock, accounts=accounts) as running:
            found = await page(running, "/")
    assert "Source servers 7 of 1 of 2 accounts" in found.text
    assert "1 of 2 accounts failing" in found.text
