"""The systemd units: verified, sandboxed, and their command run with a socket that is passed."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from programs import free_port, program, run, started, until
from support import fetch, scrape

UNITS = Path(__file__).parent.parent.parent / "deploy" / "systemd"
BINARY = "/opt/sms-exporter/bin/sms-exporter"
EXPOSURE = 1.1
"""The exposure level of systemd-analyze: Internet sockets for the API, and /proc for the metrics of the process."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Write the units with the path of the installed program."""
    here = str(Path(sys.prefix) / "bin" / "sms-exporter")
    for unit in UNITS.glob("sms-exporter.*"):
        (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8").replace(BINARY, here), encoding="utf-8")
    return tmp_path


def get_value(unit: Path, key: str) -> str:
    """Return the value of a key that a unit sets once."""
    lines = unit.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    (value,) = (line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}="))
    return value


def load_credentials(service: Path, secrets: Path, credentials: Path) -> None:
    """Copy the files of a folder as LoadCredential does."""
    name, source = get_value(service, "LoadCredential").split(":")
    assert Path(source).is_relative_to("/etc/sms-exporter")
    for secret in secrets.iterdir():
        shutil.copy(secret, credentials / f"{name}_{secret.name}")


async def test_systemd_analyze_verifies_the_units(units: Path) -> None:
    paths = [str(path) for path in sorted(units.iterdir())]
    assert [Path(path).name for path in paths] == ["sms-exporter.service", "sms-exporter.socket"]
    assert await run(program("systemd-analyze"), "verify", *paths) == (0, "", "")


async def test_the_service_is_sandboxed(units: Path) -> None:
    analyze = (program("systemd-analyze"), "security", "--offline=true", "--no-pager")
    status, output, errors = await run(*analyze, str(units / "sms-exporter.service"))
    assert status == 0, errors
    assert float(output.rpartition("sms-exporter.service: ")[2].split()[0]) <= EXPOSURE


async def test_the_service_listens_on_the_socket_that_systemd_passes(
    units: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert get_value(units / "sms-exporter.socket", "ListenStream") == "10058"
    service = units / "sms-exporter.service"
    secrets, credentials = (tmp_path_factory.mktemp(name) for name in ("secrets", "credentials"))
    config = credentials / "config.yml"
    async with Simulator(servers=3) as simulator:
        (secrets / "access-key").write_text(simulator.access_key.ak)
        (secrets / "secret-key").write_text(simulator.access_key.sk)
        load_credentials(service, secrets, credentials)
        options = (UNITS / "config.yml").read_text(encoding="utf-8")
        options = options.replace(f"/run/credentials/{service.name}", str(credentials))
        config.write_text(options.replace("region: ap-southeast-3", f"endpoint: {simulator.url}"))
        command = get_value(service, "ExecStart").replace("/etc/sms-exporter/config.yml", str(config))
        address = f"127.0.0.1:{free_port()}"
        activate = (program("systemd-socket-activate"), f"--listen={address}")
        async with started(*activate, *shlex.split(command)):

            async def ready() -> bool:
                return (await fetch(f"http://{address}/-/ready"))[0] == 200

            await until(ready)
            assert (await scrape(f"http://{address}")).total("source_servers") == 3
