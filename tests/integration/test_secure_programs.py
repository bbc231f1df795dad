"""The exporter with TLS and users as a process, scraped by a real Prometheus."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import trustme

from programs import exporter_command, program, prometheus, run, run_in_process, started
from secure import HASH, PASSWORD, USERS, Site, ask
from support import TIMEOUT_SECONDS

ADDRESS = "--web.listen-address=127.0.0.1:0"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, trustme.CA(), trustme.CA())
    made.write(
        tls_server_config=made.certify()
        | {
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "clients.crt",
            "client_allowed_sans": ["prometheus.example.org"],
        },
        basic_auth_users=USERS,
        rate_limit={"interval": "10ms", "burst": 50},
    )
    return made


async def test_prometheus_scrapes_over_tls_with_its_certificate_and_password(site: Site) -> None:
    program("prometheus")
    issued = site.clients.issue_cert("prometheus.example.org")
    issued.cert_chain_pems[0].write_to_path(site.folder / "prometheus.crt")
    issued.private_key_pem.write_to_path(site.folder / "prometheus.key")
    (site.folder / "password").write_text(PASSWORD)
    access = (
        f"tls_config: {{ca_file: '{site.folder}/authority.crt', cert_file: '{site.folder}/prometheus.crt', "
        f"key_file: '{site.folder}/prometheus.key'}}, "
        f"basic_auth: {{username: prometheus, password_file: '{site.folder}/password'}}"
    )
    command = exporter_command("demo", ADDRESS, "--servers=7", f"--web.config.file={site.file}")
    async with started(*command) as process:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            url = (await process.stdout.readline()).decode().split()[1]
        target = url.removeprefix("https://")
        scraping = (
            f"  - {{job_name: direct, scheme: https, {access}, static_configs: [{{targets: ['{target}']}}]}}\n"
            # The service discovery reports the scheme https.
            f"  - {{job_name: discovered, {access}, http_sd_configs: [{{url: '{url}/sd', {access}}}]}}\n"
            f"  - {{job_name: stranger, scheme: https, tls_config: {{ca_file: '{site.folder}/authority.crt'}}, "
            f"static_configs: [{{targets: ['{target}']}}]}}\n"
        )
        async with prometheus(site.folder, scraping) as server:
            for job in ("direct", "discovered"):
                assert await server.value(f"sum(huaweicloud_sms_source_servers{{job='{job}'}})") == 7
            assert await server.value("up{job='stranger'}") == 0


async def test_no_log_contains_a_password_or_a_key(site: Site) -> None:
    command = exporter_command(
        "demo", ADDRESS, "--servers=1", f"--web.config.file={site.file}", "--log.level=debug", "--log.format=json"
    )
    tls = site.client("prometheus.example.org")
    async with started(*command) as process:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            url = (await process.stdout.readline()).decode().split()[1]
        assert (await ask(f"{url}/metrics?x=1", tls, ("prometheus", PASSWORD)))[0] == 200
        assert (await ask(f"{url}/%0Aodd", tls, ("prometheus", "wrong-word")))[0] == 401
        assert (await ask(url, site.client()))[0] == 0
        process.terminate()
        _, errors = await process.communicate()
    text = errors.decode()
    lines = [json.loads(line) for line in text.splitlines()]
    seen = [line for line in lines if line["msg"] == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in seen] == [
        ("GET", "/metrics", 200),
        ("GET", "/\nodd", 401),
    ]
    assert {line["level"] for line in seen} == {"debug"}
    assert {line["client"] for line in seen} == {"127.0.0.1"}
    assert all(line["bytes"] > 0 and line["duration"] >= 0 for line in seen)
    assert [line["reason"] for line in lines if line["msg"] == "TLS handshake failed"]
    for secret in (PASSWORD, "wrong-word", HASH, "Basic ", "PRIVATE"):
        assert secret not in text


async def test_the_check_summarizes_the_web_configuration_in_one_line(site: Site) -> None:
    options = ("--api.region=cn-north-4", "--auth.token=x", "--config.check", f"--web.config.file={site.file}")
    status, output, _ = await run_in_process(*options)
    assert status == 0
    assert output.splitlines()[-1] == (
        "web: TLS12 to TLS13; client certificates required; 1 user; one request every 0.01s, burst 50"
    )


async def test_each_error_of_the_web_configuration_is_one_line_and_the_exit_code_is_2(site: Site) -> None:
    site.write(tls_server_config={"cert_fil": "a", "key": "s3cret"}, rate_limit={"burst": "many"})
    for options in ((), ("--config.check",)):
        status, output, errors = await run(
            *exporter_command(*options, "--api.region=cn-north-4", "--auth.token=x", ADDRESS),
            f"--web.config.file={site.file}",
        )
        assert (status, output) == (2, "")
        assert [re.sub(r".*web\.yml line \d+: ", "", line) for line in errors.splitlines()] == [
            "tls_server_config: no such key; did you mean tls_server_config.cert_file?",
            "rate_limit.burst: given 'many': write a whole number of 0 or more, without quotes",
        ]
