"""The measured programs: each is a process of its own on loopback that ends with the measurement."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

ROOT: Final = Path(__file__).parent.parent
START_TIMEOUT_SECONDS: Final = 300.0
"""How long a program may take to start."""
GO_PEER: Final = "prometheus-pushgateway"
"""An exporter in Go, from the Debian package of this name, that serves the series pushed to it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program with its URL and process id."""

    url: str
    pid: int

    def peak_memory(self) -> int:
        """Return its peak memory, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def served(kind: str, servers: int, collectors: str = "default", delay: float = 0.0) -> AsyncIterator[Program]:
    """Run a server of `benchmarks.served`."""
    arguments = ("-m", "benchmarks.served", kind, str(servers), collectors, str(delay))
    async with started(sys.executable, *arguments) as process:
        yield Program(await read_line(process), process.pid)


@contextlib.asynccontextmanager
async def exporter(
    api: Program, collectors: str = "default", *options: str, root: Path = ROOT
) -> AsyncIterator[Program]:
    """Run the exporter in `root`, as users do; enter the context when the first poll of a served list has ended."""
    url = f"http://127.0.0.1:{free_port()}"
    given = (
        f"--api.endpoint={api.url}",
        "--auth.token=none",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
        *(("--collector.disks",) if collectors == "all" else ()),
        *options,
    )
    async with started(sys.executable, "-m", "exporter", *given, cwd=str(root), env=environment(root)) as process:
        await wait_until_ready(f"{url}/-/ready")
        yield Program(url, process.pid)


@contextlib.asynccontextmanager
async def stalls(api: Program, polls: int) -> AsyncIterator[tuple[Program, asyncio.subprocess.Process]]:
    """Run an exporter that prints, after `polls` polls, for how long its event loop was blocked at most."""
    async with started(sys.executable, "-m", "benchmarks.stalls", api.url, str(polls)) as process:
        yield Program(await read_line(process), process.pid), process


@contextlib.asynccontextmanager
async def go_peer(ours: str) -> AsyncIterator[Program | None]:
    """Run an exporter in Go that serves the same series as ours at this URL; None if it is not installed."""
    path = shutil.which(GO_PEER)
    if path is None:
        yield None
        return
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        async with started(
            path, f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error", cwd=folder
        ) as process:
            await wait_until_ready(f"{url}/-/ready")
            await asyncio.to_thread(_push, ours, url)
            yield Program(url, process.pid)


def _push(ours: str, url: str) -> None:
    """Push one scrape without the families of the process, which the Go exporter has itself."""
    with urllib.request.urlopen(f"{ours}/metrics") as response:  # noqa: S310 - a server on loopback that we started
        lines = response.read().decode().splitlines()
    own = "".join(f"{line}\n" for line in lines if "huaweicloud_sms_" in line)
    request = urllib.request.Request(f"{url}/metrics/job/sms", own.encode(), method="POST")  # noqa: S310 - as above
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
        answer.read()


@contextlib.asynccontextmanager
async def started(
    *command: str, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program inside the context."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=cwd, env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def environment(root: Path) -> Mapping[str, str]:
    """Return the environment of a process that runs the code in `root`, wherever the packages are installed.

    Memory is allocated as in the image and in the service of systemd.
    """
    return {**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": str(root)}


async def read_line(process: asyncio.subprocess.Process) -> str:
    """Return the next line of a program's output."""
    async with asyncio.timeout(START_TIMEOUT_SECONDS):
        if process.stdout is None or not (line := await process.stdout.readline()):
            raise RuntimeError("a program ended before it printed its URL")
        return line.decode().strip()


async def wait_until_ready(url: str) -> None:
    """Wait until a server responds with success."""
    async with asyncio.timeout(START_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get(url) as response:
                    if response.ok:
                        return
            # There is no event to wait for in another process.
            await asyncio.sleep(0.1)


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
