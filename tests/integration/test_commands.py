"""The commands that poll once: against a simulated API, in a pipe and in a terminal."""

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len

from exporter.simulator import Simulator
from programs import (
    exporter_command,
    free_port,
    program,
    run,
    run_in_process,
    run_in_terminal,
    started,
    until,
)
from support import TIMEOUT_SECONDS, Scrape, fetch

NOBODY = "http://127.0.0.1:9"
ERASED = "\x1b[2K"
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    # So slow that no server changes its state during a test.
    async with Simulator(servers=230, acceleration=0.001) as serving:
        yield serving


def options_for(simulator: Simulator) -> tuple[str, ...]:
    """Return the options of an account at the simulator."""
    return (f"--api.endpoint={simulator.url}", f"--iam.endpoint={simulator.url}", f"--auth.token={simulator.token}")


@pytest.fixture
async def north_and_east(simulator: Simulator, tmp_path: Path) -> AsyncIterator[str]:
    """Return the option for a file with two accounts; the API refuses the second one."""
    async with Simulator(servers=20, faults=["forbidden"]) as refusing:
        accounts = [
            {"name": name, "api": {"endpoint": of.url}, "auth": {"token": of.token}}
            for name, of in (("north", simulator), ("east", refusing))
        ]
        file = tmp_path / "config.yml"
        file.write_text(yaml.safe_dump({"accounts": accounts}))
        yield f"--config.file={file}"


def facts(report: str) -> list[dict[str, str]]:
    """Parse the report of a check: the facts of each account, and its condition under the empty name."""
    return [
        {"": lines[0].removeprefix("account ")} | {line[2:15].strip(): line[15:] for line in lines[1:]}
        for lines in (part.splitlines() for part in re.split(r"\n(?=account )", report))
    ]


async def test_a_check_reports_endpoint_and_credentials_without_a_request(simulator: Simulator) -> None:
    for command in (("check",), ("--config.check",)):
        status, output, errors = await run_in_process(*command, *options_for(simulator))
        assert (status, errors) == (0, "")
        assert facts(output) == [
            {"": "default: ok", "endpoint": simulator.url, "credentials": "token given by options"},
        ]
    assert simulator.requests == []


async def test_a_check_warns_about_connections_that_are_not_protected() -> None:
    user = ("--auth.user-name=u", "--auth.domain-name=d", "--auth.password=p")
    options = ("--api.endpoint=http://sms.example.com", "--iam.endpoint=http://iam.example.com")
    status, report, errors = await run_in_process("check", *options, "--api.insecure-skip-verify", *user)
    warnings = [line.split()[1] for line in report.splitlines() if line.startswith("  warning ")]
    assert (status, errors) == (0, "")
    assert warnings == ["http://sms.example.com", "http://iam.example.com", "api.insecure-skip-verify:"]


async def test_a_live_check_reports_every_account(simulator: Simulator, north_and_east: str) -> None:
    status, output, errors = await run_in_process("check", "--live", north_and_east)
    assert (status, errors) == (1, "")
    north, east = facts(output)
    assert (north[""], east[""]) == ("north: ok", "east: failed (permission)")
    assert north["servers"] == "230, 200 of them on the first page"
    assert north["clock"] == "in sync with the API"
    assert re.fullmatch(r"[0-9.]+ m?s", north["latency"])
    assert "403 Forbidden (SMS.9004)" in east["error"]
    assert "sms:server:list" in east["hint"]
    assert east["request id"]
    assert simulator.token not in output
    assert [request.query for request in simulator.requests] == [
        {"limit": "200", "offset": "0"},
        {"limit": "200", "offset": "200"},
    ]


async def test_a_live_check_obtains_a_token_with_a_password(simulator: Simulator) -> None:
    simulator.faults.add("clock-skew=3600")
    status, output, _ = await run_in_process(
        "check",
        "--live",
        *options_for(simulator)[:2],
        f"--auth.user-name={simulator.user.name}",
        f"--auth.domain-name={simulator.user.domain}",
        SMS_EXPORTER_AUTH_PASSWORD=simulator.user.password,
    )
    assert status == 0
    (found,) = facts(output)
    assert re.fullmatch(r"password of an IAM user given by options, until .* UTC", found["credentials"])
    assert re.fullmatch(r"(59 min 5\d s|1 h) behind the API", found["clock"])
    assert simulator.user.password not in output


@pytest.mark.parametrize(
    ("fault", "option", "reason"),
    [
        ("unauthorized", "--poll.timeout=10s", "auth"),
        ("server-error", "--poll.timeout=10s", "server_error"),
        ("hang", "--poll.timeout=1s", "timeout"),
    ],
)
async def test_a_live_check_reports_a_failure_without_retries(
    simulator: Simulator, fault: str, option: str, reason: str
) -> None:
    simulator.faults.add(fault)
    status, output, _ = await run_in_process("check", "--live", option, *options_for(simulator))
    (found,) = facts(output)
    assert (status, found[""]) == (1, f"default: failed ({reason})")
    assert found["hint"]
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("command", [("check", "--live"), ("once",)])
async def test_a_wrong_key_of_several_accounts_is_sent_once(
    command: Sequence[str], simulator: Simulator, tmp_path: Path
) -> None:
    auth = {"access_key": simulator.access_key.ak, "secret_key": "wrong"}
    accounts = [{"name": f"a{number}", "api": {"endpoint": simulator.url}, "auth": auth} for number in range(6)]
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump({"accounts": accounts}))
    status, output, errors = await run_in_process(*command, f"--config.file={config}")
    assert status == 1
    assert (output + errors).count("verify aksk signature fail") == 6
    assert [request.status for request in simulator.requests] == [401]


async def test_a_check_reports_every_account_without_credentials(tmp_path: Path) -> None:
    accounts = [{"name": name, "api": {"endpoint": NOBODY}} for name in ("one", "two")]
    auth = {"metadata_endpoint": NOBODY}
    file = tmp_path / "config.yml"
    file.write_text(yaml.safe_dump({"auth": auth, "accounts": accounts}))
    status, output, _ = await run_in_process("check", "--live", f"--config.file={file}", HOME=str(tmp_path))
    assert status == 2
    assert [found[""] for found in facts(output)] == ["one: failed (auth)", "two: failed (auth)"]
    assert output.count("--auth.access-key-file") == 2


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf"])
async def test_a_check_refuses_an_empty_secret_file_without_a_request(
    simulator: Simulator, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    options = (f"--api.endpoint={simulator.url}", f"--auth.token-file={tmp_path / 'token'}")
    status, output, _ = await run_in_process("check", *options)
    (found,) = facts(output)
    assert (status, found[""]) == (2, "default: failed (auth)")
    assert found["error"] == f"auth.token-file: {tmp_path / 'token'} is empty"
    assert simulator.requests == []


async def test_once_prints_the_metrics_of_a_scrape(simulator: Simulator) -> None:
    status, output, errors = await run(*exporter_command("once", *options_for(simulator)))
    assert (status, errors) == (0, "")
    seen = Scrape(output)
    assert seen.total("source_servers") == 230
    assert (seen.value("up"), seen.value("exporter_polls_total")) == (1, 1)
    assert {name for name, _ in seen.samples if not name.startswith("huaweicloud_sms_")} == set()
    assert await run(program("promtool"), "check", "metrics", given=output.encode()) == (0, "", "")


async def test_once_prints_all_accounts_and_fails_if_one_poll_failed(north_and_east: str) -> None:
    status, output, errors = await run_in_process("once", north_and_east)
    seen = Scrape(output)
    assert status == 1
    assert [seen.value("up", account=name) for name in ("north", "east")] == [1, 0]
    assert seen.total("source_servers") == 230
    assert seen.value("exporter_poll_failures_total", account="east", reason="permission") == 1
    assert re.fullmatch(r"sms-exporter: error: account east: permission: .*sms:server:list.*\n", errors)


async def test_node_exporter_accepts_the_output_of_once(simulator: Simulator, tmp_path: Path) -> None:
    node_exporter = program("prometheus-node-exporter")
    _, output, _ = await run(*exporter_command("once", "--collector.disks", *options_for(simulator)))
    (tmp_path / "sms.prom").write_text(output)
    address = f"127.0.0.1:{free_port()}"
    command = (
        node_exporter,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={tmp_path}",
        f"--web.listen-address={address}",
    )
    # It does not handle the signal.
    async with started(*command, ends_with=-signal.SIGTERM):

        async def scraped() -> tuple[int, str]:
            status, text, _ = await fetch(f"http://{address}/metrics")
            return status, text

        status, text = await until(scraped)
    assert status == 200
    assert "node_textfile_scrape_error 0" in text
    assert text.count("\nhuaweicloud_sms_source_server_info{") == 230


async def test_status_in_a_pipe_has_one_line_per_server(simulator: Simulator, north_and_east: str) -> None:
    status, output, errors = await run_in_process("status", *options_for(simulator))
    assert (status, errors) == (0, "")
    assert output.count("\n") == 1 + 230
    assert "\x1b" not in output
    status, output, errors = await run_in_process("status", north_and_east)
    assert status == 1
    assert output.count("\n") == 1 + 230
    assert "account east: permission" in errors


@pytest.mark.parametrize("columns", [60, 80])
async def test_status_in_a_terminal_fits_its_width(simulator: Simulator, north_and_east: str, columns: int) -> None:
    simulator.fleet.add({"id": "x", "name": "\x1b[2J\x1b]0;taken\x07 [red]名前" * 9, "state": "error"})
    status, received = await run_in_terminal(*exporter_command("status", north_and_east), columns=columns)
    drawn = (line.split(ERASED)[-1] for line in received.replace("\r", "").split("\n"))
    shown = [CONTROLS.sub("", line).rstrip() for line in drawn]
    assert status == 1
    assert max(map(cell_len, shown)) <= columns
    assert "\x1b[2J" not in received
    assert "\x07" not in received
    text = "\n".join(shown)
    assert "231 servers" in text
    assert "failing: permission" in text
    assert "Hint: grant the IAM action" in text
    assert text.index("Needs attention") < text.index("Running migrations") < text.index("Servers by state")
    assert "━" in text
    assert r"\x1b[2J" in text


@pytest.mark.parametrize(("columns", "lines"), [("0", "24"), ("80", "0"), ("0", "0")])
async def test_a_size_of_0_stands_for_an_unknown_size_of_the_terminal(
    simulator: Simulator, columns: str, lines: str
) -> None:
    command = exporter_command("status", "--output=table", *options_for(simulator))
    status, output, errors = await run(*command, COLUMNS=columns, LINES=lines)
    assert (status, errors) == (0, "")
    assert "230 servers" in output
    assert output.count("\n") > 20


@pytest.mark.parametrize("columns", [60, 80])
async def test_status_in_chinese_fits_the_width_of_a_terminal(
    simulator: Simulator, north_and_east: str, columns: int
) -> None:
    del simulator
    command = exporter_command("status", north_and_east)
    status, received = await run_in_terminal(*command, columns=columns, LANG="zh_CN.UTF-8")
    drawn = (line.split(ERASED)[-1] for line in received.replace("\r", "").split("\n"))
    shown = [CONTROLS.sub("", line).rstrip() for line in drawn]
    assert status == 1
    assert max(map(cell_len, shown)) <= columns
    text = "\n".join(shown)
    for part in (
        "230台服务器",
        "失败：permission",
        "建议：为该用户授予授权项",
        "需要处理",
        "正在进行的迁移",
        "replicate（复制）",
    ):
        assert part in text
    assert "Servers" not in text


async def test_a_check_in_chinese_aligns_its_values_and_wraps_them(simulator: Simulator) -> None:
    simulator.faults.add("forbidden")
    command = exporter_command("check", "--live", *options_for(simulator))
    status, received = await run_in_terminal(*command, columns=60, LC_ALL="zh_CN.UTF-8")
    first, *lines = received.replace("\r", "").splitlines()
    assert (status, first) == (1, "账号default：失败（permission）")
    assert {cell_len(re.match(r"  \S+ +|  +", line)[0]) for line in lines} == {15}  # type: ignore[index]  # all match
    assert max(map(cell_len, lines)) <= 60
    assert "  凭证         Token，由配置项指定" in lines


async def test_a_pipe_receives_english_in_every_language(simulator: Simulator) -> None:
    _, report, _ = await run_in_process("check", *options_for(simulator), LC_ALL="zh_CN.UTF-8")
    _, table, _ = await run_in_process("status", "--output=table", *options_for(simulator), LC_ALL="zh_CN.UTF-8")
    simulator.faults.add("forbidden")
    _, _, errors = await run_in_process("once", *options_for(simulator), LC_ALL="zh_CN.UTF-8")
    assert report.startswith("account default: ok")
    assert "Needs attention" in table
    assert "grant the IAM action sms:server:list" in errors
    assert re.search("[\u4e00-\u9fff]", report + table + errors) is None


async def test_a_terminal_that_lacks_chinese_characters_gets_english(simulator: Simulator) -> None:
    command = exporter_command("status", *options_for(simulator))
    _, received = await run_in_terminal(*command, LANG="zh_CN", PYTHONIOENCODING="ascii")
    assert "Needs attention" in received


async def test_a_watched_status_of_many_accounts_shows_all_of_it(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        accounts = []
        for number in range(12):
            simulator = await stack.enter_async_context(
                Simulator(servers=50, seed=number, faults=["forbidden"][number:])
            )
            accounts.append(
                {"name": f"account-{number}", "api": {"endpoint": simulator.url}, "auth": {"token": simulator.token}}
            )
        (tmp_path / "config.yml").write_text(yaml.safe_dump({"accounts": accounts}))
        command = exporter_command("status", "--watch", f"--config.file={tmp_path / 'config.yml'}")
        _, received = await run_in_terminal(*command, rows=64, interrupt_after=b"press Ctrl-C to stop")
    screen = received.rpartition("\x1b[2J")[2]
    assert "account-0" in screen
    assert screen.count("\n") < 64


@pytest.mark.parametrize("output", ["json", "csv", "tsv"])
async def test_status_writes_every_format_for_other_programs(simulator: Simulator, output: str) -> None:
    options = ("--state=replicate", f"--output={output}", *options_for(simulator))
    status, text, errors = await run_in_process("status", *options)
    assert (status, errors) == (0, "")
    records: list[dict[str, Any]]
    if output == "json":
        records = json.loads(text)
    else:
        records = list(csv.DictReader(io.StringIO(text), delimiter="," if output == "csv" else "\t"))
    assert {record["state"] for record in records} == {"replicate"}
    assert len(records) == sum(record["state"] == "replicate" for record in simulator.fleet.records())
    assert all(float(record["size_bytes"]) > 0 for record in records)


async def test_status_polls_only_the_chosen_account(north_and_east: str) -> None:
    status, output, errors = await run_in_process("status", north_and_east, "--account=north")
    assert (status, errors) == (0, "")
    assert output.count("\n") == 1 + 230


async def test_a_watched_status_refreshes_until_ctrl_c(simulator: Simulator) -> None:
    command = exporter_command("status", "--watch", "--poll.interval=1s", *options_for(simulator))
    status, received = await run_in_terminal(*command, interrupt_after=b"press Ctrl-C to stop")
    assert status == 0
    assert "230 servers" in received
    assert "Traceback" not in received


async def test_status_without_colours_keeps_its_bars(simulator: Simulator) -> None:
    command = exporter_command("status", *options_for(simulator))
    _, received = await run_in_terminal(*command, columns=160, NO_COLOR="1")
    assert "━" in received
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", received)


async def test_status_of_an_empty_fleet_says_so() -> None:
    async with Simulator(servers=0) as simulator:
        status, received = await run_in_terminal(*exporter_command("status", *options_for(simulator)))
    assert status == 0
    assert "There are no source servers." in received


async def test_ctrl_c_ends_a_command_by_the_signal_without_a_message(simulator: Simulator) -> None:
    simulator.faults.add("hang")
    process = await asyncio.create_subprocess_exec(
        *exporter_command("once", *options_for(simulator)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )

    async def asked() -> bool:
        return bool(simulator.requests)

    await until(asked)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await process.communicate() == (b"", b"")
    assert process.returncode == -signal.SIGINT


async def test_a_closed_pipe_ends_a_command_by_the_signal_without_a_message(simulator: Simulator) -> None:
    process = await asyncio.create_subprocess_exec(
        *exporter_command("once", *options_for(simulator)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert (await process.stdout.readline()).startswith(b"# HELP ")
        # As head does.
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        assert await process.stderr.read() == b""
        assert await process.wait() == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")]
)
async def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(
    simulator: Simulator, redirection: str, reason: str, tmp_path: Path
) -> None:
    capture = ["capture", f"--output={tmp_path / 'capture.json'}", "--yes"]
    commands = (["check"], ["once"], ["status"], ["status", "--output=table"], capture)
    results = await asyncio.gather(
        *(
            run("sh", "-c", f'"$@" {redirection}', "sh", *exporter_command(*words, *options_for(simulator)))
            for words in commands
        )
    )
    expected = (1, "", f"sms-exporter: error: standard output cannot be written: {reason}\n")
    assert results == [expected] * len(commands)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["-h"], ["help", "once"], ["once", "--help"], ["--version"]], ids=" ".join)
async def test_help_on_a_full_disk_is_one_line_and_exit_code_1(words: list[str]) -> None:
    status, _, errors = await run("sh", "-c", '"$@" >/dev/full', "sh", *exporter_command(*words))
    assert (status, errors) == (1, "sms-exporter: error: standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize("words", [["-h"], ["once", "-h"]], ids=" ".join)
async def test_help_into_a_closed_pipe_ends_by_the_signal_without_a_message(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = await asyncio.create_subprocess_exec(*exporter_command(*words), stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        _, errors = await process.communicate()
    assert errors == b""
    assert process.returncode == -signal.SIGPIPE


async def test_a_pipe_gets_utf8_in_every_locale(simulator: Simulator) -> None:
    simulator.fleet.add({"id": "x", "name": "é 名前", "state": "error"})
    once, status = await asyncio.gather(
        *(
            run(*exporter_command(name, *options_for(simulator)), PYTHONIOENCODING="latin-1")
            for name in ("once", "status")
        ),
    )
    assert (once[0], once[2]) == (status[0], status[2]) == (0, "")
    assert "é 名前" in Scrape(once[1]).label_values("source_server_info", "name")
    assert "\té 名前\t" in status[1]


async def test_a_terminal_shows_a_question_mark_for_a_character_that_it_lacks(simulator: Simulator) -> None:
    simulator.fleet.add({"id": "x", "name": "web 名前", "state": "error"})
    command = exporter_command("status", *options_for(simulator))
    status, received = await run_in_terminal(*command, columns=160, PYTHONIOENCODING="ascii")
    assert status == 0
    assert "web ??" in received


async def test_the_exit_code_is_the_same_if_standard_error_cannot_be_written() -> None:
    status, _, _ = await run("sh", "-c", '"$@" 2>/dev/full', "sh", *exporter_command("check", "--bad"))
    assert status == 2


@pytest.mark.parametrize("command", ["check", "once"])
async def test_an_invalid_configuration_is_exit_code_2_without_output(command: str) -> None:
    status, output, errors = await run_in_process(command, "--auth.token=x")
    assert (status, output) == (2, "")
    assert "api.region or api.endpoint is required" in errors


async def test_help_is_brief_or_complete_or_about_a_command() -> None:
    overview, everything, check = [
        (await run_in_process(*words))[1] for words in (["help"], ["--help"], ["help", "check"])
    ]
    for text in (overview, everything):
        assert re.search(r"^  check +check the configuration", text, re.MULTILINE)
        assert max(map(len, text.splitlines())) <= 80
    assert "--collector.disks" in everything
    assert "an account entry in the file takes precedence over all of them" in " ".join(everything.split())
    assert "--collector.disks" not in overview
    assert "--live" in check
