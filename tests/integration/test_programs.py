"""The exporter as a process, and real programs that read it."""

import asyncio
import contextlib
import json
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from exporter.simulator import Simulator
from programs import (
    demo,
    exporter_command,
    printed_url,
    program,
    prometheus,
    run,
    run_in_process,
    started,
)
from support import TIMEOUT_SECONDS, Scrape, fetch, scrape


async def test_promtool_accepts_a_scrape_of_the_demo() -> None:
    promtool = program("promtool")
    async with demo("--collector.disks", "--servers=60") as url:
        _, text, _ = await fetch(f"{url}/metrics")
    status, output, errors = await run(promtool, "check", "metrics", given=text.encode())
    assert (status, output, errors) == (0, "", "")


async def test_prometheus_scrapes_the_demo(tmp_path: Path) -> None:
    program("prometheus")
    async with demo("--servers=230") as url:
        target = url.removeprefix("http://")
        scraping = f"  - {{job_name: sms, static_configs: [{{targets: ['{target}']}}]}}\n"
        async with prometheus(tmp_path, scraping) as server:
            assert await server.value("sum(huaweicloud_sms_source_servers)") == 230
            assert await server.value("count(huaweicloud_sms_source_server_info)") == 230
            assert await server.value("huaweicloud_sms_up") == 1
            assert await server.value("up{job='sms'}") == 1


async def test_prometheus_discovers_the_accounts_and_gets_every_series_once(tmp_path: Path) -> None:
    program("prometheus")
    async with demo("--servers=20", "--account.name=north east") as url:
        address = url.removeprefix("http://")
        scraping = (
            f"  - {{job_name: sms, http_sd_configs: [{{url: '{url}/sd', refresh_interval: 1s}}]}}\n"
            f"  - {{job_name: whole, static_configs: [{{targets: ['{address}']}}]}}\n"
        )
        own = "__name__!~'up|scrape_.+'"
        async with prometheus(tmp_path, scraping) as server:
            assert await server.value("sum(huaweicloud_sms_source_servers{job='sms', account='north east'})") == 20
            assert await server.value(f"up{{job='sms', instance='{address}/north east'}}") == 1
            assert await server.value(f"up{{job='sms', instance='{address}'}}") == 1
            assert await server.value(f"count(group by (__name__) ({{job='whole', {own}}})) > 50") > 50
            for one, other in (("whole", "sms"), ("sms", "whole")):
                names = (f"group by (__name__) ({{job='{job}', {own}}})" for job in (one, other))
                assert await server.value(f"absent({' unless on (__name__) '.join(names)})") == 1
            series = f"label_replace({{job='sms', {own}}}, 'family', '$1', '__name__', '(.+)')"
            assert await server.value(f"max(count without (instance) ({series}))") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1", "https://127.0.0.1/sms", "http://127.0.0.1:1"])
async def test_prometheus_gives_discovered_targets_of_an_exporter_the_same_address(tmp_path: Path, url: str) -> None:
    program("prometheus")
    outside = urlsplit(url)
    async with demo("--servers=1", f"--web.external-url={url}") as inside:
        discovery = f"{{url: '{inside}{outside.path}/sd', refresh_interval: 1s}}"
        scraping = f"  - {{job_name: sms, http_sd_configs: [{discovery}]}}\n"
        async with prometheus(tmp_path, scraping) as server:
            # Nothing listens at these addresses, but the labels of the targets decide.
            assert await server.value(f"up{{instance='{outside.netloc}'}}") == 0
            assert await server.value(f"up{{instance='{outside.netloc}/demo'}}") == 0


async def test_the_demo_prints_only_its_address() -> None:
    command = exporter_command("demo", "--web.listen-address=127.0.0.1:0", "--servers=3")
    async with started(*command) as process:
        url = await printed_url(process)
        assert (await scrape(url)).total("source_servers") == 3
        process.send_signal(signal.SIGTERM)
        output, errors = await process.communicate()
    assert (output, errors) == (b"", b"")


async def test_sigterm_lets_running_scrapes_finish() -> None:
    # With this interval, the first poll has a minute: on a busy machine, so many servers need it.
    options = ("--servers=3000", "--collector.disks", "--poll.interval=1h")
    command = exporter_command("demo", "--web.listen-address=127.0.0.1:0", *options)
    async with started(*command) as process:
        url = await printed_url(process)
        async with aiohttp.ClientSession() as session:
            # The head is here, most of the body is not yet.
            answers = [await session.get(f"{url}/metrics", headers={"Accept-Encoding": ""}) for _ in range(5)]
            process.send_signal(signal.SIGTERM)
            texts = [await answer.text() for answer in answers]
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert await process.wait() == 0
    assert all(Scrape(text).total("source_servers") == 3000 for text in texts[:1])
    assert {text.splitlines()[-1].split()[0] for text in texts} == {texts[0].splitlines()[-1].split()[0]}


async def test_ctrl_c_is_a_clean_shutdown() -> None:
    async with started(*exporter_command("demo", "--web.listen-address=127.0.0.1:0", "--servers=1")) as process:
        await printed_url(process)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_the_exporter_polls_a_simulator_in_another_process() -> None:
    async with started(*exporter_command("simulate", "--listen=127.0.0.1:0", "--servers=12", "--seed=3")) as simulator:
        assert simulator.stdout is not None
        told = {}
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while "token" not in told:
                words = (await simulator.stdout.readline()).decode().split()
                told[words[0]] = words[1]
        command = exporter_command(
            "--config.check", f"--api.endpoint={told['endpoint']}", f"--auth.token={told['token']}"
        )
        status, output, _ = await run(*command)
        assert status == 0
        assert told["endpoint"] in output
        assert told["token"] not in output


async def test_the_same_seed_simulates_the_same_fleet() -> None:
    names = []
    for _ in range(2):
        async with demo("--servers=40", "--seed=5") as url:
            names.append((await scrape(url)).label_values("source_server_info", "name"))
    assert names[0] == names[1]


async def test_an_invalid_option_is_one_line_and_exit_code_2() -> None:
    status, output, errors = await run_in_process("--poll.interval=60")
    assert (status, output) == (2, "")
    assert errors.startswith("sms-exporter: error: --poll.interval: given '60'")
    assert errors.count("\n") == 1


async def test_an_unknown_command_is_an_error_that_lists_the_commands() -> None:
    status, _, errors = await run_in_process("rnu")
    assert status == 2
    assert errors == (
        "sms-exporter: error: rnu: no such command; did you mean run?; "
        "the commands are run, check, once, status, capture, demo, simulate\n"
    )


async def test_a_missing_region_is_one_line_that_lists_the_regions() -> None:
    status, _, errors = await run_in_process("--auth.token=x")
    assert status == 2
    assert errors.count("\n") == 1
    assert "api.region or api.endpoint is required" in errors


async def test_a_ca_file_without_certificates_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate\n")
    for command in ("run", "check", "once"):
        options = ("--api.endpoint=https://127.0.0.1:9", "--auth.token=x", f"--api.ca-file={bundle}")
        status, output, errors = await run_in_process(command, *options)
        assert (status, output) == (2, "")
        assert errors.startswith(f"sms-exporter: error: --api.ca-file: given '{bundle}': contains no certificate")
        assert errors.count("\n") == 1


async def test_an_address_in_use_is_one_line_and_exit_code_1() -> None:
    async with demo("--servers=1") as url:
        address = url.removeprefix("http://")
        status, _, errors = await run(*exporter_command("demo", f"--web.listen-address={address}", "--servers=1"))
    assert status == 1
    assert address in errors
    assert errors.count("\n") == 1


async def test_the_version_is_printed() -> None:
    status, output, _ = await run(*exporter_command("--version"))
    assert status == 0
    assert re.match(r"sms-exporter, version \d+\.\d+\.\d+ \(revision: \w+\)\n  python version: ", output)


async def test_help_of_every_command_names_its_options() -> None:
    for command, option in (
        ("run", "--poll.interval"),
        ("check", "--live"),
        ("demo", "--servers"),
        ("simulate", "--fault"),
    ):
        status, output, _ = await run_in_process(command, "--help")
        assert status == 0
        assert option in output


async def test_a_run_logs_each_poll_at_debug_and_each_change_of_status_once() -> None:
    async with Simulator(servers=3, faults=["server-error,times=1", "forbidden,after=1,times=3"]) as simulator:
        command = exporter_command(
            f"--api.endpoint={simulator.url}",
            "--web.listen-address=127.0.0.1:0",
            "--poll.interval=1s",
            "--log.level=debug",
            "--log.format=json",
        )
        async with started(*command, SMS_EXPORTER_AUTH_TOKEN=simulator.token) as process:
            assert process.stderr is not None
            lines: list[dict[str, object]] = []
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while [line["msg"] for line in lines].count("account is up") < 2:
                    lines.append(json.loads(await process.stderr.readline()))
    assert [line["account"] for line in lines if line["msg"] == "retrying page request"] == ["default"]
    ended = [line for line in lines if line["msg"] == "poll ended"]
    changes = [line for line in lines if line["msg"] in {"account is up", "poll failed"}]
    assert [(line["level"], line["result"]) for line in ended] == [
        ("debug", "complete"),
        *[("debug", "permission")] * 3,
        ("debug", "complete"),
    ]
    assert [(line["level"], line["msg"]) for line in changes] == [
        ("info", "account is up"),
        ("warn", "poll failed"),
        ("info", "account is up"),
    ]


async def test_nothing_secret_is_logged_by_a_run_at_debug() -> None:
    secret = "s3cr3t-token-value"
    command = exporter_command(
        "--api.endpoint=http://127.0.0.1:9",
        "--web.listen-address=127.0.0.1:0",
        "--log.level=debug",
    )
    async with started(*command, SMS_EXPORTER_AUTH_TOKEN=secret) as process:
        assert process.stderr is not None
        lines: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while not lines or b"poll failed" not in lines[-1]:
                    lines.append(await process.stderr.readline())
    assert b"reason=connection" in lines[-1]
    assert secret not in b"".join(lines).decode()
