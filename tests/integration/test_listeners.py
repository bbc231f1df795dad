"""Listeners: IPv6, unix sockets, and the sockets passed by systemd."""

import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exporter.errors import ListenError
from exporter.simulator import Simulator
from programs import exporter_command, program, run, started, until
from support import FakeClock, Scrape, exporting, fetch, scrape


@pytest.fixture
async def simulator(clock: FakeClock) -> AsyncIterator[Simulator]:
    async with Simulator(servers=3, clock=clock) as running:
        yield running


@pytest.fixture
def path() -> Iterator[Path]:
    # Shorter than pytest's own folder: the path of a unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "exporter.sock"


async def test_an_ipv6_listener_has_a_url_in_brackets(simulator: Simulator, clock: FakeClock) -> None:
    async with exporting(simulator, clock, web={"listen_address": ("[::1]:0",)}) as service:
        assert service.urls[0].startswith("http://[::1]:")
        assert (await scrape(service.urls[0])).total("source_servers") == 3


async def test_curl_reads_a_unix_socket(simulator: Simulator, clock: FakeClock, path: Path) -> None:
    curl = program("curl")
    async with exporting(simulator, clock, web={"listen_address": (f"unix:{path}", "127.0.0.1:0")}) as service:
        assert service.urls[0] == f"unix:{path}"
        assert service.urls[1].startswith("http://127.0.0.1:")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        status, text, _ = await run(curl, "--silent", "--fail", "--unix-socket", str(path), "http://exporter/metrics")
    assert status == 0
    assert Scrape(text).total("source_servers") == 3
    assert not path.exists()


async def test_the_unix_socket_of_a_killed_exporter_is_replaced(
    simulator: Simulator, clock: FakeClock, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
    async with exporting(simulator, clock, web={"listen_address": (f"unix:{path}",)}):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


async def test_a_unix_socket_in_use_is_not_replaced(simulator: Simulator, clock: FakeClock, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as used:
        used.bind(str(path))
        used.listen()
        with pytest.raises(ListenError, match=f"cannot listen on unix:{path}: Address already in use"):
            async with exporting(simulator, clock, web={"listen_address": (f"unix:{path}",)}):
                pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


async def test_the_unix_socket_of_another_process_is_not_removed(
    simulator: Simulator, clock: FakeClock, path: Path
) -> None:
    async with exporting(simulator, clock, web={"listen_address": (f"unix:{path}",)}):
        path.rename(path.with_suffix(".old"))
        with socket.socket(socket.AF_UNIX) as another:
            another.bind(str(path))
    assert path.is_socket()


async def test_a_file_at_the_path_of_a_unix_socket_is_not_replaced(
    simulator: Simulator, clock: FakeClock, path: Path
) -> None:
    path.write_text("precious")
    with pytest.raises(ListenError, match="Address already in use"):
        async with exporting(simulator, clock, web={"listen_address": (f"unix:{path}",)}):
            pass
    assert path.read_text() == "precious"


async def test_the_sockets_passed_by_systemd_are_served(simulator: Simulator) -> None:
    bash = program("bash")
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (first, second)]
        # systemd passes descriptors from 3 on, and names the process that they are for.
        passing = f'exec 3<&{first.fileno()} 4<&{second.fileno()}; export LISTEN_FDS=2 LISTEN_PID=$$; exec "$@"'
        command = exporter_command(
            "--web.systemd-socket", f"--api.endpoint={simulator.url}", f"--auth.token={simulator.token}"
        )
        for one in (first, second):
            os.set_inheritable(one.fileno(), True)
        async with started(
            bash, "-c", passing, "bash", *command, pass_fds=(first.fileno(), second.fileno())
        ) as process:
            # They already listen: an early client waits.
            await until(lambda: _ready(urls[1]))
            assert [(await scrape(url)).total("source_servers") for url in urls] == [3, 3]
            assert process.returncode is None


async def _ready(url: str) -> bool:
    return (await fetch(f"{url}/-/ready"))[0] == 200


async def test_without_a_socket_from_systemd_there_is_one_line_and_status_1(simulator: Simulator) -> None:
    status, _, errors = await run(
        *exporter_command(
            "--web.systemd-socket",
            f"--api.endpoint={simulator.url}",
            f"--auth.token={simulator.token}",
            "--log.level=error",
        )
    )
    assert status == 1
    assert errors.startswith("sms-exporter: error: --web.systemd-socket: no socket was passed")
    assert errors.count("\n") == 1
