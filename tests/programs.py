"""Real programs that tests start on loopback and stop with the test."""

import asyncio
import contextlib
import io
import logging
import os
import pty
import random
import shutil
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final
from unittest import mock

import aiohttp
import pytest
import structlog
from aiohttp import web

from exporter.cli import main
from support import TIMEOUT_SECONDS

TOOLS: Final = Path(__file__).parent.parent / "tools" / "bin"
"""The folder of the Go programs that `make tools` builds."""


def program(name: str) -> str:
    """Return the path of a program. Skip the test if it is not installed; fail it in CI."""
    path = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed (make tools builds those that are written in Go)")
        pytest.skip(f"{name} is not installed")
    return path


def built_file(name: str) -> Path:
    """Return a file that `make tools` puts beside the programs; without it the test is skipped, in CI it fails."""
    path = TOOLS / name
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} does not exist: make tools")
        pytest.skip(f"{name} is not installed: make tools")
    return path


PORTS: Final = range(10_000, 32_768)
"""Ports that the system gives to no program by itself, neither for a connection nor for a listener on port 0."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of PORTS that is free."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port


@contextlib.asynccontextmanager
async def started(
    *command: str, ends_with: int = 0, pass_fds: tuple[int, ...] = (), **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program during the context; it must then exit on SIGTERM with the status `ends_with`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
        pass_fds=pass_fds,
        limit=2**24,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            # A method of the process would first look whether it has just exited, and take its exit code from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                _, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
    assert process.returncode == ends_with, errors.decode()


def exporter_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line of the exporter."""
    return (sys.executable, "-m", "exporter", *arguments)


@contextlib.asynccontextmanager
async def demo(*arguments: str) -> AsyncIterator[str]:
    """Run the demo on a free port, and return its URL once the demo has printed it."""
    command = exporter_command("demo", "--web.listen-address=127.0.0.1:0", *arguments)
    async with started(*command) as process:
        yield await printed_url(process)


async def printed_url(process: asyncio.subprocess.Process) -> str:
    """Return the URL that a demo prints when it is ready."""
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        line = (await process.stdout.readline()).decode()
    assert line.startswith("Open http://127.0.0.1:"), line
    return line.split()[1]


async def run(*command: str, given: bytes | None = None, **variables: str) -> tuple[int, str, str]:
    """Run a program until it exits; return its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    async with asyncio.timeout(TIMEOUT_SECONDS):
        output, errors = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def run_in_process(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command that ends by itself in a thread of this process; return its exit code, output and errors.

    A process of its own needs half a second of CPU to start. That is for what only a process has: signals, a terminal,
    the encoding of the system.
    """
    output, errors = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        with mock.patch.dict(os.environ, variables), redirect_stdout(output), redirect_stderr(errors):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status = await asyncio.to_thread(main, arguments)
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
    return status, _written(output), _written(errors)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


OF_THE_TERMINAL: Final = ("COLUMNS", "LINES", "NO_COLOR", "LANGUAGE", "LANG", "LC_ALL", "LC_MESSAGES")
"""Variables that describe the terminal and the language of who runs the tests."""


async def run_in_terminal(
    *command: str,
    columns: int = 80,
    rows: int = 50,
    interrupt_after: bytes = b"",
    typed: bytes = b"",
    **variables: str,
) -> tuple[int, str]:
    """Run a program in a terminal of its own until it exits; return its exit code and what it wrote there.

    It is interrupted as by Ctrl-C after it wrote `interrupt_after`. It can read what is `typed`.
    """
    ours, its = pty.openpty()
    os.write(ours, typed)
    termios.tcsetwinsize(its, (rows, columns))
    environ = {name: value for name, value in os.environ.items() if name not in OF_THE_TERMINAL}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **variables},
    )
    os.close(its)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        received = await asyncio.to_thread(_read_all, ours, process.pid, interrupt_after)
        status = await process.wait()
    return status, received.decode()


def _read_all(terminal: int, process: int, interrupt_after: bytes) -> bytes:
    """Read a terminal until the last program that has it open exits."""
    received = bytearray()
    interrupted = not interrupt_after
    with os.fdopen(terminal, "rb", buffering=0) as source, contextlib.suppress(OSError):
        while chunk := source.read(2**16):
            received += chunk
            if not interrupted and interrupt_after in received:
                os.kill(process, signal.SIGINT)
                interrupted = True
    return bytes(received)


async def until(attempt: Callable[[], Awaitable[Any]], timeout: float = TIMEOUT_SECONDS) -> Any:
    """Repeat an attempt until its result is true, and return that result."""
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                if answer := await attempt():
                    return answer
            # There is no event to wait for in another program.
            await asyncio.sleep(0.05)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/query", params={"query": promql}) as response,
        ):
            content = await response.json()
            assert content["status"] == "success", content
            result: list[dict[str, Any]] = content["data"]["result"]
            return result

    async def value(self, promql: str) -> float:
        """Wait until the query has one value, and return it."""
        (found,) = await until(lambda: self.query(promql))
        return float(found["value"][1])


@contextlib.asynccontextmanager
async def prometheus(folder: Path, scrape_config: str) -> AsyncIterator[Prometheus]:
    """Run Prometheus with one scrape configuration (YAML, one list item)."""
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{scrape_config}",
    )
    async with prometheus_of(config) as server:
        yield server


@contextlib.asynccontextmanager
async def prometheus_of(config: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus with a configuration file; its data is in the same folder."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    )
    async with started(*command):
        yield Prometheus(f"http://{address}")


@contextlib.asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve every path with one handler on a free port; return the base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
