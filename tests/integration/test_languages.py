"""The language of pages and of the terminal: who gets which, and that a page in Chinese is all in Chinese."""

import json
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import pytest

from exporter.language import CHINESE, ENGLISH
from exporter.service import Service
from exporter.settings import Settings
from exporter.settings.options import options
from exporter.settings.tree import WebSettings
from exporter.simulator import Simulator
from exporter.sms.model import OS_TYPES
from exporter.translation import Translator
from exporter.views.meanings import EXPLAINED_VALUES
from exporter.web.pages import Pages
from exporter.web.pages.languages import COOKIE
from html_page import VisibleText, page
from programs import exporter_command, run_in_terminal
from support import FakeClock, exporting, fetch, next_poll

PREFERS_CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
NAMES = {
    *("Agent", "API", "CPU", "CSV", "English", "Exporter", "Grafana", "IAM", "ID", "IP", "JSON", "OEM", "SMS"),
    *("Token", "URL", "UTC"),
}
"""Names that the translations do not translate."""
WORD = re.compile(r"[A-Za-z][\w-]*[A-Za-z]", re.ASCII)
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UNITS = re.compile(r"\d (?:[KMGTP]i)?B(?:/s)?|\d m?s\b|Mbit/s|MByte/s")


@pytest.fixture
async def service(clock: FakeClock) -> AsyncIterator[Service]:
    """Run an exporter with two accounts and all that a page can show; the API refuses the second account."""
    collectors = dict.fromkeys(("disks", "errors", "task_details", "consistency", "projects"), True)
    async with Simulator(servers=130, clock=clock) as north, Simulator(servers=20, seed=2, clock=clock) as east:
        accounts = [
            {"name": name, "api": {"endpoint": of.url}, "auth": {"token": of.token}}
            for name, of in (("north", north), ("east", east))
        ]
        async with exporting(north, clock, accounts=accounts, collector=collectors) as running:
            east.faults.add("forbidden")
            await next_poll(clock, 2)
            yield running


def latin_words(page: str) -> set[str]:
    """Return the words in Latin letters of a page, without its values and units."""
    return set(WORD.findall(UNITS.sub("", " ".join(VisibleText(page).texts))))


def words_of_descriptions() -> set[str]:
    """Return the words in Latin letters of the Chinese descriptions of all options."""
    translator = Translator(CHINESE)
    return {word for option in options(Settings) for word in WORD.findall(translator.translate(option.description))}


async def test_a_page_in_chinese_has_no_english_besides_names_and_values(service: Service, clock: FakeClock) -> None:
    url = service.urls[0]
    servers = json.loads((await fetch(f"{url}/servers.json?sort=-state"))[1])
    values = {value for values in EXPLAINED_VALUES.values() for value in values} | {*OS_TYPES, "north", "east"}
    values.update(
        word for server in servers for word in WORD.findall(f"{server['name']} {server['enterprise_project_id']}")
    )
    # A new page is among these paths.
    for path in Pages(lambda: pytest.fail("not called"), clock, WebSettings()).routes():
        if "." in path:
            continue
        address = "/servers/{account}/{id}".format_map(servers[0]) if "{" in path else path
        status, text, headers = await fetch(f"{url}{address}", **PREFERS_CHINESE)
        assert (status, headers["Content-Language"]) == (200, CHINESE), path
        assert '<html lang="zh-CN">' in text
        # The descriptions of options contain option names, variables and paths.
        described = words_of_descriptions() if path == "/config" else set()
        assert latin_words(text) - NAMES - values - described == set(), path


async def test_the_status_page_without_data_is_all_in_chinese(clock: FakeClock) -> None:
    async with Simulator(servers=1, faults=["forbidden"], clock=clock) as simulator:
        async with exporting(simulator, clock) as running:
            for path in ("/", "/servers", "/polls"):
                _, text, _ = await fetch(f"{running.urls[0]}{path}", **PREFERS_CHINESE)
                # The name of the action that the hint asks to grant.
                assert latin_words(text) - NAMES <= {"sms", "server", "list", "queryServer"}, path


async def test_a_page_is_in_english_unless_the_browser_prefers_chinese(service: Service) -> None:
    for headers, language in (({}, ENGLISH), (PREFERS_CHINESE, CHINESE), ({"Accept-Language": "fr,en,zh"}, ENGLISH)):
        _, text, answered = await fetch(f"{service.urls[0]}/", **headers)
        assert (answered["Content-Language"], answered["Vary"]) == (language, "Accept-Language, Cookie")
        assert answered["Cache-Control"] == "no-store"
        assert f'<html lang="{language}">' in text


async def test_the_query_chooses_a_language_and_a_cookie_remembers_it(service: Service) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # for an IP address
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        seen = []
        for path in ("/", "/?lang=zh", "/servers", "/?lang=en", "/servers"):
            async with browser.get(f"{service.urls[0]}{path}") as response:
                seen.append(response.headers["Content-Language"])
    assert seen == [ENGLISH, CHINESE, CHINESE, ENGLISH, ENGLISH]


async def test_the_cookie_is_sent_by_scripts_of_no_other_site(service: Service) -> None:
    _, _, headers = await fetch(f"{service.urls[0]}/?lang=zh")
    name, _, attributes = headers["Set-Cookie"].partition("=")
    assert name == COOKIE
    assert set(attributes.split("; ")) == {CHINESE, "HttpOnly", "Max-Age=31536000", "Path=/", "SameSite=Lax"}
    assert "Set-Cookie" not in (await fetch(f"{service.urls[0]}/", **PREFERS_CHINESE))[2]


async def test_the_cookie_is_for_the_paths_of_the_exporter(clock: FakeClock) -> None:
    web = {"listen_address": ("127.0.0.1:0",), "external_url": "https://example.org/sms/", "route_prefix": "/"}
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock, web=web) as running:
        _, _, headers = await fetch(f"{running.urls[0]}/?lang=zh")
    assert "; Path=/sms/;" in headers["Set-Cookie"]


@pytest.mark.parametrize("chosen", ["de", "", "zh-TW", "<script>", "\udcff"])
async def test_an_unknown_language_is_refused_and_echoes_nothing(service: Service, chosen: str) -> None:
    status, text, _ = await fetch(f"{service.urls[0]}/?lang={quote(chosen, errors='surrogateescape')}")
    assert (status, text) == (400, "lang: must be one of en, zh-CN.\n")


async def test_a_foreign_cookie_is_ignored(service: Service) -> None:
    _, _, headers = await fetch(f"{service.urls[0]}/", Cookie=f"{COOKIE}=de; {COOKIE}2=zh-CN")
    assert headers["Content-Language"] == ENGLISH


async def test_the_link_to_the_other_language_keeps_the_query(service: Service) -> None:
    found = await page(service, "/servers?search=web%26&state=error&state=syncing&lang=zh")
    (link,) = [link for link in found.all("a") if "hreflang" in link]
    assert link == {"href": "?search=web%26&state=error&state=syncing&lang=en", "lang": "en", "hreflang": "en"}


async def test_downloads_and_errors_are_in_english_in_every_language(service: Service) -> None:
    for path in ("/servers.csv?problem=any", "/servers.json?problem=any", "/servers/north/none", "/?refresh=never"):
        _, text, headers = await fetch(f"{service.urls[0]}{path}", **PREFERS_CHINESE)
        assert re.search("[\u4e00-\u9fff]", text) is None
        assert "Content-Language" not in headers


@pytest.mark.parametrize("options", [(), ("--search=web", "--sort=-speed")])
async def test_a_status_in_chinese_has_no_english_besides_names_values_and_options(options: tuple[str, ...]) -> None:
    async with Simulator(servers=130, acceleration=0.001) as simulator:
        command = exporter_command(
            "status", f"--api.endpoint={simulator.url}", f"--auth.token={simulator.token}", *options
        )
        status, received = await run_in_terminal(*command, columns=200, LANG="zh_CN.UTF-8")
        records = simulator.fleet.records()
    assert status == 0
    shown = UNITS.sub("", CONTROLS.sub("", received.rpartition("\x1b[2K")[2]))
    values = {value for values in EXPLAINED_VALUES.values() for value in values} | {"default"}
    checks = {check["name"] for record in records for check in record["checks"]}
    names = {word for record in records for word in WORD.findall(record["name"])}
    clones = {"SMS"}  # the code of a clone's error
    flags = {"problem", "any", "all", "state"}
    assert set(WORD.findall(shown)) - values - NAMES - names - checks - clones - flags == set()


async def test_a_check_in_chinese_has_no_english_besides_names_and_values() -> None:
    async with Simulator(servers=230, acceleration=0.001) as simulator:
        account = (f"--api.endpoint={simulator.url}", f"--auth.token={simulator.token}")
        command = exporter_command("check", "--live", *account)
        status, received = await run_in_terminal(*command, columns=200, LANG="zh_CN.UTF-8")
        shown = UNITS.sub("", received.replace(simulator.url, ""))
    assert status == 0
    assert set(WORD.findall(shown)) - NAMES - {"default", "records", "mbit"} == set()
