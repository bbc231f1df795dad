"""What a release publishes: wheel, sdist and documentation site."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import aiohttp
import pytest

from browser import browsing
from manifests import ROOT
from programs import free_port, started, until


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build wheel and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_the_same_commit_gives_the_same_bytes(packages: Path, tmp_path: Path) -> None:
    build(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in packages.iterdir()
    }


def test_the_sdist_has_every_file_of_the_repository(packages: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no repository")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    (sdist,) = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert files <= {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_has_the_package_only(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
    assert folders == {"exporter", f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"}


def test_the_wheel_has_the_compiled_translations(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        compiled = archive.read("exporter/locale/zh_CN/LC_MESSAGES/exporter.mo")
    assert compiled == (ROOT / "exporter/locale/zh_CN/LC_MESSAGES/exporter.mo").read_bytes()


def test_the_readme_of_the_wheel_has_no_link_that_needs_the_repository(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    links = re.findall(r"\]\((.*?)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the documentation site and return its directory."""
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "tools.docs.site", str(folder)], check=True)
    return folder / "site"


def test_the_chinese_pages_of_the_documentation_site_are_marked_as_chinese(site: Path) -> None:
    pages = {page.relative_to(site): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    chinese = {page for page in pages if "zh-CN" in page.parts}
    assert len(chinese) > 10
    assert {page for page, text in pages.items() if '<html lang="zh-CN"' in text} == chinese
    assert {page for page, text in pages.items() if ">下一页<" in re.sub(r"\s", "", text)} <= chinese


async def test_the_search_of_the_documentation_site_finds_a_page(site: Path) -> None:
    port = free_port()
    server = (sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(site), str(port))
    async with started(*server, ends_with=-15), browsing() as browser, aiohttp.ClientSession() as session:

        async def is_served() -> bool:
            async with session.get(f"http://127.0.0.1:{port}/") as response:
                return response.status == 200

        async def results() -> list[str]:
            script = (
                "return [...document.activeElement.shadowRoot.querySelectorAll('h2')].map(found => found.textContent)"
            )
            found: list[str] = await browser.run(script)
            return found

        async def is_open() -> bool:
            return bool(await browser.run("return document.activeElement.shadowRoot !== null"))

        await until(is_served)
        await browser.open(f"http://127.0.0.1:{port}/")
        await browser.run("document.querySelector('.md-search__button').click()")
        await until(is_open)
        for key in "stale":
            await browser.press(key)
        await until(results)
        assert "Staleness" in await results()
        assert await browser.console() == []
