"""The systemd units: verified, sandboxed, and their command run with a socket that is passed."""

import asyncio
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from programs import free_port, program, run, started, until
from support import DATA, fetch, scrape

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


async def test_all_threads_of_the_service_use_one_heap(units: Path) -> None:
    assert get_value(units / "sms-exporter.service", "Environment") == "MALLOC_ARENA_MAX=1"


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


def find_python() -> str:
    """Return an interpreter of this version that the sandbox of the service can execute."""
    for path in (sys._base_executable, "/usr/bin/python3"):  # type: ignore[attr-defined]
        resolved = Path(path).resolve()
        if resolved.name.endswith(f"python{sys.version_info.major}.{sys.version_info.minor}") and not any(
            resolved.is_relative_to(hidden) for hidden in ("/root", "/home")
        ):
            return str(resolved)
    pytest.skip("the service may not execute the interpreter of this machine")


async def test_systemd_as_pid_1_starts_stops_and_fails_the_service_once(tmp_path: Path) -> None:
    if os.geteuid() or not Path("/lib/systemd/systemd").exists():
        pytest.skip("needs root and systemd")
    (tmp_path / "shared").mkdir()
    shutil.copy(DATA / "systemd" / "scenario.sh", tmp_path / "shared")
    (tmp_path / "scenario.service").write_text(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/bash /opt/shared/scenario.sh\n"
        "StandardOutput=file:/opt/shared/output\nStandardError=file:/opt/shared/errors\n"
    )
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--net", "--cgroup")
    boot = (str(DATA / "systemd" / "boot.sh"), str(UNITS.parents[1]), sysconfig.get_path("purelib"), find_python())
    process = await asyncio.create_subprocess_exec(
        *namespaces, "bash", *boot, str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output = tmp_path / "shared" / "output"
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != b"isolated\n":
            assert process.stderr is not None
            pytest.skip(f"this machine allows no systemd of its own: {(await process.stderr.read()).decode()}")
        await until(lambda: asyncio.sleep(0, output.exists() and "end=1" in output.read_text()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    seen = dict(line.partition("=")[::2] for line in output.read_text().splitlines())
    assert (seen["invalid"], seen["invalid_starts"]) == ("failed inactive 000 000 failed", "1")
    assert "config.yml line 3: poll.interval: given '60'" in seen["invalid_journal"]
    assert seen["started"] == "active active 200"
    assert seen["restarted"] == f"active {'200' * 20}"
    assert seen["stopped"] == "inactive 000 inactive"
