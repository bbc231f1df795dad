"""Names that no server resolves, in a process of its own whose resolver configuration is ours."""

import contextlib
import json
import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from exporter.simulator import Simulator
from programs import exporter_command, free_port, program, run, started, until
from support import Scrape

HANGING_ACCOUNTS = 20

NAME_SERVER = f"127.53.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
"""An address that no other process of the tests uses: the port of a name server cannot be chosen."""

# A look-up takes longer than any test waits.
RESOLV_CONF = f"nameserver {NAME_SERVER}\nsearch example.test\noptions timeout:30 attempts:5\n"


@contextlib.contextmanager
def name_server_that_never_answers() -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind((NAME_SERVER, 53))
        except OSError as error:
            pytest.skip(f"no name server can be started: {error}")
        yield


def in_own_namespace(folder: Path, *command: str) -> tuple[str, ...]:
    """Return a command that runs another with the resolver configuration in `folder`."""
    (folder / "resolv.conf").write_text(RESOLV_CONF)
    (folder / "hosts").write_text("127.0.0.1 localhost healthy.example.test\n")
    mounts = " && ".join(
        f"mount --bind {shlex.quote(str(folder / name))} /etc/{name}" for name in ("resolv.conf", "hosts")
    )
    return (program("unshare"), "-m", "sh", "-c", f"{mounts} && exec {shlex.join(command)}")


@pytest.fixture
async def namespaces() -> None:
    status, _, errors = await run(program("unshare"), "-m", "true")
    if status:
        pytest.skip(f"no mount namespace can be created: {errors.strip()}")


@pytest.mark.usefixtures("namespaces")
async def test_a_name_server_that_never_answers_delays_neither_other_accounts_nor_scrapes_nor_the_shutdown(
    tmp_path: Path,
) -> None:
    async with aiohttp.ClientSession() as session, Simulator(servers=3) as simulator:
        accounts = [
            {"name": f"hanging-{number}", "api": {"endpoint": f"https://sms-{number}.hangs.test"}}
            for number in range(HANGING_ACCOUNTS)
        ]
        healthy = {"endpoint": simulator.url.replace("127.0.0.1", "healthy.example.test")}
        # A token of its own: accounts that share one wait for the first answer to it.
        accounts.append({"name": "healthy", "api": healthy, "auth": {"token": simulator.token}})
        config = tmp_path / "config.yml"
        config.write_text("accounts:\n" + "".join(f"  - {json.dumps(account)}\n" for account in accounts))
        url = f"http://127.0.0.1:{free_port()}"
        command = in_own_namespace(
            tmp_path,
            *exporter_command(
                f"--config.file={config}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--poll.interval=1s",
            ),
        )

        async def scrape() -> Scrape:
            async with session.get(f"{url}/metrics") as response:
                return Scrape(await response.text())

        async def healthy_was_polled_often() -> bool:
            return ((await scrape()).value("exporter_polls_total", account="healthy") or 0) >= 4

        with name_server_that_never_answers():
            # Leaving the context sends SIGTERM and requires that the process exits with 0.
            async with started(*command, SMS_EXPORTER_AUTH_TOKEN="token of the others"):
                await until(healthy_was_polled_often)
                seen = await scrape()
    assert seen.value("up", account="healthy") == 1
    assert seen.total("up") == 1


@pytest.mark.usefixtures("namespaces")
async def test_a_name_that_is_not_resolved_in_time_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    arguments = ("check", "--live", "--api.endpoint=https://sms.hangs.test", "--api.connect-timeout=100ms")
    with name_server_that_never_answers():
        status, output, errors = await run(
            *in_own_namespace(tmp_path, *exporter_command(*arguments)), SMS_EXPORTER_AUTH_TOKEN="token"
        )
    assert status != 0, errors
    assert "the name sms.hangs.test was not resolved within 0.1 seconds" in output
    assert "/etc/resolv.conf" in output
