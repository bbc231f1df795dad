"""The health check of a container, as a process, against exporters that listen in every way."""

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


@pytest.mark.parametrize("separator", [",", " ", ", "])
async def test_without_an_argument_the_variable_has_the_address(clock: FakeClock, separator: str) -> None:
    async with Simulator(servers=1, clock=clock) as simulator, exporting(simulator, clock) as service:
        port = service.urls[0].rpartition(":")[2]
        async with started(*COMMAND, SMS_EXPORTER_WEB_LISTEN_ADDRESS=f":{port}{separator}127.0.0.1:1") as process:
            assert await process.wait() == 0


@pytest.mark.parametrize("required", ["nothing", "a password", "a certificate", "both"])
@pytest.mark.parametrize("version", ["TLS12", "TLS13"])
async def test_an_exporter_with_tls_is_healthy_whatever_it_requires(
    site: Site, clock: FakeClock, required: str, version: str
) -> None:
    tls = site.certify("sms-exporter.example") | {"max_version": version}
    if required in {"a certificate", "both"}:
        tls |= {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.crt"}
    users = {"basic_auth_users": USERS} if required in {"a password", "both"} else {}
    site.write(tls_server_config=tls, **users)
    async with site.exporting(clock) as service:
        assert await run(*COMMAND, address(service.urls[0])) == (0, "", "")


async def test_an_exporter_that_is_gone_or_broken_is_reported_in_one_line() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert await run(*COMMAND, nobody) == (1, "", f"{nobody}: [Errno 111] Connection refused\n")

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    async with serving(broken) as url:
        assert await run(*COMMAND, address(url)) == (1, "", f"{address(url)}: status 500\n")


def test_an_address_that_is_a_url_is_reported_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["http://user:s3cret@h/?key=s3cret"]) == 1
    assert capsys.readouterr().err.startswith("'http://<secret>@h/?<secret>' is not an address: write HOST:PORT")


@pytest.mark.parametrize("address", ["foo", "", "127.0.0.1:", f"127.0.0.1:{10**30}"])
def test_an_invalid_address_is_reported_in_one_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main([address]) == 1
    message = f"{address!r} is not an address: write HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH\n"
    assert capsys.readouterr() == ("", message)


def test_an_exporter_that_hangs_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "TIMEOUT_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TimeoutError):
            healthcheck.get_status(f"127.0.0.1:{silent.getsockname()[1]}")
