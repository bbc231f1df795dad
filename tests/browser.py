"""A real browser controlled over WebDriver."""

import base64
import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

from programs import free_port, program, started, until

FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class DriverError(Exception):
    """The driver could not carry out a command."""


class Browser:
    """One window of the browser."""

    def __init__(self, http: aiohttp.ClientSession, session: str) -> None:
        self._http = http
        self._session = session

    async def reset(self) -> None:
        """Leave the page, and forget its messages, the size of the window and the time zone."""
        await self.open("about:blank")
        await self.console()
        await self.view()
        await self.time_zone("")

    async def view(self, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        """Set the window size in CSS pixels and the preferred colour scheme."""
        await self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._devtools("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        await _command(self._http, f"{self._session}/url", url=url)

    async def run(self, script: str) -> Any:
        """Run a function body in the page and return its result."""
        return await _command(self._http, f"{self._session}/execute/sync", script=script, args=[])

    async def text(self, selector: str) -> list[str]:
        """Return the text of all elements that a CSS selector matches."""
        texts: list[str] = await self.run(
            f"return [...document.querySelectorAll({selector!r})].map(found => found.textContent.trim())"
        )
        return texts

    async def press(self, key: str) -> None:
        """Press a key, given as its WebDriver code point."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": keys}]
        await _command(self._http, f"{self._session}/actions", actions=actions)

    async def follow(self, selector: str) -> None:
        """Click the first link or button that a CSS selector matches, and wait until the page behind it has loaded.

        The driver waits for a page only when it has begun to load at once.
        """
        await self.run("document.left = true")
        await self.click(selector)

        async def has_loaded() -> bool:
            # A script that runs while the page changes is cut off.
            with contextlib.suppress(DriverError):
                return bool(await self.run("return !document.left && document.readyState === 'complete'"))
            return False

        await until(has_loaded)

    async def click(self, selector: str) -> None:
        """Click the first element that a CSS selector matches, which leads to no other page."""
        found = await _command(self._http, f"{self._session}/element", using="css selector", value=selector)
        (element,) = found.values()
        await _command(self._http, f"{self._session}/element/{element}/click")

    async def time_zone(self, name: str) -> None:
        """Set the time zone of the reader."""
        await self._devtools("Emulation.setTimezoneOverride", timezoneId=name)

    async def console(self) -> list[str]:
        """Return the console messages since the last call."""
        return [entry["message"] for entry in await _command(self._http, f"{self._session}/se/log", type="browser")]

    async def screenshot(self, height: int | None = None) -> bytes:
        """Return the page, or its first `height` pixels, as PNG."""
        width, whole = await self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height or whole, whole), "scale": 1}
        shot = await self._devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    async def _devtools(self, method: str, **params: Any) -> Any:
        return await _command(self._http, f"{self._session}/goog/cdp/execute", cmd=method, params=params)


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Run a headless browser with a new profile during the context."""
    chromium, driver, port = program("chromium"), program("chromedriver"), free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as user:
        capabilities = {
            "goog:chromeOptions": {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={user}"]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        # chromedriver does not handle SIGTERM: its exit status is the signal.
        async with started(driver, f"--port={port}", ends_with=-15), aiohttp.ClientSession() as http:
            await until(lambda: _ready(http, base))
            made = await _command(http, f"{base}/session", capabilities={"alwaysMatch": capabilities})
            session = f"{base}/session/{made['sessionId']}"
            try:
                yield Browser(http, session)
            finally:
                async with http.delete(session) as response:
                    await response.read()


async def _ready(http: aiohttp.ClientSession, base: str) -> bool:
    async with http.get(f"{base}/status") as response:
        return bool((await response.json())["value"]["ready"])


async def _command(http: aiohttp.ClientSession, address: str, **body: Any) -> Any:
    async with http.post(address, json=body) as response:
        content = await response.json()
    if response.status != 200:
        raise DriverError(content["value"])
    return content["value"]
