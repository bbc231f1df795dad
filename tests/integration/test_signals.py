"""Signals at every moment of a process, also as PID 1 of a container, and a process without a home directory."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from programs import exporter_command, program, run, until
from support import TIMEOUT_SECONDS, fetch

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"

# The interpreter may be in a directory that only root can enter, so the other user can read everything.
OTHER_USER = ("--reuid=54321", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
# Root that cannot enter what belongs to another user.
POWERLESS_ROOT = ("--inh-caps=-all", "--bounding-set=-all")


def create_locked_directory(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 54321, 54321)


@contextlib.asynccontextmanager
async def process(*command: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program with these variables only, and kill it at the end of the context if it still runs."""
    started = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
        cwd="/",
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


def importing(module: Path, *arguments: str) -> tuple[str, ...]:
    """Return the command of an exporter that waits while it imports its modules, as on a slow disk.

    `structlog` is replaced by `module`, whose import writes a line and then waits for a signal.
    """
    module.mkdir()
    (module / "structlog.py").write_text("import signal\nprint('importing', flush=True)\nwhile True: signal.pause()\n")
    code = f"import sys; sys.path.insert(0, {str(module)!r}); from exporter.__main__ import main; sys.exit(main())"
    return (sys.executable, "-c", code, *arguments)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_imports_ends_a_server_with_exit_code_0(number: signal.Signals, tmp_path: Path) -> None:
    async with process(*importing(tmp_path / "slow", "run")) as exporter:
        assert exporter.stdout is not None
        await exporter.stdout.readline()
        exporter.send_signal(number)
        assert await exporter.communicate() == (b"", b"")
    assert exporter.returncode == 0


async def test_sighup_during_imports_does_not_end_a_server(tmp_path: Path) -> None:
    async with process(*importing(tmp_path / "slow", "run")) as exporter:
        assert exporter.stdout is not None
        await exporter.stdout.readline()
        exporter.send_signal(signal.SIGHUP)
        exporter.send_signal(signal.SIGTERM)
        await exporter.wait()
    assert exporter.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_imports_ends_a_command_by_the_signal(number: signal.Signals, tmp_path: Path) -> None:
    async with process(*importing(tmp_path / "slow", "once")) as exporter:
        assert exporter.stdout is not None
        await exporter.stdout.readline()
        exporter.send_signal(number)
        assert await exporter.communicate() == (b"", b"")
    assert exporter.returncode == -number


async def test_sigterm_ends_a_server_that_is_still_looking_for_credentials() -> None:
    async with Simulator(servers=1, faults=["hang,api=metadata"]) as simulator:
        options = (f"--api.endpoint={simulator.url}", f"--auth.metadata-endpoint={simulator.url}")
        async with process(*exporter_command(*options)) as exporter:
            await until(lambda: asyncio.sleep(0, bool(simulator.requests)))
            exporter.send_signal(signal.SIGTERM)
            assert (await exporter.communicate())[1] == b""
    assert exporter.returncode == 0


async def test_sigterm_ends_a_server_that_is_pid_1() -> None:
    namespace = (program("unshare"), "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    if (await run(*namespace, "true"))[0]:
        pytest.skip("this machine allows no PID namespace")
    async with Simulator(servers=1) as simulator:
        options = (f"--api.endpoint={simulator.url}", "--web.listen-address=127.0.0.1:0")
        command = (*namespace, *exporter_command(*options))
        async with process(*command, SMS_EXPORTER_AUTH_TOKEN=simulator.token) as parent:
            assert parent.stderr is not None
            while b"msg=listening" not in await parent.stderr.readline():
                assert parent.returncode is None
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGTERM)
            await parent.wait()
    assert parent.returncode == 0


async def test_an_exporter_without_a_home_directory_starts() -> None:
    if os.geteuid():
        pytest.skip("only root can become a user without a home directory")
    nobody = (program("setpriv"), *OTHER_USER)
    async with Simulator(servers=3) as simulator:
        options = (f"--api.endpoint={simulator.url}", "--web.listen-address=127.0.0.1:0")
        command = (*nobody, *exporter_command(*options))
        keys = {"HUAWEICLOUD_SDK_AK": simulator.access_key.ak, "HUAWEICLOUD_SDK_SK": simulator.access_key.sk}
        async with process(*command, **keys) as exporter:
            assert exporter.stderr is not None
            while b"msg=listening" not in (line := await exporter.stderr.readline()):
                assert line
            url = line.decode().rpartition("urls=")[2].strip()

            async def is_ready() -> bool:
                return (await fetch(f"{url}/-/ready"))[0] == 200

            await until(is_ready)


@pytest.mark.parametrize("home", ["", "/nonexistent", "locked"])
async def test_a_home_directory_that_cannot_be_entered_has_no_profile_file(home: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("root creates a directory that another user cannot enter")
    locked = tmp_path / "locked"
    create_locked_directory(locked)
    nobody = (program("setpriv"), *(POWERLESS_ROOT if home == "locked" else OTHER_USER))
    options = (f"--api.endpoint={NOBODY}", f"--auth.metadata-endpoint={NOBODY}")
    variables = {"HOME": str(locked) if home == "locked" else home} if home else {}
    async with process(*nobody, *exporter_command("check", *options), **variables) as exporter:
        output, errors = await exporter.communicate()
    assert (exporter.returncode, errors) == (2, b"")
    assert b"no credentials found" in output


@pytest.mark.parametrize("option", ["--auth.token-file", "--api.ca-file", "--config.file", "--web.config.file"])
async def test_a_directory_that_cannot_be_entered_is_one_line_and_exit_code_2(option: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("root creates a directory that another user cannot enter")
    secrets = tmp_path / "secrets"
    create_locked_directory(secrets)
    (secrets / "file").write_text("x")
    powerless = (program("setpriv"), *POWERLESS_ROOT)
    options = [f"{option}={secrets}/file", *(["--auth.token=x"] if option != "--auth.token-file" else [])]
    async with process(*powerless, *exporter_command("check", f"--api.endpoint={NOBODY}", *options)) as exporter:
        output, errors = await exporter.communicate()
    assert (exporter.returncode, output) == (2, b"")
    assert errors.startswith(f"sms-exporter: error: {option}: ".encode())
    assert errors.endswith(b"cannot be read: Permission denied\n")
    assert errors.count(b"\n") == 1


async def test_the_demo_ignores_proxies_of_the_environment() -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), NOBODY)
    async with process(*exporter_command("demo", "--web.listen-address=127.0.0.1:0", "--servers=3"), **proxies) as demo:
        assert demo.stdout is not None
        url = (await demo.stdout.readline()).decode().split()[1]
        assert 'huaweicloud_sms_up{account="demo"} 1.0' in (await fetch(f"{url}/metrics"))[1]
        demo.send_signal(signal.SIGTERM)
        await demo.wait()
    assert demo.returncode == 0
