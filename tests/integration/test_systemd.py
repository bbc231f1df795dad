"""The units of systemd: verified, as closed as they can be, and their command run on a socket that is passed."""

import shlex
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from programs import free_port, program, run, started, until
from support import fetch, scrape

UNITS = Path(__file__).parent.parent.parent / "deploy" / "systemd"
BINARY = "/opt/sms-exporter/bin/sms-exporter"
EXPOSURE = 1.1
"""What systemd-analyze finds open: Internet sockets out to the API, and /proc for the metrics of the process."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Lay the units down with a program that is here."""
    here = str(Path(sys.prefix) / "bin" / "sms-exporter")
    for unit in UNITS.iterdir():
        (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8").replace(BINARY, here), encoding="utf-8")
    return tmp_path


def command(units: Path, credentials: Path) -> list[str]:
    """Give the command that the service starts, with its credentials in a folder of ours."""
    lines = (units / "sms-exporter.service").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    (start,) = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    return shlex.split(start.replace("%d", str(credentials)).replace("/etc/sms-exporter", str(credentials)))


async def test_systemd_finds_nothing_in_the_units(units: Path) -> None:
    paths = [str(path) for path in sorted(units.iterdir())]
    assert [Path(path).name for path in paths] == ["sms-exporter.service", "sms-exporter.socket"]
    assert await run(program("systemd-analyze"), "verify", *paths) == (0, "", "")


async def test_the_service_is_as_closed_as_it_can_be(units: Path) -> None:
    analyze = (program("systemd-analyze"), "security", "--offline=true", "--no-pager")
    status, output, errors = await run(*analyze, str(units / "sms-exporter.service"))
    assert status == 0, errors
    assert float(output.rpartition("sms-exporter.service: ")[2].split()[0]) <= EXPOSURE


async def test_the_service_serves_on_the_socket_that_systemd_passes(
    units: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    socket = RawConfigParser()
    socket.read(units / "sms-exporter.socket")
    assert socket["Socket"]["ListenStream"] == "10058"
    credentials = tmp_path_factory.mktemp("credentials")
    async with Simulator(servers=3) as simulator:
        (credentials / "config.yml").write_text(f"api: {{endpoint: '{simulator.url}'}}")
        (credentials / "access-key").write_text(simulator.access_key.ak)
        (credentials / "secret-key").write_text(simulator.access_key.sk)
        address = f"127.0.0.1:{free_port()}"
        activate = (program("systemd-socket-activate"), f"--listen={address}")
        async with started(*activate, *command(units, credentials)):

            async def ready() -> bool:
                return (await fetch(f"http://{address}/-/ready"))[0] == 200

            await until(ready)
            assert (await scrape(f"http://{address}")).total("source_servers") == 3
