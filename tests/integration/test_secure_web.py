"""The web configuration in use: real certificates, real clients, files that change on disk."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import trustme
from aiohttp import web
from structlog.testing import capture_logs

from exporter.errors import ConfigurationError
from exporter.web.toolkit import Policy, access_control
from exporter.web.toolkit.model import WebConfig
from exporter.web.toolkit.policy import FileContents
from exporter.web.toolkit.users import MAX_CHECKS, Users
from programs import program, run, serving, until
from secure import HASH, PASSWORD, REFUSED, RIGHT, USERS, Site, ask
from support import FakeClock

KEPT = "web configuration reload failed, keeping previous"
PATHS = ("/metrics", "/probe?account=default", "/self", "/sd", "/", "/config", "/polls", "/-/healthy", "/-/ready")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, trustme.CA(), trustme.CA())


VERIFY_IF_GIVEN = {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "clients.crt"}
REQUIRE = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "clients.crt"}
SANS = {"client_allowed_sans": ["other.example.org", "scraper.example.org"]}


async def test_large_expositions_arrive_complete_over_tls(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify())
    async with site.exporting(clock, servers=1500) as service:
        connector = aiohttp.TCPConnector(ssl=site.client())
        async with asyncio.timeout(30), aiohttp.ClientSession(connector=connector) as session:
            for encoding in ("identity", "gzip") * 3:
                headers = {"Accept-Encoding": encoding}
                async with session.get(f"{service.urls[0]}/metrics", headers=headers) as response:
                    text = await response.text()
                assert text.count("huaweicloud_sms_source_server_info{") == 1500


@pytest.mark.parametrize(
    ("keys", "accepted"),
    [
        ({}, ["stranger", "foreigner", "guest", "scraper"]),
        ({"client_auth_type": "NoClientCert"}, ["stranger", "foreigner", "guest", "scraper"]),
        (VERIFY_IF_GIVEN, ["stranger", "guest", "scraper"]),
        (REQUIRE, ["guest", "scraper"]),
        (REQUIRE | SANS, ["scraper"]),
        # A client without a certificate has no allowed name.
        (VERIFY_IF_GIVEN | SANS, ["scraper"]),
        # Without a client CA the system's authorities are trusted, and none of them issued our certificates.
        ({"client_auth_type": "RequireAndVerifyClientCert"}, []),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_auth_type_decides_which_clients_are_accepted(
    site: Site, clock: FakeClock, keys: dict[str, object], accepted: list[str], version: ssl.TLSVersion
) -> None:
    site.write(tls_server_config=site.certify() | keys)
    clients = {
        "stranger": site.client(),
        "foreigner": site.client("scraper.example.org", issuer=trustme.CA()),
        "guest": site.client("guest.example.org"),
        "scraper": site.client("scraper.example.org"),
    }
    async with site.exporting(clock) as service:
        assert service.urls[0].startswith("https://127.0.0.1:")
        answers = {}
        for name, client in clients.items():
            client.minimum_version = client.maximum_version = version
            answers[name] = await ask(f"{service.urls[0]}/metrics", client)
    assert [name for name, (status, _, _) in answers.items() if status == 200] == accepted
    assert all(answers[name] == REFUSED for name in clients if name not in accepted)


@pytest.mark.parametrize("san", ["10.1.2.3", "2001:db8::1", "ops@example.org", "*.example.org"])
async def test_an_allowed_san_can_be_of_any_kind_and_must_match_completely(
    site: Site, clock: FakeClock, san: str
) -> None:
    site.write(tls_server_config=site.certify() | REQUIRE | {"client_allowed_sans": [san]})
    async with site.exporting(clock) as service:
        assert (await ask(f"{service.urls[0]}/metrics", site.client(san)))[0] == 200
        assert await ask(f"{service.urls[0]}/metrics", site.client("a.example.org")) == REFUSED


async def test_a_client_that_is_not_allowed_causes_one_line_at_debug(
    site: Site, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(tls_server_config=site.certify() | REQUIRE | SANS)
    async with site.exporting(clock) as service:
        with capture_logs() as events, caplog.at_level("DEBUG", logger="asyncio"):
            assert await ask(f"{service.urls[0]}/metrics", site.client("stranger.example.org")) == REFUSED
            assert (await ask(f"{service.urls[0]}/metrics", site.client("scraper.example.org")))[0] == 200
    refusals = [event for event in events if event["event"] == "TLS handshake failed"]
    assert {(event["log_level"], "client_allowed_sans" in event["reason"]) for event in refusals} == {("debug", True)}
    assert not [record for record in caplog.records if record.exc_info]


async def test_certificate_and_key_can_be_inline(site: Site, clock: FakeClock) -> None:
    issued = site.authority.issue_cert("127.0.0.1")
    site.write(
        tls_server_config={
            "cert": issued.cert_chain_pems[0].bytes().decode(),
            "key": issued.private_key_pem.bytes().decode(),
            "client_ca": site.clients.cert_pem.bytes().decode(),
            "client_auth_type": "RequireAndVerifyClientCert",
        },
    )
    async with site.exporting(clock) as service:
        assert (await ask(f"{service.urls[0]}/metrics", site.client("any")))[0] == 200
        assert await ask(f"{service.urls[0]}/metrics", site.client()) == REFUSED


async def test_the_file_sets_tls_versions_and_cipher_suites(site: Site, clock: FakeClock) -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    site.write(tls_server_config=site.certify() | {"max_version": "TLS12", "cipher_suites": [suite]})
    async with site.exporting(clock) as service:
        port = int(service.urls[0].rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=site.client())
        agreed = writer.get_extra_info("ssl_object")
        assert (agreed.version(), agreed.cipher()[0]) == ("TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305")
        writer.transport.abort()
        newer = site.client()
        newer.minimum_version = ssl.TLSVersion.TLSv1_3
        assert await ask(f"{service.urls[0]}/metrics", newer) == REFUSED


async def test_a_new_certificate_on_disk_is_used_for_the_next_connection(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify())
    async with site.exporting(clock) as service:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=site.client())) as session:
            async with session.get(f"{service.urls[0]}/metrics") as before:
                assert before.status == 200
                await before.read()
            former = site.client()
            site.authority = trustme.CA()
            site.certify()
            await site.look(clock)
            assert (await ask(f"{service.urls[0]}/metrics", site.client()))[0] == 200
            assert await ask(f"{service.urls[0]}/metrics", former) == REFUSED
            async with session.get(f"{service.urls[0]}/metrics") as after:
                # The open connection continues.
                assert after.status == 200
                await after.read()


async def test_a_new_client_ca_on_disk_replaces_the_previous_one(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify() | REQUIRE)
    async with site.exporting(clock) as service:
        former = site.client("scraper")
        assert (await ask(f"{service.urls[0]}/metrics", former))[0] == 200
        site.clients = trustme.CA()
        site.certify()
        await site.look(clock)
        assert await ask(f"{service.urls[0]}/metrics", former) == REFUSED
        assert (await ask(f"{service.urls[0]}/metrics", site.client("scraper")))[0] == 200


async def test_a_plain_http_request_to_the_tls_port_is_answered_400(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify())
    async with site.exporting(clock) as service:
        status, text, _ = await ask(service.urls[0].replace("https:", "http:"))
    assert (status, text) == (400, "Client sent an HTTP request to an HTTPS server.\n")


@pytest.mark.parametrize(
    ("version", "alert"),
    [
        (ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED"),
    ],
)
async def test_a_client_without_its_certificate_receives_a_tls_alert(
    site: Site, clock: FakeClock, version: ssl.TLSVersion, alert: str
) -> None:
    site.write(tls_server_config=site.certify() | REQUIRE)
    client = site.client()
    client.minimum_version = client.maximum_version = version
    async with site.exporting(clock) as service:
        port = int(service.urls[0].rpartition(":")[2])

        async def connect_and_read() -> None:
            reader, _ = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            # In TLS 1.3 the client's handshake ends before the server checks the certificate.
            await reader.read()

        with pytest.raises(ssl.SSLError, match=alert):
            await connect_and_read()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_scrape_fails_while_certificates_change_and_nothing_leaks(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify(), basic_auth_users=USERS)
    tls = site.client()
    async with site.exporting(clock) as service:
        url = f"{service.urls[0]}/metrics"
        assert (await ask(url, tls, RIGHT))[0] == 200
        open_at_first = open_files()
        changing = True

        async def scraping() -> set[int]:
            statuses = set()
            while changing:
                statuses.add((await ask(url, tls, RIGHT))[0])
            return statuses

        scrapers = [asyncio.create_task(scraping()) for _ in range(3)]
        for number in range(15):
            # Every third time the key does not belong to the certificate.
            site.certify()
            if number % 3 == 2:
                (site.folder / "server.key").write_bytes(site.authority.issue_cert("x").private_key_pem.bytes())
            await site.look(clock)
        changing = False
        assert await asyncio.gather(*scrapers) == [{200}] * 3

        async def none_leaked() -> bool:
            return open_files() <= open_at_first

        await until(none_leaked)


@pytest.mark.parametrize("name", ["web.yml", "server.crt", "server.key"])
@pytest.mark.parametrize("content", [None, "", "half a fi"])
async def test_an_invalid_file_keeps_the_previous_configuration_and_is_logged_once(
    site: Site, clock: FakeClock, name: str, content: str | None
) -> None:
    site.write(tls_server_config=site.certify(), basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        broken = site.folder / name
        whole = broken.read_bytes()
        broken.unlink()
        if content is not None:
            broken.write_text(content)
        with capture_logs() as lines:
            for _ in range(3):
                await site.look(clock)
                assert (await ask(f"{service.urls[0]}/metrics", site.client(), RIGHT))[0] == 200
        assert [line["log_level"] for line in lines if line["event"] == KEPT] == ["warning"]
        broken.write_bytes(whole)
        with capture_logs() as lines:
            await site.look(clock)
            assert (await ask(f"{service.urls[0]}/metrics", site.client(), RIGHT))[0] == 200
        assert [line["log_level"] for line in lines if line["event"].startswith("web config")] == ["info"]


async def test_a_file_that_is_being_written_neither_opens_access_nor_logs_an_error(
    site: Site, clock: FakeClock
) -> None:
    site.write(basic_auth_users=USERS)
    whole = site.file.read_text()
    async with site.exporting(clock) as service:
        for half in ("", whole[:20], "basic_auth_users:\n"):
            with capture_logs() as lines:
                site.file.write_text(half)
                await site.glance(clock)
                assert (await ask(f"{service.urls[0]}/metrics"))[0] == 401
                site.file.write_text(whole)
                await site.glance(clock)
            assert not [line for line in lines if line["event"].startswith("web config")]


async def test_a_file_that_keeps_changing_is_reported_once(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        with capture_logs() as lines:
            for number in range(20):
                site.write(basic_auth_users=USERS | {f"user-{number}": HASH})
                await site.glance(clock)
        assert (await ask(f"{service.urls[0]}/metrics", auth=("user-19", PASSWORD)))[0] == 401
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "web configuration keeps changing, keeping previous"
    ]


async def test_new_users_on_disk_replace_the_previous_ones(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        url = f"{service.urls[0]}/metrics"
        assert (await ask(url, auth=RIGHT))[0] == 200
        site.write(basic_auth_users={"prometheus": bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()})
        await site.look(clock)
        assert (await ask(url, auth=RIGHT))[0] == 401
        assert (await ask(url, auth=("prometheus", "new")))[0] == 200
        site.write(basic_auth_users={"other": HASH})
        await site.look(clock)
        assert (await ask(url, auth=("prometheus", "new")))[0] == 401
        assert (await ask(url, auth=("other", PASSWORD)))[0] == 200


async def test_a_file_without_its_tls_section_does_not_disable_tls(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify(), basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        site.write(basic_auth_users={})
        await site.look(clock)
        assert (await ask(f"{service.urls[0]}/metrics", site.client()))[0] == 401


async def test_an_empty_file_does_not_remove_the_users(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        site.file.write_text("")
        await site.look(clock)
        assert (await ask(f"{service.urls[0]}/metrics"))[0] == 401


async def test_a_wrong_password_and_an_unknown_user_get_the_same_response(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        url = f"{service.urls[0]}/metrics"
        answers = [
            await ask(url, auth=auth)
            for auth in (
                None,
                ("prometheus", "wrong"),
                ("nobody", "wrong"),
                ("nobody", PASSWORD),
            )
        ]
        assert (await ask(url, auth=RIGHT))[0] == 200
    seen = {
        (status, text, *sorted((k, v) for k, v in headers.items() if k != "Date")) for status, text, headers in answers
    }
    assert len(seen) == 1
    status, text, headers = answers[0]
    assert (status, text) == (401, "Unauthorized.\n")
    assert headers["WWW-Authenticate"] == 'Basic realm="sms-exporter", charset="UTF-8"'


async def test_nothing_is_served_without_a_password_for_any_path_and_method(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS)
    odd = (
        "/nowhere",
        "//metrics",
        "/-/../metrics",
        "/-/%68ealthy",
        "/metrics/",
        "/%2e%2e/",
        "/-/healthy/",
        "/-/reload",
    )
    async with site.exporting(clock) as service:
        for path in (*PATHS, *odd):
            for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PROPFIND"):
                assert (await ask(f"{service.urls[0]}{path}", method=method))[0] == 401, (method, path)
        for path in PATHS:
            assert (await ask(f"{service.urls[0]}{path}", auth=RIGHT))[0] == 200, path


async def test_probes_can_be_exempt_from_authentication_and_rate_limit(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS, rate_limit={"interval": "1h", "burst": 1})
    async with site.exporting(clock, probes_without_auth=True) as service:
        for _ in range(3):
            assert (await ask(f"{service.urls[0]}/-/healthy"))[0] == 200
            assert (await ask(f"{service.urls[0]}/-/ready"))[0] == 200
        assert (await ask(f"{service.urls[0]}/metrics"))[0] == 401
        assert (await ask(f"{service.urls[0]}/-/reload", method="POST"))[0] == 429


async def test_the_rate_limit_applies_before_passwords_are_checked(site: Site, clock: FakeClock) -> None:
    site.write(basic_auth_users=USERS, rate_limit={"interval": "2h", "burst": 2})
    async with site.exporting(clock) as service:
        url = f"{service.urls[0]}/metrics"
        wrong = ("prometheus", "wrong")
        assert [(await ask(url, auth=wrong))[0] for _ in range(3)] == [401, 401, 429]
        assert (await ask(url, auth=RIGHT))[0] == 429


async def test_too_many_waiting_passwords_are_answered_429_while_known_users_are_accepted() -> None:
    gate = threading.Event()
    gate.set()

    def check(password: bytes, hashed: bytes) -> bool:
        gate.wait()
        return bcrypt.checkpw(password, hashed)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async def screened(request: web.Request) -> web.StreamResponse:
        return await access_control(lambda: policy)(request, answer)

    policy = Policy(FileContents(WebConfig(), None, str), tls=None, users=Users(USERS, check), bucket=None)
    async with serving(screened) as url:
        assert (await ask(url, auth=RIGHT))[0] == 200
        gate.clear()
        try:
            strangers = [asyncio.create_task(ask(url, auth=("eve", f"{n}"))) for n in range(MAX_CHECKS + 1)]
            ((first,), _) = await asyncio.wait(strangers, return_when=asyncio.FIRST_COMPLETED)
            assert (first.result()[0], first.result()[2]["Retry-After"]) == (429, "1")
            assert (await ask(url, auth=RIGHT))[0] == 200
        finally:
            gate.set()
        assert sorted(status for status, _, _ in await asyncio.gather(*strangers)) == [401] * MAX_CHECKS + [429]


async def test_an_unchanged_rate_limit_keeps_its_tokens_on_reload(site: Site, clock: FakeClock) -> None:
    limit = {"interval": "2h", "burst": 1}
    site.write(rate_limit=limit)
    async with site.exporting(clock) as service:
        assert (await ask(f"{service.urls[0]}/metrics"))[0] == 200
        site.write(rate_limit=limit, http_server_config={"headers": {"X-XSS-Protection": "0"}})
        await site.look(clock)
        status, _, headers = await ask(f"{service.urls[0]}/metrics")
        assert (status, headers["X-XSS-Protection"]) == (429, "0")


async def test_configured_headers_are_on_every_response_and_a_blank_one_removes_the_header(
    site: Site, clock: FakeClock
) -> None:
    configured = {
        "Strict-Transport-Security": "max-age=31536000",
        "X-Frame-Options": "sameorigin",
        "Content-Security-Policy": "",
    }
    site.write(http_server_config={"http2": False, "headers": configured}, basic_auth_users=USERS)
    async with site.exporting(clock) as service:
        for path, auth in (("/metrics", RIGHT), ("/", RIGHT), ("/nowhere", RIGHT), ("/metrics", None)):
            _, _, headers = await ask(f"{service.urls[0]}{path}", auth=auth)
            assert headers["Strict-Transport-Security"] == "max-age=31536000"
            assert headers["X-Frame-Options"] == "sameorigin"
            assert "Content-Security-Policy" not in headers


async def test_discovery_over_tls_sets_the_scheme_https(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config=site.certify())
    async with site.exporting(clock) as service:
        _, text, _ = await ask(f"{service.urls[0]}/sd", site.client())
    assert '"__scheme__": "https"' in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--cert", "scraper.pem", "--user", f"prometheus:{PASSWORD}"], (0, "200")),
        (["--cert", "scraper.pem", "--user", "prometheus:wrong"], (0, "401")),
        (["--cert", "scraper.pem", "--user", f"nobody:{PASSWORD}"], (0, "401")),
        (["--cert", "scraper.pem"], (0, "401")),
        (["--cert", "scraper.pem", "--user", f"prometheus:{PASSWORD}", "--tls-max", "1.2"], (56, "000")),
        (["--user", f"prometheus:{PASSWORD}"], (56, "000")),
    ],
)
async def test_curl_needs_both_the_certificate_and_the_password(
    site: Site, clock: FakeClock, arguments: Sequence[str], expected: tuple[int, str]
) -> None:
    curl = program("curl")
    site.write(tls_server_config=site.certify() | REQUIRE | {"min_version": "TLS13"}, basic_auth_users=USERS)
    site.clients.issue_cert("scraper").private_key_and_cert_chain_pem.write_to_path(site.folder / "scraper.pem")
    options = [str(site.folder / word) if word.endswith(".pem") else word for word in arguments]
    async with site.exporting(clock) as service:
        status, output, _ = await run(
            curl,
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--cacert",
            str(site.folder / "authority.crt"),
            *options,
            f"{service.urls[0]}/metrics",
        )
    if expected[0]:
        # The exit status depends on curl's TLS library.
        assert (status != 0, output) == (True, "000")
    else:
        assert (status, output) == expected


async def test_an_invalid_file_at_startup_is_an_error_that_names_it(site: Site, clock: FakeClock) -> None:
    site.write(tls_server_config={"cert_file": "server.crt", "key_file": "server.key"})
    with pytest.raises(ConfigurationError, match=r"cert_file: given '.*server\.crt': cannot be read: No such file"):
        async with site.exporting(clock):
            pass
