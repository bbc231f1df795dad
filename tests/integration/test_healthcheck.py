"""The health check of a container, as a process, on exporters that are served in every way."""

import socket
import sys
import tempfile
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from exporter import healthcheck
from exporter.simulator import Simulator
from programs import free_port, run, serving, started
from secure import USERS, Site
from support import FakeClock, exporting

COMMAND = (sys.executable, "-m", "exporter.healthcheck")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, trustme.CA(), trustme.CA())


def address(url: str) -> str:
    return url.rpartition("//")[2]


async def test_an_exporter_is_healthy_on_an_address_and_on_a_unix_socket(clock: FakeClock) -> None:
    with tempfile.TemporaryDirectory() as folder:
        places = ("127.0.0.1:0", "[::1]:0", f"unix:{folder}/exporter.sock")
        async with (
            Simulator(servers=1, clock=clock) as simulator,
            exporting(simulator, clock, web={"listen_address": places}) as service,
        ):
            for url in service.urls:
                assert await run(*COMMAND, address(url)) == (0, "", "")


@pytest.mark.parametrize("parted", [",", " ", ", "])
async def test_the_address_is_the_variables_first_where_none_is_given(clock: FakeClock, parted: str) -> None:
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock) as service:
        port = service.urls[0].rpartition(":")[2]
        async with started(*COMMAND, SMS_EXPORTER_WEB_LISTEN_ADDRESS=f":{port}{parted}127.0.0.1:1") as process:
            assert await process.wait() == 0


@pytest.mark.parametrize("asked_for", ["nothing", "a password", "a certificate", "both"])
@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
async def test_an_exporter_behind_tls_is_healthy_whatever_it_asks_for(
    site: Site, clock: FakeClock, asked_for: str, version: str
) -> None:
    tls = site.certify("sms-exporter.example") | {"max_version": version}
    if asked_for in {"a certificate", "both"}:
        tls |= {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.crt"}
    users = {"basic_auth_users": USERS} if asked_for in {"a password", "both"} else {}
    site.write(tls_server_config=tls, **users)
    async with site.exporting(clock) as service:
        assert await run(*COMMAND, address(service.urls[0])) == (0, "", "")


async def test_an_exporter_that_is_gone_or_broken_is_told_in_one_line() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert await run(*COMMAND, nobody) == (1, "", f"{nobody}: [Errno 111] Connection refused\n")

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async with serving(broken) as url:
        assert await run(*COMMAND, address(url)) == (1, "", f"{address(url)}: status 500\n")


@pytest.mark.parametrize("address", ["foo", "", "127.0.0.1:", f"127.0.0.1:{10**30}"])
def test_what_is_no_address_is_told_in_one_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main([address]) == 1
    told = f"{address!r} is no address: write HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH\n"
    assert capsys.readouterr() == ("", told)


def test_an_exporter_that_hangs_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TimeoutError):
            healthcheck.asked(f"127.0.0.1:{silent.getsockname()[1]}")
