"""Which modules a command imports: a start-up that loads little is fast and needs little memory."""

import asyncio
import importlib.util
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

import exporter
from exporter.cli import COMMANDS
from programs import free_port, run, run_in_process, started, until
from support import fetch

LIBRARIES = frozenset(
    {
        "aiohttp",
        "bcrypt",
        "isal",
        "jinja2",
        "markupsafe",
        "msgspec",
        "prometheus_client",
        "pydantic",
        "pydantic_settings",
        "pygments",
        "rich",
        "structlog",
        "tenacity",
        "yaml",
    }
)
UNREACHABLE = ("--api.endpoint=http://127.0.0.1:9", "--auth.token=x")


async def imported(*argv: str) -> set[str]:
    """Return the modules that a process has imported after it ran a command."""
    code = "import sys; from exporter.__main__ import main; main(); print(*sys.modules, file=sys.stderr)"
    _, _, errors = await run(sys.executable, "-c", code, *argv)
    return set(errors.splitlines()[-1].split())


async def test_the_version_is_printed_without_any_library() -> None:
    modules = await imported("--version")
    assert "exporter.commands.output" in modules
    assert modules & (LIBRARIES | {"asyncio", "gettext", "ssl", "exporter.settings"}) == set()


async def test_the_help_needs_only_the_libraries_of_the_options() -> None:
    assert await imported("--help") & LIBRARIES == {"pydantic", "pydantic_settings"}


@pytest.mark.parametrize(
    ("argv", "not_needed"),
    [
        (("check", *UNREACHABLE), {"bcrypt", "isal", "jinja2", "prometheus_client", "rich", "yaml", "exporter.web"}),
        (("once", *UNREACHABLE, "--poll.timeout=1s"), {"bcrypt", "jinja2", "rich", "yaml", "exporter.web"}),
        (("status", *UNREACHABLE, "--poll.timeout=1s"), {"bcrypt", "jinja2", "yaml", "exporter.web"}),
        (("--config.check", *UNREACHABLE), {"pygments", "rich", "yaml", "exporter.simulator"}),
    ],
)
async def test_a_command_imports_no_library_that_it_does_not_need(argv: Sequence[str], not_needed: set[str]) -> None:
    modules = await imported(*argv)
    assert {"aiohttp", "pydantic", "structlog"} <= modules
    assert modules & not_needed == set()


async def test_a_server_imports_neither_the_other_commands_nor_the_simulator() -> None:
    modules = await imported("--web.listen-address=192.0.2.1:1", *UNREACHABLE)
    assert "exporter.service" in modules
    assert modules & {"exporter.commands.check", "exporter.simulator", "pygments", "rich", "yaml"} == set()


async def test_a_server_imports_neither_the_pages_nor_the_web_configuration_before_they_are_used() -> None:
    modules = await imported("--web.listen-address=192.0.2.1:1", *UNREACHABLE)
    assert "exporter.web.scrape" in modules
    assert modules & {"bcrypt", "jinja2", "markupsafe", "exporter.views"} == set()
    assert modules & {"exporter.web.pages.handlers", "exporter.web.toolkit"} == set()


async def test_pages_without_their_code_are_unavailable_until_it_is_back(tmp_path: Path) -> None:
    shutil.copytree(Path(exporter.__file__).parent, tmp_path / "exporter")
    pages, moved, url = tmp_path / "exporter" / "web" / "pages", tmp_path / "moved", f"http://127.0.0.1:{free_port()}"
    # -P: the copy is imported, not the package in the current directory.
    options = (f"--web.listen-address={url.removeprefix('http://')}", *UNREACHABLE)
    async with started(sys.executable, "-P", "-m", "exporter", "run", *options, PYTHONPATH=str(tmp_path)) as process:
        assert process.stderr is not None
        await until(lambda: fetch(f"{url}/-/healthy"))
        pages.rename(moved)
        assert (await fetch(f"{url}/"))[:2] == (503, "The pages cannot be loaded; the log says why.\n")
        lines = [line async for line in _until_line(process.stderr, b"cannot load the pages")]
        assert not any(b"Traceback" in line for line in lines)
        assert (await fetch(f"{url}/metrics"))[0] == 200
        moved.rename(pages)
        assert (await fetch(f"{url}/"))[0] == 200


async def _until_line(stream: asyncio.StreamReader, text: bytes) -> AsyncIterator[bytes]:
    async for line in stream:
        yield line
        if text in line:
            return


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_has_a_module(name: str) -> None:
    assert importlib.util.find_spec(f"exporter.commands.{name}")
    status, output, _ = await run_in_process(name, "--help")
    assert status == 0
    assert output.startswith(f"Usage: sms-exporter {name} ")
