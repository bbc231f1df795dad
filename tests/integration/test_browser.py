"""The pages in a real browser."""

import contextlib
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from browser import Browser, browsing
from exporter.simulator import Simulator
from programs import built_file, demo, until
from support import FakeClock, exporting, fetch, next_poll, scrape

PAGES = ("/", "/servers", "/migrations", "/config", "/polls")
LONG = "a-name-without-any-break-" * 10
NASTY = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


# One browser for all tests, because it takes a second of processor time to start.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window() -> AsyncIterator[Browser]:
    async with browsing() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def browser(window: Browser) -> Browser:
    """Return the browser as if it was just started."""
    await window.reset()
    return window


async def counts(browser: Browser, kind: str) -> dict[str, float]:
    """Return the numbers of the bars of a kind: s by state, c by stage."""
    found: dict[str, float] = await browser.run(
        f"return Object.fromEntries([...document.querySelectorAll('[data-count^={kind}-]')]"
        ".map(found => [found.dataset.count.slice(2), Number(found.textContent.replaceAll(',', ''))]))"
    )
    return found


async def test_the_pages_of_the_demo_agree_with_its_metrics(browser: Browser) -> None:
    # Polled once, so that page and metrics show the same data.
    async with demo("--poll.interval=1h") as url:
        seen = await scrape(url)
        await browser.open(url)
        for kind, name, label in (
            ("s", "source_servers", "state"),
            ("c", "source_servers_by_migration_cycle", "migration_cycle"),
        ):
            by_label = {dict(labels)[label]: count for labels, count in seen.values(name).items()}
            assert await counts(browser, kind) == {value: count for value, count in by_label.items() if count}
        size, replicated = (seen.total(f"source_servers_{name}_bytes") for name in ("size", "replicated"))
        assert await browser.text(".tiles .s-replicate .figure") == [
            f"{math.floor(1000 * replicated / size) / 10:.1f} %"
        ]
        running = seen.total("source_servers", state="replicate") + seen.total("source_servers", state="syncing")
        assert await browser.text(".tiles [href='#running']") == [str(round(running))]
        assert await browser.text("#servers") == ["250"] == [str(round(seen.value("snapshot_source_servers") or 0))]
        assert (await browser.text("tbody th bdi"))[0] == "demo"
        for path in PAGES:
            await browser.open(f"{url}{path}")
            assert await browser.console() == []


async def test_the_status_page_refreshes_itself(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=5, clock=clock) as simulator, exporting(simulator, clock) as service:
        await browser.open(f"{service.urls[0]}/?refresh=1")
        assert await browser.text("#servers") == ["5"]
        simulator.fleet.resize(8)
        await next_poll(clock)

        async def fresh() -> bool:
            return await browser.text("#servers") == ["8"]

        assert await until(fresh)
        assert await browser.console() == []


async def test_the_style_works_under_the_content_security_policy(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=5, clock=clock) as simulator, exporting(simulator, clock) as service:
        await browser.open(service.urls[0])
        colour = "return getComputedStyle(document.body).backgroundColor"
        await browser.view(dark=False)
        light = await browser.run(colour)
        await browser.view(dark=True)
        dark = await browser.run(colour)
    brightness = [sum(map(int, re.findall(r"\d+", found))) for found in (light, dark)]
    assert brightness[0] > 600
    assert brightness[1] < 150


@pytest.mark.parametrize("width", [360, 720, 920, 1440])
async def test_a_page_fits_its_window_and_names_that_contain_html_are_text(
    browser: Browser, clock: FakeClock, tmp_path: Path, width: int
) -> None:
    async with Simulator(servers=60, clock=clock) as simulator:
        for name in (NASTY, LONG):
            for state in ("error", "replicate"):
                simulator.fleet.add({"id": name + state, "name": name, "ip": name, "state": state, "connected": False})
        account = f"{NASTY}{'account-' * 10}"
        async with exporting(simulator, clock, account={"name": account}, state={"path": tmp_path}) as service:
            simulator.faults.add("forbidden")
            await next_poll(clock)
            await browser.view(width=width)
            for path in PAGES:
                await browser.open(f"{service.urls[0]}{path}")
                await browser.run("document.querySelectorAll('details').forEach(found => { found.open = true })")
                wide = await browser.run("return [innerWidth, document.scrollingElement.scrollWidth]")
                available = await browser.run("return document.documentElement.clientWidth")
                assert wide == [width, available]
                assert await browser.run(OVERLAPS) == []
                assert await browser.run(SMALLEST) >= 12
                assert "taken" not in await browser.run("return document.title")
                # With one account, the lists do not repeat its name.
                assert account in " ".join(await browser.text("main")) or path in {"/servers", "/migrations"}
                assert await browser.console() == []
            await browser.open(service.urls[0])
            assert {NASTY, LONG} <= set(await browser.text("bdi"))


async def test_large_numbers_fit_beside_their_bars_on_a_small_screen(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=0, clock=clock) as simulator:
        for number in range(10_000):
            simulator.fleet.add({"id": f"{number}", "state": "premigfailed", "migration_cycle": "cutovering"})
        async with exporting(simulator, clock) as service:
            await browser.view(width=360)
            await browser.open(service.urls[0])
            assert await counts(browser, "s") == {"premigfailed": 10_000}
            assert await browser.run(OVERLAPS) == []
            lines = "return [...document.querySelectorAll('.bars li')].map(found => found.offsetHeight)"
            assert max(await browser.run(lines)) < 30


@pytest.mark.parametrize("dark", [False, True])
async def test_every_text_has_enough_contrast(browser: Browser, clock: FakeClock, tmp_path: Path, dark: bool) -> None:
    state = {"path": tmp_path}
    async with Simulator(servers=250, clock=clock) as simulator, exporting(simulator, clock, state=state) as service:
        simulator.faults.add("forbidden")
        await next_poll(clock)
        await browser.view(dark=dark)
        for path in PAGES:
            await browser.open(f"{service.urls[0]}{path}")
            # The minimum of WCAG 2.2, level AA.
            assert await browser.run(CONTRASTS) >= 4.5


async def test_the_keyboard_focus_is_visible_on_every_link(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=60, clock=clock) as simulator, exporting(simulator, clock) as service:
        for path in PAGES:
            await browser.open(f"{service.urls[0]}{path}")
            reached = []
            for _ in range(
                await browser.run("return document.querySelectorAll('a, summary, input, select, button').length")
            ):
                await browser.press("\ue004")
                words, outline, shown = await browser.run(FOCUSED)
                assert outline >= 2, words
                assert shown, words
                reached.append(words)
            assert reached[0] == "Skip to content"
            assert {"Status", "Servers", "Polls", "Configuration", "Metrics"} <= set(reached)


@contextlib.asynccontextmanager
async def two_accounts(clock: FakeClock, state: Path | None = None) -> AsyncIterator[str]:
    """Serve a fleet of two accounts, one of which fails, and return the URL."""
    async with Simulator(servers=130, clock=clock) as north, Simulator(servers=20, seed=2, clock=clock) as east:
        accounts = [
            {"name": name, "api": {"endpoint": of.url}, "auth": {"token": of.token}}
            for name, of in (("north", north), ("east", east))
        ]
        async with exporting(north, clock, accounts=accounts, state={"path": state}) as service:
            east.faults.add("forbidden")
            await next_poll(clock, 2)
            yield service.urls[0]


async def test_servers_are_found_with_the_form(browser: Browser, clock: FakeClock, tmp_path: Path) -> None:
    async with two_accounts(clock, tmp_path) as url:
        await browser.view()
        await browser.open(f"{url}/servers")
        await browser.run("document.querySelector('#search').value = 'web'")
        await browser.run("document.querySelector('#filter-account').value = 'east'")
        await browser.follow("form button")
        assert "search=web" in await browser.run("return location.search")
        names = await browser.text("tbody th a")
        assert names
        assert all("web" in name for name in names)
        assert await browser.run("return document.querySelector('#filter-account').value") == "east"
        await browser.follow("thead th a")
        assert await browser.text("tbody th a") == sorted(names)
        await browser.follow("tbody th a")
        assert (await browser.text("h1 bdi"))[0] == min(names)
        assert await browser.console() == []


async def test_a_refresh_keeps_focus_scroll_position_and_open_details(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=130, clock=clock) as simulator, exporting(simulator, clock) as service:
        await browser.view(height=500)
        await browser.open(f"{service.urls[0]}/?refresh=1")
        await browser.run("const links = document.querySelectorAll('#content tbody th a'); links[9].focus()")
        await browser.run("scrollTo(0, 700)")
        focused = await browser.run("return document.activeElement.href")
        await browser.run("document.querySelector('main').dataset.old = true")
        simulator.fleet.resize(140)
        await next_poll(clock)

        async def refreshed() -> bool:
            return await browser.text("#servers") == ["140"]

        await until(refreshed)
        assert await browser.run("return document.querySelector('main').dataset.old") is None
        assert await browser.run("return scrollY") == 700
        assert await browser.run("return document.activeElement.href") == focused
        assert await browser.console() == []


async def test_times_are_utc_until_the_reader_chooses_local_time(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock) as service:
        await browser.time_zone("Asia/Shanghai")
        await browser.open(f"{service.urls[0]}/polls")
        assert (await browser.text("h1 + p time"))[0] == "2027-01-15 08:00:00 UTC"
        await browser.click("#zone")
        assert (await browser.text("h1 + p time"))[0] == "2027-01-15 16:00:00 GMT+8"
        await browser.open(f"{service.urls[0]}/")
        assert (await browser.text(".refresh time"))[0] == "2027-01-15 16:00:00 GMT+8"
        assert await browser.text("#zone") == ["Times: local"]


async def test_the_reader_switches_the_language_of_all_pages(browser: Browser, clock: FakeClock) -> None:
    async with two_accounts(clock) as url:
        await browser.open(f"{url}/servers?state=replicate")
        await browser.follow("[hreflang=zh-CN]")
        assert await browser.text("h1") == ["服务器"]
        assert await browser.run("return document.querySelector('#filter-state').value") == "replicate"
        assert await browser.text("#zone") == ["时间：UTC"]
        await browser.click("#zone")
        assert await browser.text("#zone") == ["时间：本地"]
        await browser.open(f"{url}/")
        assert await browser.text("h1") == ["迁移状态"]
        assert await browser.run("return document.documentElement.lang") == "zh-CN"
        await browser.follow("[hreflang=en]")
        assert await browser.text("h1") == ["Migration status"]
        assert await browser.console() == []


async def test_pages_in_chinese_fit_a_small_window(browser: Browser, clock: FakeClock) -> None:
    async with two_accounts(clock) as url:
        await browser.open(f"{url}/?lang=zh")
        server = re.findall(r'href="(/servers/[^"?]+)"', (await fetch(f"{url}/servers?problem=any"))[1])[0]
        for width in (360, 1000):
            await browser.view(width=width)
            for path in (*PAGES, server):
                await browser.open(f"{url}{path}")
                await browser.run("document.querySelectorAll('details').forEach(found => { found.open = true })")
                assert await browser.run("return document.scrollingElement.scrollWidth <= innerWidth"), (path, width)
                assert await browser.run(OVERLAPS) == [], (path, width)


async def test_a_page_says_when_the_exporter_does_not_answer(browser: Browser, clock: FakeClock) -> None:
    async with Simulator(servers=1, clock=clock) as simulator:
        async with exporting(simulator, clock) as service:
            await browser.open(f"{service.urls[0]}/?refresh=1")
            assert await browser.run("return document.querySelector('.offline').hidden")

        async def noticed() -> bool:
            return not await browser.run("return document.querySelector('.offline').hidden")

        await until(noticed)


@pytest.mark.parametrize(
    ("width", "dark", "language"), [(360, False, "en"), (1440, False, "en"), (1440, True, "en"), (360, False, "zh-CN")]
)
async def test_axe_finds_no_violation_of_level_a_or_aa(
    browser: Browser, clock: FakeClock, tmp_path: Path, width: int, dark: bool, language: str
) -> None:
    axe = built_file("axe.min.js").read_text(encoding="utf-8")
    async with two_accounts(clock, tmp_path) as url:
        server = re.findall(r'href="(/servers/[^"?]+)"', (await fetch(f"{url}/servers?problem=any"))[1])[0]
        await browser.open(f"{url}/?lang={language}")
        await browser.view(width=width, dark=dark)
        for path in (*PAGES, "/?account=north", "/servers?search=nothing", server):
            await browser.open(f"{url}{path}")
            await browser.run("document.querySelectorAll('details').forEach(found => { found.open = true })")
            await browser.run(axe)
            assert await browser.run(VIOLATIONS) == [], path
            assert await browser.run("return document.documentElement.lang") == language


VIOLATIONS = """
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
return axe.run({runOnly: tags}).then(result => result.violations.map(
  found => [found.id, found.help, found.nodes.slice(0, 3).map(node => node.html)]));
"""
FOCUSED = """
const found = document.activeElement, box = found.getBoundingClientRect();
return [found.innerText.trim(), parseFloat(getComputedStyle(found).outlineWidth), box.width > 1 && box.left >= 0];
"""
SMALLEST = """
return Math.min(...[...document.querySelectorAll('main *')].map(found => parseFloat(getComputedStyle(found).fontSize)));
"""
OVERLAPS = """
const hidden = element => element && (getComputedStyle(element).clipPath !== 'none' || hidden(element.parentElement));
const range = document.createRange();
const words = [];
for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
  const node = walker.currentNode;
  if (!node.data.trim() || hidden(node.parentElement)) continue;
  if (node.parentElement.closest('.skip, progress, select, script')) continue;
  range.selectNodeContents(node);
  for (const box of range.getClientRects()) if (box.width > 1) words.push([node.data.trim().slice(0, 40), box]);
}
const over = (one, other) => Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
  && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
const found = [];
words.forEach(([one, box], number) => {
  for (const [other, its] of words.slice(number + 1)) if (over(box, its)) found.push([one, other]);
});
return found;
"""
CONTRASTS = """
const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const rgba = colour => colour.match(/[\\d.]+/g).map(Number);
const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const ground = element => {
  for (; element; element = element.parentElement) {
    const colour = rgba(getComputedStyle(element).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
};
let least = 21;
for (const element of document.querySelectorAll('body *')) {
  const words = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!words || element.tagName === 'PROGRESS') continue;
  const pair = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((one, other) => other - one);
  least = Math.min(least, (pair[0] + 0.05) / (pair[1] + 0.05));
}
return least;
"""
